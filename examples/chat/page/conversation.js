// The conversation: lines, who said them, what became of one's own, and where one has read to.
//
// Everything that people wrote reaches the page as text nodes. There is no HTML on the way.

import { avatar, hue } from "./people.js";

// Older lines are let go, so that a page left open for a week stays light.
const LINES_KEPT = 500;
// Lines of one person within this time stand together under one name.
const GROUP_MS = 5 * 60_000;
const NEAR_END_PX = 80;
const LINK = /\bhttps?:\/\/[^\s<>"]+[^\s<>"'.,;:!?)\]}]/g;

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
const calendar = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });

export class Conversation {
  #log = document.getElementById("log");
  #intro = document.getElementById("intro");
  #unread = document.getElementById("unread");
  #unreadText = document.getElementById("unread-text");
  #unreadLines = 0;
  #me = "";
  #atEnd = true;
  #title = document.title;
  #unseen = 0;

  constructor() {
    this.#log.addEventListener("scroll", () => {
      const { scrollHeight, scrollTop, clientHeight } = this.#log;
      this.#atEnd = scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
      if (this.#atEnd) this.#setUnread(0);
    });
    // The keyboard of a phone, a notice, or a longer draft takes room from the log: stay at the end.
    new ResizeObserver(() => this.#follow()).observe(this.#log);
    this.#unread.addEventListener("click", () => {
      this.toEnd();
      // The button is about to vanish; without this the focus would vanish with it.
      this.#log.focus({ preventScroll: true });
    });
    document.addEventListener("visibilitychange", () => this.#setUnseen(0));
  }

  begin(person) {
    this.#me = person;
    this.#log.replaceChildren(this.#intro);
    this.#setUnread(0);
  }

  /** A line of somebody else, or of oneself from another tab. */
  add({ person, name, text, at }) {
    const line = this.#line({ person, name, text, at });
    this.#insert(line);
    if (person !== this.#me) {
      if (!this.#atEnd) this.#setUnread(this.#unreadLines + 1);
      if (document.hidden) this.#setUnseen(this.#unseen + 1);
    }
  }

  /** One's own line, on its way. `onRetry` is called when the person asks to try it again. */
  addOwn({ name, text, onRetry }) {
    const line = this.#line({ person: this.#me, name, text, at: Date.now() });
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
        this.#setFate(line, "delivered", "");
      },
    };
  }

  /** A word of the house: who came, who went, what was missed. */
  addEvent(before, name = "", after = "") {
    const line = document.createElement("p");
    line.className = "event";
    line.dataset.at = Date.now();
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
    this.#setUnread(0);
  }

  #line({ person, name, text, at }) {
    const own = person === this.#me;
    const line = document.createElement("div");
    line.className = own ? "line own" : "line";
    line.dataset.person = person;
    line.style.setProperty("--hue", hue(person));

    const head = document.createElement("p");
    head.className = "head";
    const who = document.createElement("bdi");
    who.className = "who";
    who.textContent = own ? "You" : name;
    const time = document.createElement("time");
    head.append(who, time);

    const bubble = document.createElement("p");
    bubble.className = "bubble";
    bubble.dir = "auto";
    bubble.append(...withLinks(text));

    line.append(avatar(person, name), head, bubble);
    stamp(line, at);
    return line;
  }

  /** Lines of others go before one's own that are still on their way. */
  #insert(line) {
    this.#log.insertBefore(line, this.#firstPending());
    this.#regroup(line);
    while (this.#log.childElementCount > LINES_KEPT) this.#log.firstElementChild.remove();
    this.#follow();
  }

  #move(line, before) {
    const next = line.nextElementSibling;
    this.#log.insertBefore(line, before);
    if (next) this.#regroup(next);
    this.#regroup(line);
    this.#follow();
  }

  #firstPending() {
    return this.#log.querySelector('[data-fate="pending"]');
  }

  #setFate(line, fate, note) {
    line.dataset.fate = fate;
    line.querySelector(".note").textContent = note;
    this.#follow();
  }

  /** Tells a line and the one after it whether they begin a group or a day. */
  #regroup(line) {
    for (const each of [line, line.nextElementSibling]) {
      if (!each) continue;
      const before = each.previousElementSibling;
      const at = Number(each.dataset.at);
      const since = at - Number(before?.dataset.at ?? NaN);
      const joins = before?.dataset.person === each.dataset.person && since < GROUP_MS;
      each.classList.toggle("joins", Boolean(each.dataset.person) && joins);
      if (before?.dataset.at && calendar.format(Number(before.dataset.at)) !== calendar.format(at)) {
        each.dataset.day = calendar.format(at);
      } else {
        delete each.dataset.day;
      }
    }
  }

  #follow() {
    if (this.#atEnd) this.#log.scrollTop = this.#log.scrollHeight;
  }

  #setUnread(lines) {
    this.#unreadLines = lines;
    this.#unread.hidden = lines === 0;
    this.#unreadText.textContent = lines === 1 ? "1 new line" : `${lines} new lines`;
  }

  #setUnseen(lines) {
    this.#unseen = lines;
    document.title = lines === 0 ? this.#title : `(${lines}) ${this.#title}`;
  }
}

function stamp(line, at) {
  const date = new Date(at);
  const time = line.querySelector("time");
  time.dateTime = date.toISOString();
  time.title = moment.format(date);
  time.textContent = clock.format(date);
  line.dataset.at = at;
}

/** The text as text nodes, with http addresses as links. */
function withLinks(text) {
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(LINK)) {
    const link = document.createElement("a");
    link.href = match[0];
    link.target = "_blank";
    link.rel = "noopener noreferrer nofollow";
    link.textContent = match[0];
    parts.push(text.slice(end, match.index), link);
    end = match.index + match[0].length;
  }
  parts.push(text.slice(end));
  return parts;
}
