// A line of the conversation as an element: who said it, when, and its text.
//
// Everything that people wrote reaches the page as text nodes. There is no HTML on the way.

/** @import { Said } from "./types.js" */

import { find } from "./element.js";
import { avatar } from "./faces.js";
import { me } from "./login.js";

const MINUTE_MS = 60_000;
// After so long a silence a name is said again.
const SILENCE_MS = 10 * MINUTE_MS;
const LINK = /\bhttps?:\/\/[^\s<>"]+[^\s<>"'.,;:!?)\]}]/g;

// As people here write it: "7:12 PM" or "19:12".
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
const calendar = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });

/** @param {Said} line */
export function lineElement({ person, name, text, at }) {
  const isOwn = person === me().person;
  const line = document.createElement("div");
  line.className = isOwn ? "line own" : "line";
  line.dataset.person = person;

  const head = document.createElement("p");
  head.className = "head";
  const who = document.createElement("bdi");
  who.className = "who";
  who.textContent = isOwn ? "You" : name;
  const time = document.createElement("time");
  head.append(who, time);

  const bubble = document.createElement("p");
  bubble.className = "bubble";
  bubble.dir = "auto";
  bubble.append(...withLinks(text));

  line.append(avatar(name), head, bubble);
  stamp(line, at);
  return line;
}

/**
 * Sets when a line was said.
 *
 * @param {HTMLElement} line
 * @param {number} at
 */
export function stamp(line, at) {
  const date = new Date(at);
  const time = find(line, "time", HTMLTimeElement);
  time.dateTime = date.toISOString();
  time.title = moment.format(date);
  time.textContent = clock.format(date);
  line.dataset.at = String(at);
}

/**
 * Tells a line whether it belongs to the one before: what one person says within one minute of the
 * clock stands under one name and one time. And whether a day begins with it.
 *
 * @param {HTMLElement} line
 */
export function setGroup(line) {
  const before = /** @type {HTMLElement | null} */ (line.previousElementSibling);
  const at = Number(line.dataset.at);
  const beforeAt = Number(before?.dataset.at ?? NaN);
  const isSame = line.dataset.person && before?.dataset.person === line.dataset.person;
  const isMinute = Math.floor(at / MINUTE_MS) === Math.floor(beforeAt / MINUTE_MS);
  line.classList.toggle("joins", Boolean(isSame && isMinute));
  // The same person a few minutes later has another time, and no second name.
  line.classList.toggle("goes-on", Boolean(isSame && !isMinute && at - beforeAt < SILENCE_MS));
  const day = calendar.format(at);
  const isToday = day === calendar.format(Date.now());
  const begins = beforeAt ? day !== calendar.format(beforeAt) : !isToday;
  if (begins) line.dataset.day = isToday ? "Today" : day;
  else delete line.dataset.day;
}

/**
 * The text as text nodes, with http addresses as links.
 *
 * @param {string} text
 */
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
