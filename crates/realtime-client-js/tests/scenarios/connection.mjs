// Coming back: how soon, how often, and when not; and connections that are dead without saying so.

import { equal, isState, ok, pause, rejects, until } from "../harness.mjs";

const session = async (client) => (await client.request("who_am_i")).session;
const status = (client) => client.state.get().status;

/** How long each wait was that the client has announced, in milliseconds. */
function waits(client) {
  const waits = [];
  client.state.subscribe(({ retryAt }) => {
    if (retryAt !== undefined) waits.push(retryAt - Date.now());
  });
  return waits;
}
const about = (got, wanted, what) => ok(Math.abs(got - wanted) <= 25, `${wanted} ms, not ${got}, ${what}`);

export default {
  async "the state is a store: the value at once, then each change, until one has enough"({ client }) {
    const one = client();
    const seen = [];
    const { subscribe } = one.state;
    const end = subscribe(({ status }) => seen.push(status));
    equal(seen, ["idle"]);
    one.connect();
    await isState(one, "online");
    one.close();
    equal(seen, ["idle", "connecting", "online", "idle"]);
    end();
    one.connect();
    await isState(one, "online");
    equal(seen.length, 4);
  },

  async "it comes back from a cut, and what was under way is said to be lost"({ online, network, lib }) {
    const net = await network();
    const client = await online({ network: net });
    const before = await session(client);
    const lost = rejects(client.request("slow", 5_000));
    await net("cut");
    const error = await lost;
    ok(error instanceof lib.ConnectionLost && error.sent, "a ConnectionLost of what was sent");
    const { code, reason, retryAt } = await isState(client, "waiting");
    equal([code, reason], [1006, "the connection ended without a close frame"]);
    ok(retryAt > 0, "when it comes back");
    const waiting = client.request("echo", "still here");
    await net("heal");
    equal(await waiting, "still here");
    ok((await session(client)) !== before, "another session");
  },

  async "an attempt that fails without a word says where to look"({ client, network }) {
    const net = await network();
    await net("cut");
    for (const options of [{ path: "/nowhere" }, { network: net }]) {
      const { code, reason } = await isState(client(options).connect(), "waiting");
      equal([code, reason], [
        1006,
        "the connection can't be opened (in a browser: see Network in the developer tools)",
      ]);
    }
  },

  async "who closes it gets nothing more, and begins anew when asked to"({ online }) {
    const client = await online();
    const lost = rejects(client.request("slow", 5_000));
    const joining = rejects(client.room("elsewhere").join());
    client.close();
    equal([status(client), (await lost).name], ["idle", "ConnectionLost"]);
    const late = rejects(client.request("echo"));
    for (const error of [await joining, await late]) equal(error.message, "the client isn't connected");
    await pause(100);
    equal(client.sockets.length, 1);
    client.connect();
    equal(await client.request("echo", 1), 1);
  },

  async "an attempt that hangs is given up"({ client, network }) {
    const net = await network();
    await net("blackhole");
    const one = client({ network: net, connectTimeout: 80 }).connect();
    await until("a second attempt", () => one.sockets.length >= 2);
    await net("heal");
    await isState(one, "online");
  },

  async "close codes are obeyed"({ online }) {
    for (const [code, isBack] of [[1001, true], [3000, true], [4000, true], [3012, true], [3504, false], [3506, false], [3999, false], [4500, false], [4999, false]]) {
      const client = await online();
      client.send("close", { code, reason: "so it is" });
      const end = await isState(client, "waiting", "ended");
      equal([end.status, end.code, end.reason], [isBack ? "waiting" : "ended", code, "so it is"]);
      if (isBack) await isState(client, "online");
      else ok(client.sockets.length === 1, "that it stays away");
    }
  },

  async "who hears that it has ended may connect anew, and what is wanted then is"({ online }) {
    const client = await online();
    const asked = [];
    const end = client.state.subscribe(({ status }) => {
      if (status !== "ended") return;
      client.connect();
      asked.push(client.request("echo", 1), client.room("plain:anew").join());
    });
    client.send("close", { code: 4500 });
    await until("it has ended", () => asked.length === 2);
    equal(await Promise.all(asked), [1, null]);
    end();
  },

  async "who closes what has ended already doesn't take away why"({ online }) {
    const client = await online();
    client.send("close", { code: 4500, reason: "enough" });
    await isState(client, "ended");
    client.close();
    equal([status(client), client.state.get().reason], ["ended", "enough"]);
  },

  async "what is sent while it is ended fails, and connect begins anew"({ online }) {
    const client = await online();
    client.send("close", { code: 4500 });
    await isState(client, "ended");
    equal((await rejects(client.request("echo"))).name, "ConnectionLost");
    client.retry();
    equal(status(client), "ended", "it isn't waiting for anything");
    client.connect();
    equal(await client.request("echo", 1), 1);
  },

  async "a reason that only looks as if it said when is a reason"({ online }) {
    const client = await online();
    client.send("close", { code: 4500, reason: "{see the manual}" });
    equal((await isState(client, "ended")).reason, "{see the manual}");
  },

  alone: {
    async "a thread that is held up takes no live server for dead"({ online }) {
      const ping = { every: 100, timeout: 1_000 };
      const client = await online({ ping });
      const { sent, received } = client.sockets[0];
      let isHeldUp = false;
      const holdUp = () => {
        isHeldUp = true;
        const begun = performance.now();
        while (performance.now() - begun < 1_500);
      };
      // Once it waits for the answer; in Node.js in the phase behind which timers come before sockets.
      const soon = globalThis.setImmediate ?? queueMicrotask;
      sent.push = (message) => {
        if (message.id === 0 && !isHeldUp) soon(holdUp);
        return Array.prototype.push.call(sent, message);
      };
      await until("it was held up", () => isHeldUp);
      const before = received.length;
      await until("answers", () => received.slice(before).filter(({ id }) => id === 0).length > 1);
      equal([client.sockets.length, status(client)], [1, "online"]);
    },

    async "the server says when to come back, and nothing but a person comes sooner"({ online }) {
      const client = await online();
      const announced = waits(client);
      const reason = JSON.stringify({ reason: "a new version", retry_after: 0.6 });
      client.send("close", { code: 1001, reason });
      equal((await isState(client, "waiting")).reason, "a new version");
      about(announced[0], 600, "the server's");
      // As a page that is looked at.
      globalThis.dispatchEvent?.(new Event("online"));
      await pause(50);
      equal(status(client), "waiting");
      client.retry();
      await isState(client, "online");
    },

    async "a server that says no time, or no time at all, is no reason to hurry"({ online, replace }) {
      replace(Math, "random", () => 0.999999);
      for (const [retry_after, wanted] of [[null, 40], ["", 40], [0, 40], [0.01, 40]]) {
        const client = await online();
        const announced = waits(client);
        await client.request("echo");
        client.send("close", { code: 4000, reason: JSON.stringify({ reason: "so it is", retry_after }) });
        await until("a wait", () => announced.length === 1);
        about(announced[0], wanted, `after ${retry_after}`);
        client.close();
      }
    },

    async "the wait doubles until the first message, however often it opens"({ client, replace }) {
      replace(Math, "random", () => 0.999999);
      let isCut = true;
      // As a proxy that ends each connection right after the 101.
      const onOpen = (socket) => isCut && socket.close();
      const drop = () => isCut;
      const one = client({ onOpen, drop, backoff: { first: 40, most: 250 } });
      const announced = waits(one);
      one.connect();
      await until("five attempts", () => announced.length >= 5);
      for (const [at, wanted] of [40, 80, 160, 250, 250].entries()) about(announced[at], wanted, `try ${at}`);
      isCut = false;
      await isState(one, "online");
      announced.length = 0;
      await one.request("echo");
      one.send("close", { code: 4000 });
      await until("another wait", () => announced.length === 1);
      about(announced[0], 40, "after a message");
    },

    async "each wait is a random part, the first one too"({ online, replace }) {
      replace(Math, "random", () => 0.25);
      const client = await online({ backoff: { first: 400 } });
      const announced = waits(client);
      await client.request("echo");
      client.send("close", { code: 4000 });
      await until("a wait", () => announced.length === 1);
      about(announced[0], 100, "a quarter");
    },

    async "who is asked to come back later does"({ online, replace }) {
      replace(Math, "random", () => 0.999999);
      for (const code of [1008, 1009, 1011, 1013, 3013]) {
        const client = await online({ backoff: { first: 20, most: 1_000 } });
        const announced = waits(client);
        await client.request("echo");
        client.send("close", { code });
        await until("a wait", () => announced.length === 1);
        about(announced[0], 160, `after ${code}`);
        client.close();
      }
    },

    async "later is not soon, whatever chance says"({ online, replace }) {
      replace(Math, "random", () => 0);
      const client = await online({ backoff: { first: 20, most: 1_000 } });
      const announced = waits(client);
      client.send("close", { code: 1013 });
      await until("a wait", () => announced.length === 1);
      about(announced[0], 80, "half of it");
      globalThis.dispatchEvent?.(new Event("online"));
      equal(status(client), "waiting", "as long as it was asked to");
    },

    async "a machine that slept finds out at once whether its connection lives"({ online, network, replace }) {
      const net = await network();
      // It would ask by itself in an hour.
      const ping = { every: 3_600_000, timeout: 1_000 };
      const [dead, alive] = [await online({ network: net, ping }), await online({ ping })];
      const blind = await online({ ping: false });
      await net("blackhole");
      await pause(100);
      const now = Date.now.bind(Date);
      let slept = 0;
      replace(Date, "now", () => now() + slept);
      slept = 15_000;
      await isState(dead, "waiting", "connecting");
      await net("heal");
      await isState(dead, "online");
      equal(dead.sockets.length, 2, "connections");
      await until("that it asks", () => alive.sockets[0].sent.length === 2);
      equal([alive.sockets.length, status(alive)], [1, "online"], "the one that lives");
      // Its clock is set back.
      slept = -86_400_000;
      await until("that it asks again", () => alive.sockets[0].sent.length === 3);
      // It can't ask, and begins anew.
      await until("another connection", () => blind.sockets.length === 2);
      await isState(blind, "online");
    },

    async "where each timer is late, a dead connection is found out all the same"({ online, network, replace }) {
      const net = await network();
      const client = await online({ network: net, ping: { every: 3_600_000, timeout: 100 } });
      await net("blackhole");
      // As in a page that was hidden for long.
      const now = Date.now.bind(Date);
      const begun = now();
      replace(Date, "now", () => begun + (now() - begun) * 200);
      equal((await rejects(client.request("echo", 1, { timeout: 50 }))).name, "Timeout");
      await isState(client, "waiting");
    },

    async "what a listener throws is reported, and holds up nothing"({ online, replace }) {
      const reported = [];
      const report = "reportError" in globalThis ? [globalThis, "reportError"] : [console, "error"];
      replace(...report, (error) => reported.push(error.message));
      const client = await online();
      const heard = [];
      client.on("told", () => {
        throw new Error("a slip");
      });
      client.on("told", async () => {
        throw new Error("a late slip");
      });
      client.on("told", (data) => heard.push(data));
      client.state.subscribe(() => {
        throw new Error("a slip of state");
      });
      client.handle("confirm", () => {
        throw new Error("a secret");
      });
      client.handle("count", () => 1n);
      equal((await client.request("ask", { route: "count", data: 1 })).code, "internal");
      ok(/bigint/i.test(reported.pop()), "what has no form in JSON");
      client.send("told", 1);
      equal(await client.request("ask", { route: "confirm", data: 1 }), { kind: "Refused", code: "internal" });
      equal([heard, reported.sort()], [[1], ["a late slip", "a secret", "a slip", "a slip of state"]]);
    },
  },

  async "a connection that is dead without saying so is found out by a ping"({ online, network }) {
    const net = await network();
    const client = await online({ network: net, ping: { every: 150, timeout: 2_000 } });
    await until("an answered ping", () => client.sockets[0].received.some(({ id }) => id === 0));
    await net("blackhole");
    const { code, reason } = await isState(client, "waiting");
    equal([code, reason], [1006, "the server doesn't answer"]);
    await net("heal");
    await isState(client, "online");
    await pause(400);
    equal(status(client), "online", "the next one begins anew");
    equal(client.sockets.filter(({ received }) => received.length > 0).length, 2);
  },

  async "what is said is a sign of life, and nobody is asked for one meanwhile"({ online }) {
    const client = await online({ ping: { every: 2_500, timeout: 2_000 } });
    for (let n = 0; n < 80; n += 1) {
      await client.request("echo", n);
      await pause(40);
    }
    equal(client.sockets[0].sent.filter(({ id }) => id === 0).length, 1, "the first, for an answer");
  },

  async "a request without an answer in time makes it ask"({ online, network }) {
    const net = await network();
    const ping = { every: 3_600_000, timeout: 100 };
    const client = await online({ network: net, ping });
    await net("blackhole");
    equal((await rejects(client.request("echo", 1, { timeout: 100 }))).name, "Timeout");
    await isState(client, "waiting");
  },
};
