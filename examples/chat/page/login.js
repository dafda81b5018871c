// Who this tab is. The server makes up an id and signs it together with a name; the tab keeps the
// token, and shows it each time that it connects. sessionStorage ends with the tab, so two tabs are
// two people.

/** @import { Visitor } from "./types.js" */

const KEPT = "chat.visitor";

/** The server doesn't accept the name, or the moderators' password. */
export class BadName extends Error {}
export class BadPassword extends Error {}

/** @type {Visitor | null} */
let visitor = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
let isFresh = false;

/** Who has come in, or null. */
export function current() {
  return visitor?.name ? visitor : null;
}

/** Who has come in, where somebody has. */
export function me() {
  const somebody = current();
  if (!somebody) throw new Error("expected that somebody has come in; nobody has");
  return somebody;
}

/** The name of the last visit, from any tab. */
export function lastName() {
  return localStorage.getItem("chat.name") ?? "";
}

/**
 * Comes in under a name, and with a password as a moderator. Rejects with `BadName`, `BadPassword`,
 * or with another error if there's no server.
 *
 * @param {string} name
 * @param {string} [password]
 * @returns {Promise<Visitor>}
 */
export async function enter(name, password) {
  const response = await fetch("login", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ name, token: visitor?.token, password }),
  });
  if (response.status === 422) throw new BadName(await response.text());
  if (response.status === 403) throw new BadPassword(await response.text());
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  // One object for the tab's life: what has it sees a new name, and a new id after the server lost
  // its key.
  const entered = Object.assign(visitor ?? {}, /** @type {Visitor} */ (await response.json()));
  visitor = entered;
  sessionStorage.setItem(KEPT, JSON.stringify(entered));
  localStorage.setItem("chat.name", entered.name);
  isFresh = true;
  return entered;
}

/** A token that the server accepts now: a new one each time that it is asked for. */
export async function token() {
  if (!isFresh) await enter(me().name);
  isFresh = false;
  return me().token;
}

/**
 * Goes out. Who comes in again from this tab is the same person, under any name; but nobody is a
 * moderator after a moderator has left.
 */
export function leave() {
  if (me().moderator) sessionStorage.removeItem(KEPT);
  else sessionStorage.setItem(KEPT, JSON.stringify({ token: me().token }));
}
