// A WebSocket that comes back, and requests with replies over it.
//
// Frames are JSON envelopes {id?, route, room?, offset?, data?}; a reply has the id of its request,
// and the route "error" where it failed.

const BACKOFF_FIRST_MS = 250;
const BACKOFF_CAP_MS = 5_000;
const ANSWER_MS = 10_000;

/** The server answered a request with an error. */
export class Refused extends Error {
  constructor({ code, message, temporary = false }) {
    super(message);
    this.code = code;
    this.temporary = temporary;
  }
}

/** The connection ended before there was an answer: what became of the request is unknown. */
export class Lost extends Error {}

/** Events: "state" (of `state`: "connecting", "online" or "waiting") and "message". */
export class Connection extends EventTarget {
  state = "connecting";
  #url;
  #socket = null;
  #attempt = 0;
  #timer = 0;
  #lastId = 0;
  #requests = new Map();

  constructor(url) {
    super();
    this.#url = url;
  }

  open() {
    clearTimeout(this.#timer);
    const socket = new WebSocket(this.#url, ["realtime.json"]);
    this.#socket = socket;
    socket.onopen = () => {
      this.#attempt = 0;
      this.#change("online");
    };
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    socket.onclose = () => this.#end();
    this.#change("connecting");
  }

  /** Ends the connection, and stays away for a while. */
  cut(forMs) {
    this.#end(forMs);
  }

  /** Resolves to the data of the reply; rejects with `Refused` or `Lost`. */
  request(route, data) {
    if (this.state !== "online") return Promise.reject(new Lost("not connected"));
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#end(), ANSWER_MS);
      this.#requests.set(id, { resolve, reject, timer });
      this.#socket.send(JSON.stringify({ id, route, data }));
    });
  }

  #receive(message) {
    const request = this.#requests.get(message.id);
    if (!request) {
      this.dispatchEvent(new CustomEvent("message", { detail: message }));
      return;
    }
    this.#requests.delete(message.id);
    clearTimeout(request.timer);
    if (message.route === "error") request.reject(new Refused(message.data));
    else request.resolve(message.data);
  }

  /** Gives the socket up. Without a time it waits a random part of a doubling one. */
  #end(waitMs) {
    const socket = this.#socket;
    this.#socket = null;
    if (socket) socket.onopen = socket.onmessage = socket.onclose = null;
    socket?.close();
    for (const { reject, timer } of this.#requests.values()) {
      clearTimeout(timer);
      reject(new Lost("the connection ended before the answer"));
    }
    this.#requests.clear();
    const ceiling = Math.min(BACKOFF_CAP_MS, BACKOFF_FIRST_MS * 2 ** this.#attempt++);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.open(), waitMs ?? Math.random() * ceiling);
    this.#change("waiting");
  }

  #change(state) {
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }
}
