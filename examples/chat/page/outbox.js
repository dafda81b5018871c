// One's own lines on their way: sent in order, kept while there is no connection, sent again
// after it, and never shown as said before the server says so.
//
// A line carries a `ref` of its own through every attempt. If an attempt did arrive and only its
// answer was lost, the room's history knows the ref, and the line is said once.

import { RequestError } from "./realtime-client.js";

/**
 * @import { Conversation } from "./conversation.js"
 * @import { Said } from "./routes.js"
 * @import { OwnLine } from "./types.js"
 *
 * @typedef {object} Entry
 * @property {string} ref
 * @property {string} text
 * @property {"queued" | "sent" | "said" | "delivered" | "failed"} state
 * @property {number} attempts
 * @property {OwnLine} view
 */

// After so many attempts without an answer a person decides, not the page.
const ATTEMPTS = 3;

export class Outbox {
  #send;
  #isReady;
  #conversation;
  /** @type {Map<string, Entry>} */
  #lines = new Map();

  /**
   * `send` asks the server to say a line; `isReady` tells whether that makes sense now.
   *
   * @param {{
   *   conversation: Conversation,
   *   send: (line: Omit<Said, "room">) => Promise<unknown>,
   *   isReady: () => boolean,
   * }} options
   */
  constructor({ conversation, send, isReady }) {
    this.#conversation = conversation;
    this.#send = send;
    this.#isReady = isReady;
  }

  /**
   * @param {string} name
   * @param {string} text
   */
  say(name, text) {
    const ref = randomId();
    const onRetry = () => {
      entry.attempts = 0;
      this.#queue(entry);
      this.flush();
    };
    const view = this.#conversation.addOwn({ name, text, onRetry });
    /** @type {Entry} */
    const entry = { ref, text, state: "queued", attempts: 0, view };
    this.#lines.set(ref, entry);
    this.#queue(entry);
    this.flush();
  }

  /** Sends what waits. Call it whenever it is ready again. */
  flush() {
    if (!this.#isReady()) return;
    for (const entry of this.#lines.values()) {
      if (entry.state === "queued") this.#try(entry);
    }
  }

  /**
   * A line as it came to everybody. True if it was one of these.
   *
   * @param {string} ref
   * @param {number} at
   */
  heard(ref, at) {
    const entry = this.#lines.get(ref);
    if (!entry) return false;
    this.#lines.delete(ref);
    entry.state = "delivered";
    entry.view.delivered(at);
    return true;
  }

  /**
   * The connection won't come back by itself: nothing waits any longer.
   *
   * @param {string} why
   */
  fail(why) {
    for (const entry of this.#lines.values()) {
      if (entry.state === "queued" || entry.state === "sent") this.#failed(entry, why);
    }
  }

  /** The conversation begins anew: what was said comes with it, or is lost. */
  begin() {
    for (const { ref, state } of this.#lines.values()) {
      if (state === "said") this.#lines.delete(ref);
    }
  }

  /**
   * A line that is shown already, since it came with the history.
   *
   * @param {string} ref
   */
  isShown(ref) {
    this.#lines.get(ref)?.view.remove();
    this.#lines.delete(ref);
  }

  /** @param {Entry} entry */
  async #try(entry) {
    entry.state = "sent";
    entry.attempts += 1;
    entry.view.pending("Sending");
    try {
      await this.#send({ text: entry.text, ref: entry.ref });
      if (!this.#lines.has(entry.ref)) return;
      // It is kept, and comes to everybody, and here, in its turn.
      entry.state = "said";
      entry.view.delivered();
    } catch (error) {
      if (entry.state !== "sent") return;
      if (error instanceof RequestError) this.#failed(entry, error.message);
      else if (entry.attempts >= ATTEMPTS) this.#failed(entry, "No answer from the server.");
      else this.#queue(entry);
      this.flush();
    }
  }

  /** @param {Entry} entry */
  #queue(entry) {
    entry.state = "queued";
    entry.view.pending("Waiting for the connection");
  }

  /**
   * @param {Entry} entry
   * @param {string} why
   */
  #failed(entry, why) {
    entry.state = "failed";
    entry.view.failed(`Not sent. ${why}`);
  }
}

/** A random UUID. `crypto.randomUUID` is missing where the page isn't served over TLS. */
export function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
