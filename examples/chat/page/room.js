// One room: its conversation, who is there, and what this page says in it. The client has it in
// order, each message once; where something can't be had any more, the newest lines are loaded.

/**
 * @import { RoomState } from "./realtime-client.js"
 * @import { Line } from "./routes.js"
 * @import { About, Client, Said, Somebody } from "./types.js"
 */

import { Conversation } from "./conversation.js";
import * as login from "./login.js";
import { Outbox } from "./outbox.js";
import { Presence, somebody } from "./presence.js";
import { RequestError } from "./realtime-client.js";
import { Typing } from "./typing.js";

const AGAIN_MS = 2_000;

/**
 * Events: "unread" (of `unread`, how many lines of others nobody has looked at), "people" (who is
 * here), and "refusal" (of `refusal`, why one may not come in; "" if one may).
 */
export class Room extends EventTarget {
  unread = 0;
  refusal = "";
  #name;
  #client;
  /** What is said, and who is there: kept. */
  #said;
  /** Who is writing: not kept. */
  #writing;
  #conversation;
  #outbox;
  #typing = new Typing();
  #presence;
  /**
   * What came while lines are loaded, and goes behind them; null when none are.
   *
   * @type {{ offset: number, take: () => void }[] | null}
   */
  #held = null;
  #isLoaded = false;
  /** @type {number | null} */
  #before = null;
  #isShown = false;

  /**
   * @param {Client} client
   * @param {About} room
   */
  constructor(client, { name, title, about }) {
    super();
    this.title = title;
    this.about = about;
    this.#name = name;
    this.#client = client;
    this.#said = client.room(`room:${name}`);
    this.#writing = client.room(`typing:${name}`);
    this.#conversation = new Conversation({ title, about, onEarlier: () => this.#showEarlier() });
    this.#outbox = new Outbox({
      conversation: this.#conversation,
      send: (line) => client.request("say", { room: name, ...line }),
      isReady: () => this.#isReady(),
    });
    this.#presence = new Presence({
      ask: (page) => this.#said.members(page),
      onChange: () => this.dispatchEvent(new Event("people")),
      onCome: (who) => this.#tell(who, "joined"),
      onGo: (who) => this.#tell(who, "left"),
    });
    this.#listen();
  }

  #listen() {
    const [said, writing] = [this.#said, this.#writing];
    said.on("line", (line, message) => this.#receive(message, () => this.#takeLine(line)));
    said.on("gone", ({ id }, message) => this.#receive(message, () => this.#takeRemoval(id)));
    said.on("people", (data) => this.#presence.receive(data));
    writing.on("typing", (data) => this.#typing.add(data));
    said.when("joined", () => this.#load());
    said.when("lost", () => this.#load());
    said.when("recovered", () => (this.#isLoaded ? this.#isBack() : this.#load()));
    said.state.subscribe((state) => this.#show(state));
    // Why one may not come in is in the state.
    for (const room of [said, writing]) room.join().catch(() => {});
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

  /** @param {string} text */
  say(text) {
    this.#outbox.say(login.me().name, text);
  }

  sayTyping() {
    this.#client.send("typing", { room: this.#name });
  }

  /** Who is here. */
  people() {
    return this.#presence.people();
  }

  /** Asks the server who is here. */
  async askWho() {
    if (!this.#isReady()) return;
    try {
      await this.#presence.refresh();
    } catch (error) {
      // Presence may be away for a while, as the connection may: the next question finds out.
      if (error instanceof RequestError) console.debug(`Who is in ${this.#name} stays unknown: ${error.message}`);
    }
  }

  /**
   * For moderators.
   *
   * @param {Somebody} somebody
   */
  remove({ id }) {
    return this.#client.request("remove", { room: this.#name, id });
  }

  /** @param {string} why */
  fail(why) {
    this.#outbox.fail(why);
  }

  #isReady() {
    return this.#isLoaded && this.#isIn();
  }

  /** @param {RoomState} state */
  #show({ status, error }) {
    if (status === "joined") return this.#setRefusal("");
    // Who was removed is let in again some time, which the client finds out.
    const isRemoved = error instanceof RequestError && error.code === "removed";
    if (!error || (status !== "refused" && !isRemoved)) return;
    this.#outbox.fail(error.message);
    this.#presence.clear();
    this.#setRefusal(error.message);
  }

  /** Shows the newest lines, and behind them what has come since they were asked for. */
  async #load() {
    this.#isLoaded = false;
    /** @type {{ offset: number, take: () => void }[]} */
    const held = (this.#held = []);
    try {
      const { lines, before } = await this.#client.request("lines", { room: this.#name });
      if (held !== this.#held) return;
      this.#conversation.begin();
      this.#outbox.begin();
      this.#conversation.addEarlier(lines.map(fromServer));
      for (const { ref } of lines) this.#outbox.isShown(ref);
      this.#setBefore(before);
      this.#held = null;
      this.#isLoaded = true;
      const last = Math.max(0, ...lines.map(({ offset }) => offset));
      for (const { offset, take } of held) if (offset > last) take();
      this.#isBack();
    } catch {
      // Without a connection it is loaded with the next one.
      if (held === this.#held) setTimeout(() => held === this.#held && this.#isIn() && this.#load(), AGAIN_MS);
    }
  }

  #isIn() {
    return this.#said.state.get().status === "joined";
  }

  #isBack() {
    this.#outbox.flush();
    this.askWho();
  }

  async #showEarlier() {
    const asked = { room: this.#name, before: this.#before };
    try {
      const { lines, before } = await this.#client.request("lines", asked);
      this.#conversation.addEarlier(lines.map(fromServer));
      this.#setBefore(before);
    } catch (error) {
      if (error instanceof RequestError) console.warn(`Earlier lines stay unknown: ${error.message}`);
    }
  }

  /** @param {number | null} before */
  #setBefore(before) {
    this.#before = before;
    this.#conversation.setEarlier(before !== null);
  }

  /** @param {string} why */
  #setRefusal(why) {
    if (why === this.refusal) return;
    this.refusal = why;
    this.dispatchEvent(new Event("refusal"));
  }

  /**
   * Tells those who are here of somebody else.
   *
   * @param {Somebody} somebody
   * @param {string} what
   */
  #tell({ person, name }, what) {
    if (what !== "joined") this.#typing.stop(person);
    if (person !== login.me().person) this.#conversation.addEvent("", name, ` ${what}`);
  }

  /**
   * @param {{ offset?: number }} message
   * @param {() => void} take
   */
  #receive({ offset = 0 }, take) {
    if (this.#held) this.#held.push({ offset, take });
    else take();
  }

  /** @param {string} id */
  #takeRemoval(id) {
    this.#presence.remove(id);
    this.#tell(somebody(id), "was removed by a moderator");
  }

  /** @param {Line} line */
  #takeLine(line) {
    this.#typing.stop(line.from);
    const isOwn = line.from === login.me().person;
    if (isOwn && this.#outbox.heard(line.ref, line.at)) return;
    this.#conversation.add(fromServer(line));
    if (isOwn) return;
    if (!this.#isShown || document.hidden) {
      this.unread += 1;
      this.dispatchEvent(new Event("unread"));
    }
  }
}

/**
 * @param {Line} line
 * @returns {Said}
 */
function fromServer({ from, name, text, at }) {
  return { person: from, name, text, at };
}
