// The box in which one writes.

import { byId } from "./element.js";

const TEXT_LIMIT = 2000;
// The room that is left is shown when it gets scarce.
const SHOW_ROOM_FROM = 1800;
const TYPING_EVERY_MS = 2_500;
// As tall as its text, up to the limit in the style sheet: newer browsers do that alone.
const GROWS_BY_ITSELF = CSS.supports("field-sizing", "content");

export class Composer {
  #form = byId("composer");
  #text = byId("text", HTMLTextAreaElement);
  #roomLeft = byId("room-left");
  #refusal = byId("refusal");
  #lastTyping = 0;
  #onSay;
  #onTyping;

  /** @param {{ onSay: (text: string) => void, onTyping: () => void }} options */
  constructor({ onSay, onTyping }) {
    this.#onSay = onSay;
    this.#onTyping = onTyping;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#text.addEventListener("keydown", (event) => {
      // Enter also ends the composition of a Japanese or Chinese word: that one isn't ours.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#submit();
    });
    this.#text.addEventListener("input", () => this.#changed());
  }

  /** To be called when the box has become visible: before that it has no height to measure. */
  focus() {
    this.#changed();
    this.#text.focus();
  }

  /**
   * Says why nothing can be written here; with "" it can.
   *
   * @param {string} why
   */
  setRefusal(why) {
    this.#refusal.textContent = why;
    this.#refusal.hidden = why === "";
    this.#form.hidden = why !== "";
    if (why === "") this.#changed();
  }

  #submit() {
    const text = this.#text.value.trim();
    if (text === "" || lengthOf(text) > TEXT_LIMIT) {
      this.#text.focus();
      return;
    }
    this.#text.value = "";
    this.#lastTyping = 0;
    this.#changed();
    this.#text.focus();
    this.#onSay(text);
  }

  #changed() {
    const text = this.#text.value.trim();
    const left = TEXT_LIMIT - lengthOf(text);
    this.#form.toggleAttribute("data-empty", text === "");
    this.#form.toggleAttribute("data-full", left < 0);
    this.#text.setAttribute("aria-invalid", String(left < 0));
    this.#roomLeft.textContent =
      left > TEXT_LIMIT - SHOW_ROOM_FROM ? "" : left >= 0 ? `${left} left` : `${-left} too many`;

    if (!GROWS_BY_ITSELF) {
      this.#text.style.height = "auto";
      this.#text.style.height = `${this.#text.scrollHeight}px`;
    }

    if (text !== "" && Date.now() - this.#lastTyping > TYPING_EVERY_MS) {
      this.#lastTyping = Date.now();
      this.#onTyping();
    }
  }
}

/**
 * Characters as the server counts them; `length` would count most emoji twice.
 *
 * @param {string} text
 */
function lengthOf(text) {
  return [...text].length;
}
