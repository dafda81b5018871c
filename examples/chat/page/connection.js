// A connection that comes back: the WebSocket, requests with replies, and reconnecting.
//
// Frames are JSON envelopes {id?, route, room?, offset?, data?}. A request carries an id; its reply has the same
// id and route, or the route "error" with {code, message, temporary}.

const BACKOFF_FIRST_MS = 500;
const BACKOFF_CAP_MS = 10_000;
// A connection that lived this long was a good one: the next back-off starts small again.
const STABLE_MS = 5_000;
const OPEN_TIMEOUT_MS = 10_000;

/** The server answered a request with an error. */
export class Refused extends Error {
  constructor({ code = "unknown", message = "The server gave no reason.", temporary = false } = {}) {
    super(message);
    this.code = code;
    this.temporary = temporary;
  }
}

/** The connection ended, or stayed silent, before a request was answered: its outcome is unknown. */
export class Lost extends Error {}

/**
 * Events: "state" (a change of `state`; see there) and "message" (detail: {route, room, offset, data}).
 *
 * `state` is one of
 * - "idle": not opened, or closed by `close()`;
 * - "connecting": the handshake runs;
 * - "online";
 * - "waiting": the next attempt is at `retryAt` (milliseconds since 1970);
 * - "offline": as "waiting", but the browser says that there is no network;
 * - "ended": the server asked not to reconnect; `endReason` is its reason, if any.
 */
export class Connection extends EventTarget {
  state = "idle";
  retryAt = 0;
  endReason = "";

  #prepare;
  #socket = null;
  #current = 0;
  #attempt = 0;
  #openedAt = 0;
  #timer = 0;
  #lastId = 0;
  #requests = new Map();

  /** `prepare` is called before each attempt, and resolves to a URL and subprotocols. */
  constructor(prepare) {
    super();
    this.#prepare = prepare;
    window.addEventListener("online", () => this.retry());
    window.addEventListener("offline", () => {
      if (this.state === "waiting") this.#change("offline");
    });
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.retry();
    });
    // A page that was frozen in the back-forward cache comes back with a dead socket.
    window.addEventListener("pageshow", (event) => {
      if (event.persisted) this.retry();
    });
  }

  open() {
    if (this.state !== "idle" && this.state !== "ended") return;
    this.#attempt = 0;
    this.#connect();
  }

  /** Tries at once if it is waiting for a better moment; else does nothing. */
  retry() {
    if (this.state === "waiting" || this.state === "offline") this.#connect();
  }

  close() {
    this.#abandon(1000);
    this.#change("idle");
  }

  /** Sends without expecting an answer; dropped when not online. */
  send(route, data) {
    if (this.state === "online") this.#socket.send(JSON.stringify({ route, data }));
  }

  /** Resolves to the reply's data; rejects with `Refused` or `Lost`. */
  request(route, data, { timeoutMs = 10_000 } = {}) {
    if (this.state !== "online") return Promise.reject(new Lost("not connected"));
    const id = String(++this.#lastId);
    return new Promise((resolve, reject) => {
      // No answer means that the link is dead or the server is: either way, begin again.
      const timer = setTimeout(() => this.#drop(), timeoutMs);
      this.#requests.set(id, { resolve, reject, timer });
      this.#socket.send(JSON.stringify({ id, route, data }));
    });
  }

  async #connect() {
    const attempt = ++this.#current;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#drop(), OPEN_TIMEOUT_MS);
    this.#change("connecting");
    const prepared = await this.#prepare().catch(() => null);
    if (attempt !== this.#current) return;
    if (prepared) this.#open(prepared);
    else this.#drop();
  }

  #open({ url, protocols }) {
    const socket = new WebSocket(url, protocols);
    this.#socket = socket;
    // A socket that was given up may still speak: only the current one is listened to.
    const on = (type, handler) =>
      socket.addEventListener(type, (event) => {
        if (socket === this.#socket) handler(event);
      });
    on("open", () => {
      clearTimeout(this.#timer);
      this.#openedAt = Date.now();
      this.#change("online");
    });
    on("message", (event) => this.#receive(event.data));
    on("close", (event) => this.#closed(event));
  }

  #receive(frame) {
    let message;
    try {
      message = JSON.parse(frame);
    } catch {
      return; // Not ours. The server speaks JSON only.
    }
    const request = message.id === undefined ? undefined : this.#requests.get(message.id);
    if (request) {
      this.#requests.delete(message.id);
      clearTimeout(request.timer);
      if (message.route === "error") request.reject(new Refused(message.data));
      else request.resolve(message.data);
    } else {
      const detail = { ...message, data: message.data ?? {} };
      this.dispatchEvent(new CustomEvent("message", { detail }));
    }
  }

  #closed({ code, reason }) {
    this.#abandon();
    // The ranges in which a server of this framework says: do not come back.
    const farewell = (code >= 3500 && code < 4000) || (code >= 4500 && code < 5000);
    if (farewell) {
      this.endReason = reason;
      this.#change("ended");
    } else {
      this.#wait();
    }
  }

  /** Gives up a socket that doesn't answer, without waiting for it to notice. */
  #drop() {
    this.#abandon();
    this.#wait();
  }

  #abandon(code) {
    this.#current += 1;
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close(code);
    for (const { reject, timer } of this.#requests.values()) {
      clearTimeout(timer);
      reject(new Lost("the connection ended before the answer"));
    }
    this.#requests.clear();
  }

  /** Full jitter: a random part of a doubling, capped delay, so that a crowd comes back spread. */
  #wait() {
    clearTimeout(this.#timer);
    if (this.#openedAt && Date.now() - this.#openedAt > STABLE_MS) this.#attempt = 0;
    this.#openedAt = 0;
    const ceiling = Math.min(BACKOFF_CAP_MS, BACKOFF_FIRST_MS * 2 ** this.#attempt);
    const delay = Math.random() * ceiling;
    this.#attempt = Math.min(this.#attempt + 1, 16);
    this.retryAt = Date.now() + delay;
    this.#timer = setTimeout(() => this.#connect(), delay);
    // Offline is only the browser's opinion (a server on this machine can be reached all the
    // same), so it changes what is shown, not what is done.
    this.#change(navigator.onLine ? "waiting" : "offline");
  }

  #change(state) {
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }
}
