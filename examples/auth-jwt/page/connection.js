// One WebSocket that outlives its tokens. Told that a token ends, it gets a fresh one and shows it
// on the same connection; where the connection is lost, it comes back with a fresh one.

import { SignedOut, refresh } from "./account.js";

const BACKOFF_FIRST_MS = 500;
const BACKOFF_CAP_MS = 10_000;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Events: "state" (`state` has changed), "shown" (a token was accepted) and "message" (detail:
 * {route, data}).
 *
 * `state` is "connecting", "online", "waiting" (for the next attempt), or "ended", from which it
 * doesn't come back; `why` says why.
 */
export class Connection extends EventTarget {
  state = "connecting";
  why = "";

  #socket = null;
  #attempt = 0;
  #lastId = 0;
  #requests = new Map();

  /** With a token that wasn't shown yet. */
  open(token) {
    this.#change("connecting");
    const url = new URL("ws", location.href);
    url.protocol = url.protocol.replace("http", "ws");
    // The token is offered as a subprotocol, which stands in no log; the other one is chosen.
    const socket = new WebSocket(url, ["realtime.json", `token.${token}`]);
    this.#socket = socket;
    socket.onopen = () => {
      this.#change("online");
      this.dispatchEvent(new Event("shown"));
    };
    socket.onmessage = ({ data }) => this.#receive(socket, JSON.parse(data));
    socket.onclose = ({ code }) => this.#closed(socket, code);
  }

  /** Resolves to the answer, {route, data}; to nothing, where the connection ends before. */
  request(route, data) {
    return new Promise((resolve) => {
      if (this.state !== "online") return resolve();
      const id = ++this.#lastId;
      this.#requests.set(id, resolve);
      this.#socket.send(JSON.stringify({ id, route, data }));
    });
  }

  /** Doesn't come back. */
  end(why) {
    this.why = why;
    this.#change("ended");
    this.#socket?.close(1000);
  }

  #receive(socket, message) {
    // Not when it opens: something on the way may end each connection right after that.
    this.#attempt = 0;
    if (message.route === "expiring") return this.#renew(socket);
    const answered = this.#requests.get(message.id);
    this.#requests.delete(message.id);
    if (answered) answered(message);
    else this.dispatchEvent(new CustomEvent("message", { detail: message }));
  }

  /** Until it has worked, or the server closes the connection with 3005. */
  async #renew(socket) {
    for (;;) {
      const token = await this.#fresh();
      if (socket !== this.#socket || this.state !== "online") return;
      const answer = token && (await this.request("authenticate", { token }));
      if (answer?.route === "authenticate") return this.dispatchEvent(new Event("shown"));
      await pause(500);
    }
  }

  #closed(socket, code) {
    if (socket !== this.#socket) return;
    this.#socket = null;
    for (const answered of this.#requests.values()) answered();
    this.#requests.clear();
    if (this.state === "ended") return;
    // 3500: signed out, here or elsewhere. In these ranges the server says: don't come back.
    if ((code >= 3500 && code < 4000) || code >= 4500) this.end(`you are signed out (${code})`);
    // Whatever else it was, 3005 and a refused token among it: who has a fresh token may come back.
    else this.#comeBack();
  }

  async #comeBack() {
    this.#change("waiting");
    while (this.state === "waiting") {
      // Full jitter, so that a crowd comes back spread.
      await pause(Math.random() * Math.min(BACKOFF_CAP_MS, BACKOFF_FIRST_MS * 2 ** this.#attempt++));
      const token = this.state === "waiting" && (await this.#fresh());
      if (token && this.state === "waiting") return this.open(token);
    }
  }

  /** Nothing, where there is none now; where there will be none any more, it ends. */
  async #fresh() {
    try {
      return (await refresh()).token;
    } catch (error) {
      if (error instanceof SignedOut) this.end("you are signed out: the login has ended");
      return null;
    }
  }

  #change(state) {
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }
}
