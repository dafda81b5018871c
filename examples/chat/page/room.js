// One room: its conversation, and where this page is in its history. It joins, recovers what it has
// missed, or loads the newest lines where that can't be had, so each line is shown once.

import { Lost } from "./connection.js";
import { Conversation } from "./conversation.js";
import * as login from "./login.js";
import { Outbox } from "./outbox.js";
import { Presence, somebody } from "./presence.js";
import { Typing } from "./typing.js";

const AGAIN_MS = 2_000;
// Who was removed may come back in some minutes: no need to hurry.
const REMOVED_AGAIN_MS = 15_000;

/**
 * Events: "unread" (of `unread`, how many lines of others nobody has looked at), "people" (who is
 * here), and "refusal" (of `refusal`, why one may not come in; "" if one may).
 */
export class Room extends EventTarget {
  unread = 0;
  refusal = "";
  title;
  about;
  #name;
  #connection;
  #conversation;
  #outbox;
  #typing = new Typing();
  #presence;
  /** {epoch, offset}: the last message that came. None before the room was joined. */
  #position = null;
  /** Live messages that wait until what was before them is shown; null when none have to. */
  #held = null;
  #isMember = false;
  #resuming = false;
  #again = false;
  #timer = 0;
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
    this.#presence = new Presence({
      ask: (data) => connection.request("members", { room: `room:${name}`, ...data }),
      onChange: () => this.dispatchEvent(new Event("people")),
      onCome: (who) => this.#tell(who, "joined"),
      onGo: (who) => this.#tell(who, "left"),
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

  /** Who is here: {id, person, name}. */
  people() {
    return this.#presence.people();
  }

  /** Asks the server who is here. An answer of any kind shows that the connection lives. */
  async askWho() {
    try {
      await this.#presence.refresh();
    } catch (error) {
      // Presence may be away for a while, as the connection may: the next question finds out.
      if (!(error instanceof Lost)) console.debug(`Who is in ${this.#name} stays unknown: ${error.message}`);
    }
  }

  /** For moderators. */
  remove({ id }) {
    return this.#connection.request("remove", { room: this.#name, id });
  }

  fail(why) {
    this.#outbox.fail(why);
  }

  /** A message of the room, or of who is writing in it. */
  receive(message) {
    if (message.route === "typing") this.#typing.add(message.data);
    else if (message.route === "people") this.#presence.receive(message.data);
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
        this.#setRefusal("");
      }
      this.#outbox.flush();
      this.askWho();
    } catch (error) {
      this.#refused(error);
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

  #refused(error) {
    // A lost connection comes back, and this is called again.
    if (error instanceof Lost) return;
    const wasRemoved = error.code === "removed";
    if (error.temporary) {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.resume(), wasRemoved ? REMOVED_AGAIN_MS : AGAIN_MS);
      if (!wasRemoved) return;
    }
    this.#isMember = false;
    this.#outbox.fail(error.message);
    this.#presence.clear();
    this.#setRefusal(error.message);
  }

  #setRefusal(why) {
    if (why === this.refusal) return;
    this.refusal = why;
    this.dispatchEvent(new Event("refusal"));
  }

  /** Tells those who are here of somebody else. */
  #tell({ person, name }, what) {
    if (what !== "joined") this.#typing.stop(person);
    if (person !== login.current().person) this.#conversation.addEvent("", name, ` ${what}`);
  }

  /** A message that hasn't been here yet. */
  #take({ route, offset, data }) {
    if (offset <= this.#position.offset) return;
    this.#position.offset = offset;
    if (route === "removed") {
      this.#presence.remove(data.id);
      this.#tell(somebody(data.id), "was removed by a moderator");
    }
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
