// Who comes and goes, as the server says, kept in the roster. It is of the whole chat; where rooms
// say who is in them, this is the file that changes.

import { Lost } from "./connection.js";
import { roster } from "./people.js";

const ASK_LIMIT = 200;
const ASK_EVERY_MS = 20_000;
// After a reconnect the others may still be reconnecting: two quick questions, then the usual pace.
const ASK_AGAIN_MS = 12_000;

export class Presence {
  #connection;
  #rooms;
  #me = null;
  #timer = 0;

  constructor(connection, rooms) {
    this.#connection = connection;
    this.#rooms = rooms;
    connection.addEventListener("state", () => {
      clearTimeout(this.#timer);
      if (connection.state !== "online") return;
      // Who one is may have changed, if the server had lost its key.
      if (!roster.isOf(this.#me)) roster.begin(this.#me);
      this.#ask(ASK_AGAIN_MS);
    });
    document.addEventListener("visibilitychange", () => {
      // Timers of a hidden page sleep, and so may its socket: find out before the person does.
      if (document.visibilityState === "visible" && connection.state === "online") this.#ask();
    });
  }

  begin(me) {
    this.#me = me;
    roster.begin(me);
  }

  receive({ route, data }) {
    const { person, name } = data;
    if (person === this.#me?.person) return;
    if (route === "joined") {
      if (roster.add(person, name)) this.#tell(name, "joined");
      // In a full house everybody answers a newcomer: not all in the same instant.
      const spread = Math.random() * Math.min(roster.size * 5, 1000);
      setTimeout(() => this.#connection.send("here", { to: person }), spread);
    } else if (route === "here") {
      roster.add(person, name);
    } else if (route === "left") {
      this.#rooms.stopTyping(person);
      if (roster.remove(person)) this.#tell(name, "left");
    }
  }

  #tell(name, what) {
    this.#rooms.shown.addEvent("", name, ` ${what}`);
  }

  /** Asks which of the people shown are there. It is the page's heartbeat, too. */
  async #ask(againMs = ASK_EVERY_MS) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ask(), againMs);
    const asked = roster.others().slice(0, ASK_LIMIT);
    try {
      const { people } = await this.#connection.request("online", { people: asked });
      for (const { person, name } of roster.reconcile(asked, people)) {
        this.#rooms.stopTyping(person);
        this.#tell(name, "is gone");
      }
    } catch (error) {
      // Presence may be away for a while, as the connection may: the next question finds out.
      if (!(error instanceof Lost)) console.warn(`Who is online stays unknown: ${error.message}`);
    }
  }
}
