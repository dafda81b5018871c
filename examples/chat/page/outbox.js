// One's own lines on their way: sent in order, kept while there is no connection, sent again
// after it, and never shown as said before the server says so.
//
// A line carries a `ref` of its own through every attempt. If an attempt did arrive and only its
// answer was lost, the room's history knows the ref, and the line is said once.

import { Lost } from "./connection.js";

// After so many attempts without an answer a person decides, not the page.
const ATTEMPTS = 3;

export class Outbox {
  #connection;
  #conversation;
  #room;
  #lines = new Map();

  constructor(connection, conversation, room) {
    this.#connection = connection;
    this.#conversation = conversation;
    this.#room = room;
  }

  say(name, text) {
    const ref = randomId();
    const entry = { ref, text, state: "queued", attempts: 0 };
    entry.view = this.#conversation.addOwn({
      name,
      text,
      onRetry: () => {
        entry.attempts = 0;
        this.#queue(entry);
        this.flush();
      },
    });
    this.#lines.set(ref, entry);
    this.#queue(entry);
    this.flush();
  }

  /** Sends what waits. Call it whenever the connection is up again. */
  flush() {
    if (this.#connection.state !== "online") return;
    for (const entry of this.#lines.values()) {
      if (entry.state === "queued") this.#send(entry);
    }
  }

  /** A line as it came to everybody. True if it was one of these. */
  heard(ref, at) {
    const entry = this.#lines.get(ref);
    if (!entry) return false;
    this.#lines.delete(ref);
    entry.state = "delivered";
    entry.view.delivered(at);
    return true;
  }

  /** The connection won't come back by itself: nothing waits any longer. */
  fail(why) {
    for (const entry of this.#lines.values()) {
      if (entry.state !== "failed") this.#failed(entry, why);
    }
  }

  /** A line that is shown already, since it came with the history. */
  isShown(ref) {
    this.#lines.get(ref)?.view.remove();
    this.#lines.delete(ref);
  }

  async #send(entry) {
    entry.state = "sent";
    entry.attempts += 1;
    entry.view.pending("Sending");
    try {
      await this.#connection.request("say", { room: this.#room, text: entry.text, ref: entry.ref });
      this.heard(entry.ref);
    } catch (error) {
      if (entry.state !== "sent") return;
      if (!(error instanceof Lost)) this.#failed(entry, error.message);
      else if (entry.attempts >= ATTEMPTS) this.#failed(entry, "No answer from the server.");
      else this.#queue(entry);
    }
  }

  #queue(entry) {
    entry.state = "queued";
    entry.view.pending("Waiting for the connection");
  }

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
