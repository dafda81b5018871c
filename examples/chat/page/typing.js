// Who is writing in a room.

/** @import { Writer } from "./routes.js" */

import { byId } from "./element.js";

const SHOWN_MS = 4_000;

export class Typing {
  /**
   * By person.
   *
   * @type {Map<string, { name: string, timer: number }>}
   */
  #writers = new Map();
  #line = byId("typing");
  #isShown = false;

  show() {
    this.#isShown = true;
    this.#render();
  }

  hide() {
    this.#isShown = false;
  }

  /** @param {Writer} writer */
  add({ person, name }) {
    clearTimeout(this.#writers.get(person)?.timer);
    this.#writers.set(person, { name, timer: setTimeout(() => this.stop(person), SHOWN_MS) });
    this.#render();
  }

  /** @param {string} person */
  stop(person) {
    clearTimeout(this.#writers.get(person)?.timer);
    if (this.#writers.delete(person)) this.#render();
  }

  #render() {
    if (!this.#isShown) return;
    const [first, second, ...more] = [...this.#writers.values()].map(({ name }) => name);
    this.#line.textContent =
      first === undefined ? ""
      : second === undefined ? `${first} is writing`
      : more.length === 0 ? `${first} and ${second} are writing`
      : `${more.length + 2} people are writing`;
  }
}
