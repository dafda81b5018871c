// The list of who is in the room that is shown, and what a moderator may do about it.

/** @import { Somebody } from "./types.js" */

import { byId, copyOf } from "./element.js";
import { avatar } from "./faces.js";
import { me } from "./login.js";

const FACES_SHOWN = 3;

export class People {
  #onRemove;
  #title = byId("people-title");
  #list = byId("roster");
  #counts = [byId("people-count"), byId("faces-count")];
  #faces = byId("faces");
  #facesLabel = byId("faces-label");

  /**
   * `onRemove` is called with somebody whom a moderator wants to remove.
   *
   * @param {{ onRemove: (somebody: Somebody) => void }} options
   */
  constructor({ onRemove }) {
    this.#onRemove = onRemove;
  }

  /** @param {Somebody[]} people */
  show(people) {
    const own = people.filter(isMe);
    const others = people.filter((somebody) => !isMe(somebody));
    others.sort((a, b) => a.name.localeCompare(b.name) || (a.id < b.id ? -1 : 1));

    // Who comes or goes must not take the focus away from somebody else's button.
    const focused = document.activeElement?.closest("#roster li")?.getAttribute("data-id");
    this.#list.replaceChildren(...[...own, ...others].map((somebody) => this.#item(somebody)));
    if (focused) {
      const item = [...this.#list.children].find((item) => item.getAttribute("data-id") === focused);
      (item?.querySelector("button") ?? this.#title).focus();
    }

    for (const count of this.#counts) count.textContent = String(people.length || "");
    // Where one may not come in, one's own face opens the list all the same: the way out is there.
    const faces = people.length === 0 ? [me()] : [...others, ...own].slice(0, FACES_SHOWN);
    this.#faces.replaceChildren(...faces.map(({ name }) => avatar(name)));
    this.#facesLabel.textContent = people.length === 0 ? "People" : `${people.length} in this room. Show who.`;
  }

  /** For when what had the focus is gone. */
  focus() {
    this.#title.focus();
  }

  /** @param {Somebody} somebody */
  #item(somebody) {
    const item = document.createElement("li");
    item.dataset.id = somebody.id;
    const label = document.createElement("span");
    label.className = "name";
    label.dir = "auto";
    label.textContent = somebody.name;
    label.title = somebody.name;
    const names = document.createElement("div");
    names.className = "names";
    names.append(label);
    item.append(avatar(somebody.name), names);
    if (isMe(somebody)) names.append(mark(me().moderator ? "you, a moderator" : "you"));
    else if (me().moderator) item.append(this.#button(somebody));
    return item;
  }

  /** @param {Somebody} somebody */
  #button(somebody) {
    const button = copyOf("remove");
    button.title = `Remove ${somebody.name}`;
    button.setAttribute("aria-label", button.title);
    button.addEventListener("click", () => this.#onRemove(somebody));
    return button;
  }
}

/** @param {Somebody} somebody */
function isMe({ person, name }) {
  return person === me().person && name === me().name;
}

/** @param {string} text */
function mark(text) {
  const mark = document.createElement("span");
  mark.className = "mark";
  mark.textContent = text;
  return mark;
}
