// Who is writing in a room.

import { nameOf } from "./people.js";

const SHOWN_MS = 4_000;

export class Typing {
  #timers = new Map();
  #line = document.getElementById("typing");
  #isShown = false;

  show() {
    this.#isShown = true;
    this.#render();
  }

  hide() {
    this.#isShown = false;
  }

  add(person) {
    clearTimeout(this.#timers.get(person));
    this.#timers.set(person, setTimeout(() => this.stop(person), SHOWN_MS));
    this.#render();
  }

  stop(person) {
    clearTimeout(this.#timers.get(person));
    if (this.#timers.delete(person)) this.#render();
  }

  #render() {
    if (!this.#isShown) return;
    const [first, second, ...more] = [...this.#timers.keys()].map((id) => nameOf(id) ?? "Somebody");
    this.#line.textContent =
      first === undefined ? ""
      : second === undefined ? `${first} is writing`
      : more.length === 0 ? `${first} and ${second} are writing`
      : `${more.length + 2} people are writing`;
  }
}
