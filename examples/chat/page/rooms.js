// The rooms: the list to choose from, which one is shown (the address has it, as #name), and whose
// is what the server says.

/** @import { About, Client } from "./types.js" */

import { byId, find } from "./element.js";
import { Room } from "./room.js";

// How often it is asked who is there: what was told can be missed, and a connection can be dead
// without knowing it.
const ASK_EVERY_MS = 20_000;

/** Events: "shown" (another room was chosen), and "people" and "refusal" of the one that is shown. */
export class Rooms extends EventTarget {
  #client;
  /** @type {Map<string, Room>} */
  #rooms = new Map();
  /** @type {Room | null} */
  #shown = null;
  #list = byId("room-list");
  #title = document.title;

  /** @param {Client} client */
  constructor(client) {
    super();
    this.#client = client;
    window.addEventListener("hashchange", () => {
      if (this.#rooms.has(chosen())) this.#show(chosen());
    });
    document.addEventListener("visibilitychange", () => {
      this.#read();
      // Timers of a hidden page sleep, and so may its socket: find out before the person does.
      if (!document.hidden) this.#shown?.askWho();
    });
    setInterval(() => this.#shown?.askWho(), ASK_EVERY_MS);
  }

  /**
   * The rooms that there are, from the server.
   *
   * @param {About[]} rooms
   */
  begin(rooms) {
    for (const about of rooms) {
      const room = new Room(this.#client, about);
      room.addEventListener("unread", () => this.#read());
      for (const kind of ["people", "refusal"]) {
        room.addEventListener(kind, () => {
          if (room === this.#shown) this.dispatchEvent(new Event(kind));
        });
      }
      this.#rooms.set(about.name, room);
      this.#list.append(this.#item(about));
    }
    this.#show(this.#rooms.has(chosen()) ? chosen() : rooms[0].name);
  }

  get shown() {
    return this.#shown;
  }

  /** Asks in every room who is there. */
  askWho() {
    for (const room of this.#rooms.values()) room.askWho();
  }

  /**
   * The connection won't come back by itself.
   *
   * @param {string} why
   */
  fail(why) {
    for (const room of this.#rooms.values()) room.fail(why);
  }

  /** @param {string} name */
  #show(name) {
    const room = this.#rooms.get(name);
    if (!room || room === this.#shown) return;
    this.#shown?.hide();
    this.#shown = room;
    room.show();
    byId("title").textContent = room.title;
    byId("about").textContent = room.about;
    for (const link of this.#list.querySelectorAll("a")) {
      const isShown = link.hash === `#${name}`;
      if (isShown) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
      // On a phone the list is a strip, and the chosen one may be out of sight.
      if (isShown) link.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
    this.#read();
    this.dispatchEvent(new Event("shown"));
  }

  /** @param {About} room */
  #item({ name, title }) {
    const link = document.createElement("a");
    link.href = `#${name}`;
    const label = document.createElement("span");
    label.className = "name";
    label.textContent = title;
    const badge = document.createElement("span");
    badge.className = "badge";
    badge.hidden = true;
    link.append(label, badge);
    const item = document.createElement("li");
    item.append(link);
    return item;
  }

  /** Who looks at a room has read it. */
  #read() {
    if (!document.hidden) this.#shown?.setRead();
    let sum = 0;
    for (const [name, { unread }] of this.#rooms) {
      sum += unread;
      const badge = find(this.#list, `[href="#${name}"] .badge`);
      badge.hidden = unread === 0;
      badge.textContent = unread > 99 ? "99+" : String(unread);
      badge.setAttribute("aria-label", unread === 1 ? "1 unread line" : `${unread} unread lines`);
    }
    document.title = sum === 0 ? this.#title : `(${sum}) ${this.#title}`;
  }
}

function chosen() {
  return location.hash.slice(1);
}
