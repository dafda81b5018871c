// Requests, messages without an answer, and the server's own requests.

import { equal, isState, ok, pause, rejects, routes, unique, until } from "../harness.mjs";

export default {
  async "a request is answered, and many at once each with its own"({ online }) {
    const client = await online();
    equal(await client.request("echo", { said: "hello" }), { said: "hello" });
    const many = [3, 1, 2].map((number) => client.request("echo", number));
    equal(await Promise.all(many), [3, 1, 2]);
  },

  async "an error of the server has all that it says"({ lib, online }) {
    const client = await online();
    const failure = { code: "busy", message: "not now", retry_after: 1.5 };
    const error = await rejects(client.request("fail", failure));
    ok(error instanceof lib.RequestError, "a RequestError");
    const { name, code, message, temporary, retryAfter } = error;
    equal([name, code, message, temporary, retryAfter], ["RequestError", "busy", "not now", true, 1500]);
    const unknown = await rejects(client.request("nowhere"));
    equal([unknown.code, unknown.temporary], ["unknown_route", false]);
  },

  async "a request gives up in its time, and its late answer is nobody's"({ lib, online }) {
    const client = await online();
    const late = rejects(client.request("slow", 800, { timeout: 50 }));
    const error = await late;
    ok(error instanceof lib.Timeout && error.sent, "a Timeout of what was sent");
    equal(await client.request("echo", 1), 1);
    await until("the late answer", () => client.sockets[0].received.some(({ data }) => data === 800));
    equal(client.sockets.length, 1, "a slow answer is no dead connection");
  },

  async "who isn't answered gives up when the time is over, and not later"({ lib, online }) {
    const client = await online();
    // Where the thread was held up it has more time, which on a busy machine isn't always so.
    await until("one in time", async () => {
      const begun = performance.now();
      const error = await rejects(client.request("slow", 500, { timeout: 50 }));
      ok(error instanceof lib.Timeout, "a Timeout");
      return performance.now() - begun < 250;
    });
  },

  async "a slow handler is no dead connection"({ online }) {
    // A busy machine may take its time, too.
    const client = await online({ ping: { every: 100, timeout: 2_000 } });
    equal(await client.request("slow", 3_000), 3_000);
    equal(client.sockets.length, 1);
    ok(client.sockets[0].sent.filter(({ id }) => id === 0).length > 2, "that it has asked meanwhile");
  },

  async "bytes are bytes, in both directions and in rooms"({ online }) {
    const client = await online();
    const bytes = Uint8Array.from({ length: 256 }, (_, at) => at);
    const same = (got) => ok(got instanceof Uint8Array && `${got}` === `${bytes}`, "the same bytes");
    same(await client.request("bytes", bytes));
    const room = client.room(unique("kept:1"));
    const heard = [];
    room.on("line", (data) => heard.push(data));
    await room.join();
    const { position } = room;
    await room.publish(bytes);
    await until("them", () => heard.length === 1);
    await room.leave();
    await room.join({ position });
    await until("them again", () => heard.length === 2);
    for (const data of heard) same(data);
  },

  async "what is left undefined is as usual, and nothing is without a pause"({ client }) {
    const usual = client({ backoff: { first: undefined }, ping: { every: undefined }, timeout: undefined, queue: NaN });
    usual.connect();
    equal(await usual.request("slow", 200, { timeout: undefined }), 200);
    equal(usual.sockets[0].sent.filter(({ id }) => id === 0).length, 1, "pings");
    usual.send("close", { code: 4000 });
    ok((await isState(usual, "waiting")).retryAt > 0, "a time");
    const hasty = client({ ping: { every: 0 } }).connect();
    equal(await hasty.request("slow", 300), 300);
    ok(hasty.sockets[0].sent.length < 8, "few pings");
  },

  async "what has waited is sent before what is said when it is online"({ client }) {
    const waiting = client();
    const heard = [];
    waiting.on("told", (data) => heard.push(data));
    waiting.state.subscribe(({ status }) => status === "online" && waiting.send("told", "late"));
    waiting.connect();
    waiting.send("told", "early");
    await until("both", () => heard.length === 2);
    equal(heard, ["early", "late"]);
  },

  async "a request is given up by its signal, for whatever reason"({ online }) {
    const one = await online();
    for (const reason of [null, "", 0, false]) {
      const giveUp = new AbortController();
      const asked = rejects(one.request("slow", 50, { signal: giveUp.signal }));
      giveUp.abort(reason);
      equal(await asked, reason);
      equal(await rejects(one.request("echo", 1, { signal: giveUp.signal })), reason);
    }
  },

  async "a request is given up by its signal"({ online }) {
    const client = await online();
    const giveUp = new AbortController();
    const asked = rejects(client.request("slow", 3_000, { signal: giveUp.signal }));
    giveUp.abort(new Error("changed my mind"));
    equal((await asked).message, "changed my mind");
    equal((await rejects(client.request("echo", 1, { signal: giveUp.signal }))).message, "changed my mind");
  },

  async "a message without an answer is heard, and metadata goes along"({ online }) {
    const client = await online();
    const heard = [];
    const end = client.on("told", (data, { route }) => heard.push([data, route]));
    ok(client.send("told", 1), "that it was sent");
    await until("it", () => heard.length === 1);
    end();
    client.send("told", 2);
    await client.request("echo", 0, { metadata: { lang: "en" } });
    equal(heard, [[1, "told"]]);
    equal(client.sockets[0].sent.at(-1).metadata, { lang: "en" });
  },

  async "what is asked before there is a connection waits for it, in order"({ client }) {
    const waiting = client();
    const early = await rejects(waiting.request("echo", 0));
    equal([early.name, early.sent], ["ConnectionLost", false], "nobody wants a connection");
    equal(waiting.send("told", 0), false);
    waiting.connect();
    const heard = [];
    waiting.on("told", (data) => heard.push(data));
    waiting.send("told", "a");
    waiting.send("told", "b");
    equal(await waiting.request("echo", 1), 1);
    equal(heard, ["a", "b"]);
  },

  async "as much waits as may, and for as long as it may"({ client, network, lib }) {
    const net = await network();
    await net("refuse");
    const waiting = client({ network: net, queue: 2, timeout: 100 }).connect();
    const asked = [1, 2, 3].map((number) => rejects(waiting.request("echo", number)));
    equal(waiting.send("told"), false, "it is full");
    const errors = await Promise.all(asked);
    equal(errors.map(({ name, sent }) => [name, sent]), [["Timeout", false], ["Timeout", false], ["ConnectionLost", false]]);
    ok(errors[2] instanceof lib.ConnectionLost, "a ConnectionLost");
    // There is room again.
    const after = waiting.request("echo", 4, { timeout: 5_000 });
    await net("heal");
    equal(await after, 4);
    equal(routes(waiting.sockets.at(-1)), ["echo"], "what was given up isn't sent");
  },

  async "what the network doesn't take is bounded, and who says more is told"({ lib, online }) {
    const client = await online({ maxBuffered: 1_000 });
    const { socket } = client.sockets[0];
    const waits = (value) => Object.defineProperty(socket, "bufferedAmount", { configurable: true, value });
    waits(1_001);
    const error = await rejects(client.request("echo", 1));
    ok(error instanceof lib.ConnectionLost && !error.sent, "a ConnectionLost of what wasn't sent");
    equal(client.send("told", 1), false);
    equal(routes(client.sockets[0]), []);
    waits(1_000);
    equal(await client.request("echo", 2), 2);
    ok(client.send("told", 2), "that it was sent");
  },

  async "who still takes what was said before is not given up"({ online, network }) {
    const net = await network();
    const client = await online({ network: net, ping: { every: 100, timeout: 200 } });
    const { socket } = client.sockets[0];
    let waiting = 100;
    let isTaking = true;
    Object.defineProperty(socket, "bufferedAmount", { configurable: true, get: () => (isTaking ? --waiting : waiting) });
    await net("blackhole");
    await pause(1_000);
    equal(client.state.get().status, "online");
    isTaking = false;
    await isState(client, "waiting", "connecting");
  },

  async "who goes on saying more than the network takes is not given up while it takes some"({ online, network }) {
    const net = await network();
    const client = await online({ network: net, ping: { every: 100, timeout: 200 } });
    const { socket } = client.sockets[0];
    let waiting = 1_000;
    Object.defineProperty(socket, "bufferedAmount", { configurable: true, get: () => waiting });
    const send = socket.send.bind(socket);
    socket.send = (frame) => {
      waiting += frame.length;
      send(frame);
    };
    await net("blackhole");
    let isTaking = true;
    const saying = setInterval(() => {
      client.send("told", "so much");
      if (isTaking) waiting -= 1;
    }, 10);
    await pause(1_000);
    equal(client.state.get().status, "online");
    isTaking = false;
    await isState(client, "waiting", "connecting");
    clearInterval(saying);
  },

  async "what is said once nothing waits any more is no sign of life"({ online, network }) {
    const net = await network();
    const client = await online({ network: net, ping: { every: 100, timeout: 200 } });
    const { socket } = client.sockets[0];
    // As a socket that has room, and tells of all it was given until it has passed it on.
    let waiting = 0;
    Object.defineProperty(socket, "bufferedAmount", { configurable: true, get: () => waiting });
    const send = socket.send.bind(socket);
    socket.send = (frame) => {
      waiting += frame.length;
      setTimeout(() => (waiting -= frame.length));
      send(frame);
    };
    await net("blackhole");
    await isState(client, "waiting", "connecting");
  },

  async "a server that asks and doesn't read gets no answers"({ online }) {
    const client = await online({ maxBuffered: 1_000 });
    const { socket } = client.sockets[0];
    let waiting = 0;
    Object.defineProperty(socket, "bufferedAmount", { configurable: true, get: () => waiting });
    client.handle("confirm", () => {
      waiting = 1_001;
      return true;
    });
    const answer = client.request("ask", { route: "confirm", data: null });
    await until("the question", () => waiting > 0);
    await pause(50);
    ok(!client.sockets[0].sent.some(({ reply }) => reply !== undefined), "nothing was answered");
    waiting = 0;
    equal((await answer).kind, "TimedOut");
    client.handle("confirm", () => true);
    equal(await client.request("ask", { route: "confirm", data: null }), { answer: true });
  },

  async "nothing waits where nothing may"({ client }) {
    const strict = client({ queue: 0 }).connect();
    equal((await rejects(strict.request("echo"))).name, "ConnectionLost");
    await isState(strict, "online");
    equal(await strict.request("echo", 1), 1);
  },

  async "the server asks, and is answered in every way"({ lib, online }) {
    const client = await online();
    const questions = [];
    const end = client.handle("confirm", async (question) => {
      questions.push(question);
      await pause(5);
      return question === "sure?";
    });
    client.handle("refuse", () => {
      throw new lib.RequestError({ code: "busy", message: "ask me later", temporary: true });
    });
    const ask = (route, data = null) => client.request("ask", { route, data });
    equal(await ask("confirm", "sure?"), { answer: true });
    equal(await ask("refuse"), { kind: "Refused", code: "busy" });
    equal((await ask("nobody_handles_it")).code, "unknown_route");
    end();
    equal((await ask("confirm", "again?")).code, "unknown_route");
    equal(questions, ["sure?"]);
  },
};
