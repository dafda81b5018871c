// One room: its conversation, and where this page is in its history. It joins, recovers what it has
// missed, or loads the newest lines where that can't be had, so each line is shown once.

import { Lost } from "./connection.js";
import { Conversation } from "./conversation.js";
import * as login from "./login.js";
import { Outbox } from "./outbox.js";
import { Typing } from "./typing.js";

const AGAIN_MS = 2_000;

/** Events: "unread" (of `unread`, how many lines of others nobody has looked at). */
export class Room extends EventTarget {
  unread = 0;
  title;
  about;
  #name;
  #connection;
  #conversation;
  #outbox;
  #typing = new Typing();
  /** {epoch, offset}: the last message that came. None before the room was joined. */
  #position = null;
  /** Live messages that wait until what was before them is shown; null when none have to. */
  #held = null;
  #isMember = false;
  #resuming = false;
  #again = false;
  #before = null;
  #isShown = false;

  constructor(connection, { name, title, about }) {
    super();
    Object.assign(this, { title, about });
    this.#name = name;
    this.#connection = connection;
    this.#conversation = new Conversation({ title, about, onEarlier: () => this.#showEarlier() });
    this.#outbox = new Outbox({
      conversation: this.#conversation,
      send: (line) => connection.request("say", { room: name, ...line }),
      isReady: () => this.#isMember,
    });
    connection.addEventListener("state", () => {
      if (connection.state !== "online") this.#isMember = false;
    });
  }

  show() {
    this.#isShown = true;
    this.#conversation.show();
    this.#typing.show();
  }

  hide() {
    this.#isShown = false;
    this.#conversation.hide();
    this.#typing.hide();
  }

  setRead() {
    this.unread = 0;
  }

  say(text) {
    this.#outbox.say(login.current().name, text);
  }

  sayTyping() {
    this.#connection.send("typing", { room: this.#name });
  }

  /** A word of the house, in this room. */
  addEvent(...words) {
    this.#conversation.addEvent(...words);
  }

  stopTyping(person) {
    this.#typing.stop(person);
  }

  fail(why) {
    this.#outbox.fail(why);
  }

  /** A message of the room, or of who is writing in it. */
  receive(message) {
    if (message.route === "typing") this.#typing.add(message.data.person);
    else if (this.#held) this.#held.push(message);
    else if (!this.#position) return; // It is loaded afresh.
    else if (message.offset > this.#position.offset + 1) this.resume();
    else this.#take(message);
  }

  /** Catches up, and is a member afterwards. One at a time; what is asked for meanwhile is next. */
  async resume() {
    this.#again = true;
    if (this.#resuming) return;
    this.#resuming = true;
    try {
      while (this.#again && this.#connection.state === "online") {
        this.#again = false;
        await this.#catchUp();
        this.#isMember = true;
      }
      this.#outbox.flush();
    } catch (error) {
      // A lost connection comes back, and this is called again.
      if (error.temporary) setTimeout(() => this.resume(), AGAIN_MS);
      else if (!(error instanceof Lost)) this.#conversation.addEvent(`This room can't be entered: ${error.message}`);
    } finally {
      this.#held = null;
      this.#resuming = false;
    }
  }

  async #catchUp() {
    const ask = (route, data) => this.#connection.request(route, data);
    const room = `room:${this.#name}`;
    this.#held = [];
    if (this.#position) {
      const answer = await ask("recover", { room, ...this.#position });
      if (answer.recovered) {
        for (const message of answer.missed) this.#take(message);
        this.#position = answer.position;
      } else {
        await this.#loadAfresh(answer.position);
      }
    } else {
      await this.#loadAfresh((await ask("join", { room })).position);
    }
    const held = this.#held;
    this.#held = null;
    for (const message of held) this.receive(message);
    await ask("join", { room: `typing:${this.#name}` });
  }

  /** It is a member from this position on: shows the newest lines up to there, and beyond. */
  async #loadAfresh(position) {
    const { lines, before } = await this.#connection.request("lines", { room: this.#name });
    this.#conversation.begin();
    this.#outbox.begin();
    this.#position = position;
    this.#conversation.addEarlier(lines.map(fromServer));
    for (const { offset, ref } of lines) {
      this.#position.offset = Math.max(this.#position.offset, offset);
      this.#outbox.isShown(ref);
    }
    this.#setBefore(before);
  }

  async #showEarlier() {
    const asked = { room: this.#name, before: this.#before };
    try {
      const { lines, before } = await this.#connection.request("lines", asked);
      this.#conversation.addEarlier(lines.map(fromServer));
      this.#setBefore(before);
    } catch (error) {
      if (!(error instanceof Lost)) console.warn(`Earlier lines stay unknown: ${error.message}`);
    }
  }

  #setBefore(before) {
    this.#before = before;
    this.#conversation.setEarlier(before !== null);
  }

  /** A message that hasn't been here yet. */
  #take({ route, offset, data }) {
    if (offset <= this.#position.offset) return;
    this.#position.offset = offset;
    if (route !== "line") return;
    this.#typing.stop(data.from);
    const isOwn = data.from === login.current().person;
    if (isOwn && this.#outbox.heard(data.ref, data.at)) return;
    this.#conversation.add(fromServer(data));
    if (isOwn) return;
    if (!this.#isShown || document.hidden) {
      this.unread += 1;
      this.dispatchEvent(new Event("unread"));
    }
  }
}

function fromServer({ from, name, text, at }) {
  return { person: from, name, text, at };
}
