// The list of who is in the room that is shown, and what a moderator may do about it.

import { avatar } from "./faces.js";
import { current } from "./login.js";

const FACES_SHOWN = 3;

export class People {
  #onRemove;
  #title = document.getElementById("people-title");
  #list = document.getElementById("roster");
  #counts = [document.getElementById("people-count"), document.getElementById("faces-count")];
  #faces = document.getElementById("faces");
  #facesLabel = document.getElementById("faces-label");

  /** `onRemove` is called with somebody whom a moderator wants to remove. */
  constructor({ onRemove }) {
    this.#onRemove = onRemove;
  }

  /** Shows these: {id, person, name}. */
  show(people) {
    const me = people.filter(isMe);
    const others = people.filter((somebody) => !isMe(somebody));
    others.sort((a, b) => a.name.localeCompare(b.name) || (a.id < b.id ? -1 : 1));

    // Who comes or goes must not take the focus away from somebody else's button.
    const focused = document.activeElement?.closest("#roster li")?.dataset.id;
    this.#list.replaceChildren(...[...me, ...others].map((somebody) => this.#item(somebody)));
    if (focused) {
      const item = [...this.#list.children].find(({ dataset }) => dataset.id === focused);
      (item?.querySelector("button") ?? this.#title).focus();
    }

    for (const count of this.#counts) count.textContent = people.length || "";
    // Where one may not come in, one's own face opens the list all the same: the way out is there.
    const faces = people.length === 0 ? [current()] : [...others, ...me].slice(0, FACES_SHOWN);
    this.#faces.replaceChildren(...faces.map(({ name }) => avatar(name)));
    this.#facesLabel.textContent = people.length === 0 ? "People" : `${people.length} in this room. Show who.`;
  }

  /** For when what had the focus is gone. */
  focus() {
    this.#title.focus();
  }

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
    if (isMe(somebody)) names.append(mark(current().moderator ? "you, a moderator" : "you"));
    else if (current().moderator) item.append(this.#button(somebody));
    return item;
  }

  #button(somebody) {
    const button = document.getElementById("remove").content.firstElementChild.cloneNode(true);
    button.title = `Remove ${somebody.name}`;
    button.setAttribute("aria-label", button.title);
    button.addEventListener("click", () => this.#onRemove(somebody));
    return button;
  }
}

function isMe({ person, name }) {
  return person === current().person && name === current().name;
}

function mark(text) {
  const mark = document.createElement("span");
  mark.className = "mark";
  mark.textContent = text;
  return mark;
}
