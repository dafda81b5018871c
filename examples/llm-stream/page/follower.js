// Follows one answer: joins its room, recovers what was missed, or loads afresh what can't be
// recovered. Every token is taken once and in order, whatever happens to the connection.

import { Lost } from "./connection.js";
import { room } from "./store.js";

export class Follower {
  #connection;
  #record;
  #changed;
  /** One resumption at a time; what is asked for meanwhile is done after it. */
  #resuming = false;
  #again = false;
  /** Live messages while the answer is loaded afresh. */
  #held = null;
  #stopped = false;

  /** `changed` is called after each change of the record, with what happened. */
  constructor(connection, record, changed) {
    this.#connection = connection;
    this.#record = record;
    this.#changed = changed;
  }

  /** Catches up, and is a member of the room afterwards. Call it whenever the connection is up. */
  async resume() {
    if (this.#stopped || this.#isOver()) return;
    if (this.#resuming) {
      this.#again = true;
      return;
    }
    this.#resuming = true;
    try {
      do {
        this.#again = false;
        await this.#catchUp();
      } while (this.#again && this.#connection.state === "online");
    } catch (error) {
      this.#held = null;
      // A lost connection comes back, and this is called again.
      if (!(error instanceof Lost)) this.#fail(error);
    } finally {
      this.#resuming = false;
    }
  }

  /** Follows no longer. */
  stop() {
    this.#stopped = true;
    this.#leave();
  }

  /** A live message of the room. */
  receive(message) {
    if (this.#held) this.#held.push(message);
    else if (message.offset > this.#record.offset + 1) this.resume();
    else this.#take(message);
  }

  async #catchUp() {
    const record = this.#record;
    const { id, question, epoch, offset } = record;
    const ask = (route, data) => this.#connection.request(route, data);
    let fresh = false;
    if (!epoch) {
      const { position } = await ask("join", { room: room(record) });
      Object.assign(record, position);
    } else {
      const answer = await ask("recover", { room: room(record), epoch, offset });
      fresh = !answer.recovered;
      if (fresh) {
        // It is a member from this position on; the text up to it comes from the server.
        this.#held = [];
        Object.assign(record, answer.position);
      } else {
        for (const message of answer.missed) this.#take(message);
        this.#changed({ recovered: answer.missed.length });
      }
    }
    if (record.state === "asking") {
      // Perhaps for the second time: the server knows the id.
      await ask("ask", { id, question });
      if (record.state === "asking") record.state = "streaming";
    }
    if (fresh) this.#loadAfresh(await ask("load", { id }));
    this.#changed({});
  }

  #loadAfresh({ text, next, done }) {
    Object.assign(this.#record, { text, next, state: done ? "done" : "streaming" });
    const held = this.#held;
    this.#held = null;
    for (const message of held) this.receive(message);
    this.#changed({ fresh: true, grew: true });
    if (done) this.#leave();
  }

  /** What has come before is dropped: by its offset, and after loading afresh by its number. */
  #take({ route, offset, data }) {
    const record = this.#record;
    if (offset <= record.offset || this.#isOver()) return;
    record.offset = offset;
    if (route === "token" && data.n === record.next) {
      record.text += data.text;
      record.next += 1;
      record.state = "streaming";
    } else if (route === "end") {
      record.state = "done";
      this.#leave();
    }
    this.#changed({ grew: true });
  }

  #fail(error) {
    if (error.temporary) {
      setTimeout(() => this.resume(), 1_000 + Math.random() * 1_000);
      return;
    }
    this.#record.state = "lost";
    this.#changed({ why: error.message });
    this.#leave();
  }

  #isOver() {
    return this.#record.state === "done" || this.#record.state === "lost";
  }

  #leave() {
    this.#connection.request("leave", { room: room(this.#record) }).catch(() => {});
  }
}
