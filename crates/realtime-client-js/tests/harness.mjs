// What every scenario has, in Node and in a page alike: clients whose sockets are watched, networks
// that can be cut, tokens, and waiting for what is to come.

const DEADLINE_MS = 15_000;

export function fail(message) {
  throw new Error(message);
}

export function equal(got, wanted, what = "") {
  const sorted = (_, value) =>
    value?.constructor === Object ? Object.fromEntries(Object.entries(value).sort()) : value;
  const [a, b] = [JSON.stringify(got, sorted), JSON.stringify(wanted, sorted)];
  if (a !== b) fail(`${what}: expected ${b}; got ${a}`);
}

export function ok(value, what) {
  if (!value) fail(`expected ${what}; got ${JSON.stringify(value)}`);
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** The routes of what was sent over a socket, but for pings. */
export const routes = ({ sent }) => sent.map(({ route }) => route).filter((route) => route !== "ping");

/** Waits until it is so, and returns what made it so. */
export async function until(what, isSo) {
  // Not by the clock of the day, with which some scenarios play.
  const begun = performance.now();
  for (;;) {
    const value = await isSo();
    if (value) return value;
    if (performance.now() - begun > DEADLINE_MS) fail(`waited in vain: ${what}`);
    await pause(5);
  }
}

/** The error with which it rejects. */
export async function rejects(promise) {
  let value;
  try {
    value = await promise;
  } catch (error) {
    return error;
  }
  return fail(`expected an error; got ${JSON.stringify(value)}`);
}

/** The state, as soon as it is one of these: some are over in a moment. */
export async function isState(client, ...wanted) {
  let seen;
  const end = client.state.subscribe((state) => {
    if (wanted.includes(state.status)) seen ??= state;
  });
  try {
    return await until(`the state ${wanted}`, () => seen);
  } finally {
    end();
  }
}

let names = 0;
/** A name that nobody else has. */
export const unique = (name) => `${name}-${Date.now().toString(36)}-${(names += 1)}`;

/** A token of this server, in milliseconds from now. */
export function token(name, { roles = "", life = 3_600_000, issued = Date.now() } = {}) {
  return [name, roles, issued, life].join(".");
}

/** Runs one scenario: `lib` is the client's module. */
export async function run(scenario, { lib, origin, WebSocket }) {
  const clients = [];
  const context = {
    lib,
    /** A network of its own in front of the server. */
    async network() {
      const ask = async (path) => {
        const answer = await fetch(`${origin}/network${path}`, { method: "POST" });
        ok(answer.ok, `to ${path} the network`);
        return answer;
      };
      const port = await (await ask("")).json();
      return Object.assign((what) => ask(`/${port}/${what}`), { port });
    },
    /**
     * A client that isn't connected yet. `sockets` has all that it opens: {url, protocols, sent,
     * received}. `drop`, `late` and `twice` are asked of each message that comes: what they say yes to
     * is lost, comes behind the next one, or comes twice. What `edit` returns comes in its place.
     */
    client({ path = "/open", network, drop = () => false, late = () => false, twice = () => false, edit = () => {}, onOpen = () => {}, ...options } = {}) {
      const sockets = [];
      class Watched extends WebSocket {
        constructor(url, protocols) {
          super(url, protocols);
          this.watched = { url, protocols, sent: [], received: [], socket: this };
          sockets.push(this.watched);
        }
        send(frame) {
          this.watched.sent.push(JSON.parse(frame));
          super.send(frame);
        }
        set onopen(call) {
          super.onopen = call && ((event) => {
            call(event);
            onOpen(this);
          });
        }
        held = [];
        set onmessage(call) {
          super.onmessage = call && ((event) => {
            const message = JSON.parse(event.data);
            if (drop(message)) return;
            this.watched.received.push(message);
            if (late(message)) return this.held.push(event);
            const edited = edit(message);
            call(edited ? { data: JSON.stringify(edited) } : event);
            for (const one of this.held.splice(0)) call(one);
            if (twice(message)) call(event);
          });
        }
      }
      const url = new URL(path, origin);
      if (network) url.port = network.port;
      const backoff = { first: 40, most: 400 };
      const client = new lib.Client(url, { backoff, WebSocket: Watched, ...options });
      clients.push(client);
      return Object.assign(client, { sockets });
    },
    /** The code with which a bare socket is closed: what a page sees without this client. */
    closed(path) {
      const url = String(new URL(path, origin)).replace(/^http/, "ws");
      return new Promise((resolve) => {
        const socket = new WebSocket(url);
        // Where nobody has said a code, Deno says 0.
        socket.onclose = ({ code }) => resolve(code || 1006);
        // Of a refusal by a status, of which no more is said; unheard, it would end a program in Node.
        socket.onerror = () => {};
      });
    },
    /** One that is online. */
    async online(options) {
      const client = context.client(options).connect();
      await isState(client, "online");
      return client;
    },
    /** For the length of the scenario, something global is another. */
    replace(object, name, value) {
      const before = Object.getOwnPropertyDescriptor(object, name);
      Object.defineProperty(object, name, { configurable: true, writable: true, value });
      context.undo.push(() => {
        if (before) Object.defineProperty(object, name, before);
        else delete object[name];
      });
    },
    undo: [],
  };
  try {
    await scenario(context);
  } finally {
    for (const undo of context.undo.reverse()) undo();
    for (const client of clients) client.close();
  }
}
