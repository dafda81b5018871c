// The conversation of a room: its lines, what became of one's own, and where one has read to.

import { byId, copyOf, find } from "./element.js";
/** @import { OwnLine, Said } from "./types.js" */

import { lineElement, setGroup, stamp } from "./line.js";
import { me } from "./login.js";

// Older lines are let go, so that a page left open for a week stays light.
const LINES_KEPT = 600;
const NEAR_END_PX = 80;

export class Conversation {
  #window = copyOf("window");
  #log = find(this.#window, ".log");
  #intro = find(this.#window, ".intro");
  #earlier = find(this.#window, ".earlier", HTMLButtonElement);
  #below = find(this.#window, ".unread");
  #belowLines = 0;
  #atEnd = true;

  /**
   * `onEarlier` is called when the reader asks for earlier lines.
   *
   * @param {{ title: string, about: string, onEarlier: () => Promise<void> }} options
   */
  constructor({ title, about, onEarlier }) {
    this.#log.setAttribute("aria-label", `Conversation in ${title}`);
    find(this.#intro, "h2").textContent = `Welcome to ${title}`;
    find(this.#intro, ".about").textContent = about;
    this.#intro.hidden = true;
    this.#log.addEventListener("scroll", () => {
      const { scrollHeight, scrollTop, clientHeight } = this.#log;
      if (clientHeight === 0) return; // Another room is shown.
      this.#atEnd = scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
      if (this.#atEnd) this.#setBelow(0);
    });
    // The keyboard of a phone, a notice, or a longer draft takes room from the log: stay at the end.
    new ResizeObserver(() => this.#follow()).observe(this.#log);
    this.#below.addEventListener("click", () => {
      this.toEnd();
      // The button is about to vanish; without this the focus would vanish with it.
      this.#log.focus({ preventScroll: true });
    });
    this.#earlier.addEventListener("click", async () => {
      this.#earlier.disabled = true;
      await onEarlier();
      this.#earlier.disabled = false;
      if (this.#earlier.hidden) this.#log.focus({ preventScroll: true });
    });
    byId("windows").append(this.#window);
  }

  show() {
    this.#window.hidden = false;
    this.#follow();
  }

  hide() {
    this.#window.hidden = true;
  }

  /** Begins with nothing but one's own lines that are still on their way. */
  begin() {
    for (const line of this.#log.querySelectorAll(".event, .line:not([data-fate=pending], [data-fate=failed])")) {
      line.remove();
    }
    this.#setBelow(0);
    this.#atEnd = true;
  }

  /**
   * Lines that were said before all that is shown.
   *
   * @param {Said[]} lines
   */
  addEarlier(lines) {
    const { scrollHeight, scrollTop } = this.#log;
    // Nobody wants to hear them read out.
    this.#log.setAttribute("aria-busy", "true");
    const elements = lines.map(lineElement);
    this.#intro.after(...elements);
    for (const element of elements) setGroup(element);
    const next = elements.at(-1)?.nextElementSibling;
    if (next instanceof HTMLElement) setGroup(next);
    this.#setEmpty();
    if (this.#atEnd) this.#follow();
    else this.#log.scrollTop = scrollTop + this.#log.scrollHeight - scrollHeight;
    requestAnimationFrame(() => this.#log.removeAttribute("aria-busy"));
  }

  /**
   * Whether there is more before what is shown.
   *
   * @param {boolean} is
   */
  setEarlier(is) {
    this.#earlier.hidden = !is;
    this.#intro.hidden = is;
  }

  /**
   * A line of somebody else, or of oneself from another time.
   *
   * @param {Said} line
   */
  add(line) {
    this.#insert(lineElement(line));
    if (line.person !== me().person && !this.#atEnd) this.#setBelow(this.#belowLines + 1);
  }

  /**
   * One's own line, on its way. `onRetry` is called when the person asks to try it again.
   *
   * @param {{ name: string, text: string, onRetry: () => void }} line
   * @returns {OwnLine}
   */
  addOwn({ name, text, onRetry }) {
    const line = lineElement({ person: me().person, name, text, at: Date.now() });
    const retry = document.createElement("button");
    retry.type = "button";
    retry.className = "again";
    retry.textContent = "Try again";
    retry.addEventListener("click", onRetry);
    const note = document.createElement("span");
    note.className = "note";
    const fate = document.createElement("p");
    fate.className = "fate";
    fate.append(note, retry);
    line.append(fate);
    this.#log.append(line);
    this.#setFate(line, "pending", "Sending");
    this.#regroup(line);
    this.#setEmpty();
    this.toEnd();
    return {
      pending: (why) => {
        // A line that is tried again is the last thing that one said.
        if (line.dataset.fate === "failed") this.#move(line, null);
        this.#setFate(line, "pending", why);
      },
      failed: (why) => this.#setFate(line, "failed", why),
      delivered: (at) => {
        if (at) stamp(line, at);
        // It stands where the server put it: after what came before it, ahead of what is on its way.
        const first = this.#firstPending();
        if (first !== line) this.#move(line, first);
        else this.#regroup(line);
        this.#setFate(line, "delivered", "");
      },
      remove: () => line.remove(),
    };
  }

  /**
   * A word of the house: who came, who went.
   *
   * @param {string} before
   */
  addEvent(before, name = "", after = "") {
    const line = document.createElement("p");
    line.className = "event";
    line.dataset.at = String(Date.now());
    line.append(before);
    if (name) {
      const bdi = document.createElement("bdi");
      bdi.textContent = name;
      line.append(bdi, after);
    }
    this.#insert(line);
  }

  toEnd() {
    this.#log.scrollTop = this.#log.scrollHeight;
    this.#atEnd = true;
    this.#setBelow(0);
  }

  /**
   * Lines of others go before one's own that are still on their way.
   *
   * @param {HTMLElement} line
   */
  #insert(line) {
    this.#log.insertBefore(line, this.#firstPending());
    this.#regroup(line);
    if (this.#log.childElementCount > LINES_KEPT) {
      this.#intro.nextElementSibling?.remove();
      this.#intro.hidden = true;
      this.#earlier.hidden = true;
    }
    this.#setEmpty();
    this.#follow();
  }

  /**
   * @param {HTMLElement} line
   * @param {Element | null} before
   */
  #move(line, before) {
    const next = line.nextElementSibling;
    this.#log.insertBefore(line, before);
    if (next instanceof HTMLElement) this.#regroup(next);
    this.#regroup(line);
    this.#follow();
  }

  #firstPending() {
    return this.#log.querySelector('[data-fate="pending"]');
  }

  /**
   * @param {HTMLElement} line
   * @param {"pending" | "failed" | "delivered"} fate
   * @param {string} note
   */
  #setFate(line, fate, note) {
    line.dataset.fate = fate;
    find(line, ".note").textContent = note;
    this.#follow();
  }

  /** @param {HTMLElement} line */
  #regroup(line) {
    setGroup(line);
    const next = line.nextElementSibling;
    if (next instanceof HTMLElement) setGroup(next);
  }

  #setEmpty() {
    this.#log.toggleAttribute("data-empty", !this.#log.querySelector(".line"));
  }

  #follow() {
    if (this.#atEnd) this.#log.scrollTop = this.#log.scrollHeight;
  }

  /** @param {number} lines */
  #setBelow(lines) {
    this.#belowLines = lines;
    this.#below.hidden = lines === 0;
    find(this.#below, "*").textContent = lines === 1 ? "1 new line" : `${lines} new lines`;
  }
}
