// Tokens: where they are shown, when they are asked for, and what becomes of one that is no good.

import { equal, isState, ok, rejects, token, unique, until } from "../harness.mjs";

/** A getter that notes why it was asked, and answers with these, the last one for ever. */
function getter(...answers) {
  const reasons = [];
  const get = ({ reason }) => {
    reasons.push(reason);
    const answer = answers.length > 1 ? answers.shift() : answers[0];
    return typeof answer === "function" ? answer() : answer;
  };
  return Object.assign(get, { reasons });
}

const shown = ({ sockets }) => sockets.map(({ protocols }) => protocols.slice(1).join());
const name = async (client) => (await client.request("who_am_i")).name;

export default {
  async "it is shown as a subprotocol, in the query, or in the first message"({ client }) {
    for (const tokenIn of [undefined, "query", "message"]) {
      const who = unique("ann");
      const one = client({ path: "/ws", token: async () => token(who), ...(tokenIn && { tokenIn }) });
      equal(await name(one.connect()), who, tokenIn);
      const [{ url, protocols, sent }] = one.sockets;
      equal(protocols.length, tokenIn ? 1 : 2, "subprotocols");
      equal(url.includes("token="), tokenIn === "query");
      const routes = sent.map(({ route }) => route);
      equal(routes, [tokenIn === "message" ? "authenticate" : "ping", "who_am_i"]);
    }
  },

  async "it is asked for before each attempt, and told when the last one didn't open"({ client, network }) {
    const net = await network();
    const get = getter(() => token("ann"));
    const one = client({ path: "/ws", network: net, token: get }).connect();
    await isState(one, "online");
    await net("cut");
    await until("three more attempts", () => get.reasons.length >= 4);
    await net("heal");
    await isState(one, "online");
    equal(get.reasons.slice(0, 4), ["connect", "connect", "unreachable", "unreachable"]);
  },

  async "a refusal that a page can't see asks for another token"({ client }) {
    const get = getter("no-token", () => token("ann"));
    await isState(client({ path: "/ws", token: get }).connect(), "online");
    equal(get.reasons, ["connect", "unreachable"]);
  },

  async "a page learns why it is refused where the server accepts and then closes, and there alone"({ closed }) {
    const ended = token("ann", { issued: Date.now() - 2_000, life: 1_000 });
    for (const [shown, code] of [["no-token", 3500], [ended, 3005]]) {
      const seen = [await closed(`/spoken?token=${shown}`), await closed(`/ws?token=${shown}`)];
      equal(seen, [code, 1006], shown);
    }
  },

  async "a refused token is replaced once, and then it ends"({ client }) {
    const get = getter("bad-1", "bad-2", "bad-3");
    const one = client({ path: "/spoken", token: get }).connect();
    const { code } = await isState(one, "ended");
    equal([code, get.reasons, shown(one)], [3500, ["connect", "refused"], ["token.bad-1", "token.bad-2"]]);
  },

  async "a fresh token after a refusal is welcome"({ client }) {
    const get = getter("bad-1", () => token("ann"));
    const one = client({ path: "/spoken", token: get }).connect();
    equal(await name(one), "ann");
    equal(get.reasons, ["connect", "refused"]);
  },

  async "a refused token isn't shown twice"({ client }) {
    const get = getter("bad-1");
    const one = client({ path: "/spoken", token: get }).connect();
    await isState(one, "ended");
    equal([get.reasons, shown(one)], [["connect", "refused"], ["token.bad-1"]]);
  },

  async "a token that has ended isn't shown twice, and it waits for a fresh one"({ client }) {
    const old = token("ann", { issued: Date.now() - 2_000, life: 1_000 });
    const get = getter(old, old, old, () => token("ann"));
    const one = client({ path: "/spoken", token: get }).connect();
    await isState(one, "online");
    equal(get.reasons, ["connect", "expired", "expired", "expired"]);
    equal(one.sockets.length, 2, "attempts");
  },

  async "a token that can't be shown is the end, and is in no message"({ client }) {
    const one = client({ path: "/ws", token: () => "s3cret with spaces" }).connect();
    const { reason } = await isState(one, "ended");
    ok(!reason.includes("s3cret") && reason.includes("characters"), "why, without the token");
  },

  async "without a getter a refusal is the end"({ client }) {
    equal((await isState(client({ path: "/spoken" }).connect(), "ended")).code, 3500);
  },

  async "where nobody is signed in it ends, and begins anew with somebody"({ client }) {
    const get = getter(null, () => token("ann"));
    const one = client({ path: "/ws", token: get }).connect();
    const asked = rejects(one.request("echo"));
    equal((await isState(one, "ended")).reason, "nobody is signed in");
    equal((await asked).name, "ConnectionLost");
    equal(one.sockets.length, 0);
    equal(await name(one.connect()), "ann");
  },

  async "who has no other token after a refusal stays away for that, and so does what waits"({ client, lib }) {
    const ended = token("ann", { issued: Date.now() - 2_000, life: 1_000 });
    const refusals = [
      ["no-token", 3500, "expected valid credentials", "refused"],
      [ended, 3005, "expired", "expired"],
    ];
    for (const [shown, code, reason, asked] of refusals) {
      const get = getter(shown, null);
      const one = client({ path: "/spoken", token: get });
      const room = one.room(unique("kept"));
      one.connect();
      const waiting = [rejects(room.join()), rejects(one.request("echo"))];
      equal(await isState(one, "ended"), { status: "ended", code, reason });
      equal(get.reasons, ["connect", asked]);
      // And who comes too late.
      for (const error of await Promise.all([...waiting, rejects(room.join()), rejects(one.request("echo"))])) {
        ok(error instanceof lib.ConnectionLost && !error.sent, "a ConnectionLost of what wasn't sent");
        equal(error.message, `the client has ended: ${code} ${reason}`);
      }
      // That was the last time.
      one.connect();
      equal(await isState(one, "ended"), { status: "ended", reason: "nobody is signed in" });
    }
  },

  async "a refusal without words is one of the token"({ client }) {
    const get = getter(() => token("ann"), null);
    const one = client({ path: "/ws", token: get }).connect();
    await isState(one, "online");
    one.send("close", { code: 3005 });
    equal(await isState(one, "ended"), { status: "ended", code: 3005, reason: "the token was refused" });
  },

  async "a getter that fails, or takes too long, is asked again"({ client }) {
    const fails = () => Promise.reject(new Error("no network"));
    const get = getter(fails, () => new Promise(() => {}), () => token("ann"));
    const one = client({ path: "/ws", token: get, connectTimeout: 100 }).connect();
    const why = [];
    one.state.subscribe(({ reason }) => reason && why.push(reason));
    await until("the last answer", () => get.reasons.length >= 3);
    const [no, late] = ["Error: no network", "Error: there was no token in time"];
    equal(why.slice(0, 2), [no, late].map((error) => `there is no token now: ${error}`));
  },

  async "one session outlives its tokens"({ client }) {
    const get = getter(() => token("ann", { life: 1_600 }));
    const one = client({ path: "/ws", token: get }).connect();
    const expiring = [];
    one.on("expiring", (data) => expiring.push(data));
    const { session } = await one.request("who_am_i");
    const before = get.reasons.length;
    await until("three more tokens", () => get.reasons.length === before + 3);
    equal((await one.request("who_am_i")).session, session);
    equal(get.reasons.slice(before), ["expiring", "expiring", "expiring"]);
    ok(expiring.length >= 3, "that the page is told, too");
  },

  async "a getter that fails while a token ends is asked again, and nothing is interrupted"({ client }) {
    let fails = 2;
    const reasons = [];
    const get = ({ reason }) => {
      reasons.push(reason);
      if (reason !== "expiring") return token("ann", { life: 2_000 });
      if ((fails -= 1) >= 0) throw new Error("away for a moment");
      return token("ann");
    };
    const one = client({ path: "/ws", token: get }).connect();
    await isState(one, "online");
    const [before, socket] = [one.sockets.length, one.sockets.at(-1)];
    await until("a fresh one is accepted", () => socket.received.some(({ data }) => data?.seconds > 100));
    equal([one.sockets.length, reasons.slice(-3)], [before, ["expiring", "expiring", "expiring"]]);
  },

  async "where no fresh token comes in time, it comes back with one"({ client }) {
    const reasons = [];
    const get = ({ reason }) => {
      reasons.push(reason);
      // Whoever has the tokens is away as long as the old one lives, and longer.
      if (reason === "expiring") return new Promise((_, reject) => setTimeout(reject, 4_000, "away"));
      return token("ann", { life: reason === "expired" ? 3_600_000 : 1_600 });
    };
    const one = client({ path: "/ws", token: get }).connect();
    await isState(one, "online");
    const before = one.sockets.length;
    await until("another connection", () => one.sockets.length > before);
    await isState(one, "online");
    equal(reasons.filter((reason) => reason.startsWith("exp")), ["expiring", "expired"]);
  },

  async "an ended token that was shown for renewal is replaced on the same connection"({ client }) {
    const reasons = [];
    const get = ({ reason }) => {
      reasons.push(reason);
      const ended = { issued: Date.now() - 900, life: 100 };
      return token("ann", reason === "expiring" ? ended : { life: reason === "expired" ? 3_600_000 : 1_600 });
    };
    const one = client({ path: "/ws", token: get }).connect();
    await isState(one, "online");
    const [before, socket] = [one.sockets.length, one.sockets.at(-1)];
    await until("that one is accepted", () => socket.received.some(({ data }) => data?.seconds > 100));
    equal(reasons.filter((reason) => reason.startsWith("exp")), ["expiring", "expired"]);
    equal(one.sockets.length, before);
  },

  async "a token that was revoked is asked about once, and who is signed out stays away"({ client }) {
    const get = getter(() => token("eve"), null);
    const one = client({ path: "/ws", token: get }).connect();
    await one.request("echo");
    one.send("sign_out");
    await isState(one, "ended");
    equal([get.reasons, one.sockets.length], [["connect", "refused"], 1]);
  },

  async "who signs in after another one has closed the client is nobody else"({ client }) {
    let signal;
    let name = "ann";
    const get = (ask) => {
      if (name === "bob") return token("bob");
      ({ signal } = ask);
      return new Promise((resolve) => setTimeout(resolve, 100, token("ann")));
    };
    const one = client({ path: "/ws", token: get }).connect();
    await until("ann's is asked for", () => signal);
    one.close();
    ok(signal.aborted, "that the getter is told");
    name = "bob";
    one.connect();
    equal((await one.request("who_am_i")).name, "bob");
    equal(one.sockets.length, 1);
  },

  async "who asks for a connection after a refusal gets a try, with whatever token"({ client }) {
    const get = getter("bad-1");
    const one = client({ path: "/spoken", token: get }).connect();
    await isState(one, "ended");
    one.connect();
    await isState(one, "ended");
    equal([shown(one), one.state.get().code], [["token.bad-1", "token.bad-1"], 3500]);
  },

  async "a question that was asked for something else isn't the answer to a refusal"({ client }) {
    const reasons = [];
    let isRefused = false;
    const eve = token("eve");
    const get = async ({ reason }) => {
      reasons.push(reason);
      if (reason === "refused") return token("ann");
      if (isRefused) await new Promise((resolve) => setTimeout(resolve, 150));
      return eve;
    };
    const one = client({ path: "/ws", token: get }).connect();
    await isState(one, "online");
    isRefused = true;
    one.send("tell", { route: "expiring", data: { seconds: 1 } });
    await until("it is asked", () => reasons.length === 2);
    one.send("sign_out");
    await until("another connection", () => one.sockets.length === 2);
    equal([(await one.request("who_am_i")).name, reasons], ["ann", ["connect", "expiring", "refused"]]);
  },

  async "who closes a client on its first message is asked for nothing more"({ client }) {
    const reasons = [];
    const get = ({ reason }) => {
      reasons.push(reason);
      if (reason === "expiring") throw new Error("away");
      return token("ann", { life: 1_000 });
    };
    const drop = ({ route }) => route === "ping";
    const one = client({ path: "/ws", token: get, drop }).connect();
    one.state.subscribe(({ status }) => status === "online" && one.close());
    await until("its first message", () => one.sockets[0]?.received.length === 1);
    equal(one.sockets[0].received[0].route, "expiring");
    await new Promise((resolve) => setTimeout(resolve, 200));
    equal([reasons, one.state.get().status], [["connect"], "idle"]);
  },

  async "a fresh token on its way isn't the one that has ended"({ client }) {
    const fresh = token("ann");
    const get = getter(token("ann", { issued: Date.now() - 1_000 }), fresh);
    const one = client({ path: "/ws", token: get, drop: ({ route }) => route === "authenticate" }).connect();
    await isState(one, "online");
    one.send("tell", { route: "expiring", data: { seconds: 1 } });
    await until("it is shown", () => one.sockets[0].sent.some(({ route }) => route === "authenticate"));
    one.send("close", { code: 3005 });
    await until("another connection", () => one.sockets.length === 2);
    equal((await one.request("who_am_i")).name, "ann");
    equal(shown(one)[1], `token.${fresh}`);
  },

  async "where the token is in a cookie it is kept fresh, and shown nowhere"({ client }) {
    const get = getter(() => token("ann"));
    const one = client({ token: get, tokenIn: "none" }).connect();
    await one.request("echo");
    const [{ url, protocols }] = one.sockets;
    equal([get.reasons, protocols.length, url.includes("token")], [["connect"], 1, false]);
  },

  alone: {
    async "a token that came in time while the thread was held up is taken"({ client }) {
      const connectTimeout = 1_000;
      const one = client({
        path: "/ws",
        connectTimeout,
        token: () =>
          new Promise((resolve) => {
            // It stands right behind the timer of the getter.
            setTimeout(() => resolve(token("ann")), connectTimeout + 20);
            const begun = performance.now();
            while (performance.now() - begun < connectTimeout + 300);
          }),
      });
      const why = [];
      one.state.subscribe(({ reason }) => reason && why.push(reason));
      one.connect();
      await until("a socket, or a reason", () => one.sockets.length || why.length);
      equal(why, []);
    },

    async "a getter that fails while a token ends is asked ever less often"({ client, replace }) {
      replace(Math, "random", () => 0.999);
      const reasons = [];
      const get = ({ reason }) => {
        reasons.push(reason);
        if (reason === "expiring") throw new Error("away");
        return token("ann");
      };
      const one = client({ path: "/ws", token: get, backoff: { first: 60, most: 10_000 } }).connect();
      await isState(one, "online");
      one.send("tell", { route: "expiring", data: { seconds: 1 } });
      // At 0, 60, 180 and 420 ms.
      await new Promise((resolve) => setTimeout(resolve, 800));
      equal(reasons.length, 5);
      one.close();
      await new Promise((resolve) => setTimeout(resolve, 300));
      equal(reasons.length, 5, "a closed client asks nobody");
    },
  },

  async "two who need a token at once ask for one"({ client, lib }) {
    // A refresh token is good once: the second question would sign everybody out.
    let [open, most] = [0, 0];
    const get = async () => {
      most = Math.max(most, (open += 1));
      await new Promise((resolve) => setTimeout(resolve, 60));
      open -= 1;
      return token("ann");
    };
    const one = client({ path: "/ws", token: get }).connect();
    await isState(one, "online");
    one.send("tell", { route: "expiring", data: { seconds: 1 } });
    one.send("tell", { route: "expiring", data: { seconds: 1 } });
    one.send("close", { code: 4000 });
    await until("another connection", () => one.sockets.length === 2);
    await isState(one, "online");
    equal(most, 1);
  },
};
