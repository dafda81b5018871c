// The page: the door, the room, and what the server says about both.
//
// Every tab is one person: a random id, kept for the tab's life, and a name. The server takes
// both from the socket's address, and from then on every name on this page comes from the server.

import { Connection, Lost } from "./connection.js";
import { Conversation } from "./conversation.js";
import { Outbox, randomId } from "./outbox.js";
import { Roster } from "./people.js";
import { Composer } from "./composer.js";
import { setUpDrawer } from "./drawer.js";
import { showConnection } from "./status.js";

const NAME_LIMIT = 32;
const ASK_LIMIT = 200;
const ASK_EVERY_MS = 20_000;
// After a reconnect the others may still be reconnecting: two quick questions, then the usual pace.
const ASK_AGAIN_MS = 12_000;
const TYPING_SHOWN_MS = 4_000;
const REFS_KEPT = 500;

const door = document.getElementById("door");
const room = document.getElementById("room");
const nameField = document.getElementById("name");
const nameError = document.getElementById("name-error");

const me = { person: sessionStorage.getItem("chat.person") ?? randomId(), name: "" };
sessionStorage.setItem("chat.person", me.person);

const connection = new Connection(() => {
  const address = new URL("ws", location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  address.search = new URLSearchParams(me);
  return address.href;
});
const conversation = new Conversation();
const roster = new Roster();
const outbox = new Outbox(connection, conversation);
const composer = new Composer({
  onSay: (text) => outbox.say(me.name, text),
  onTyping: () => connection.send("typing", {}),
});
const drawer = setUpDrawer();
showConnection(connection);

// ---- The door -------------------------------------------------------------------------------

document.getElementById("join").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = nameField.value.trim().replace(/\s+/g, " ");
  const fault = faultOf(name);
  nameError.textContent = fault;
  nameField.setAttribute("aria-invalid", String(Boolean(fault)));
  if (fault) nameField.focus();
  else enter(name);
});

nameField.addEventListener("input", () => {
  nameError.textContent = "";
  nameField.removeAttribute("aria-invalid");
});

document.getElementById("leave").addEventListener("click", () => {
  connection.close();
  sessionStorage.removeItem("chat.name");
  drawer.close();
  showDoor();
});

/** The server's own rules, so that a person hears of them before the server refuses. */
function faultOf(name) {
  if (name === "") return "Please give a name, so that the others know who speaks.";
  if (/\p{Cc}/u.test(name)) return "A name can't contain control characters.";
  const length = [...name].length;
  if (length > NAME_LIMIT) return `A name has at most ${NAME_LIMIT} characters; this one has ${length}.`;
  return "";
}

function showDoor() {
  room.hidden = true;
  door.hidden = false;
  nameField.value = localStorage.getItem("chat.name") ?? "";
  nameField.focus();
  nameField.select();
}

function enter(name) {
  me.name = name;
  localStorage.setItem("chat.name", name);
  sessionStorage.setItem("chat.name", name);
  door.hidden = true;
  room.hidden = false;
  outbox.clear();
  conversation.begin(me.person);
  roster.begin(me);
  typing.clear();
  connection.open();
  composer.focus();
}

// ---- What the server says -------------------------------------------------------------------

const refs = new Set();

const on = {
  line({ from, name, text, at, ref }) {
    if (isRepeated(from, ref)) return;
    stopTyping(from);
    if (from === me.person && outbox.heard(ref, at)) return;
    roster.add(from, name);
    conversation.add({ person: from, name, text, at: at ?? Date.now() });
  },

  joined({ person, name }) {
    if (person === me.person) return;
    if (roster.add(person, name)) conversation.addEvent("", name, " joined");
    // In a full room everybody answers a newcomer: not all in the same instant.
    const spread = Math.random() * Math.min(roster.size * 5, 1000);
    setTimeout(() => connection.send("here", { to: person }), spread);
  },

  here({ person, name }) {
    roster.add(person, name);
  },

  left({ person, name }) {
    stopTyping(person);
    if (roster.remove(person)) conversation.addEvent("", name, " left");
  },

  typing({ person }) {
    if (person === me.person || !roster.name(person)) return;
    clearTimeout(typing.get(person));
    typing.set(person, setTimeout(() => stopTyping(person), TYPING_SHOWN_MS));
    showTyping();
  },
};

connection.addEventListener("message", ({ detail: { route, data } }) => {
  if (Object.hasOwn(on, route)) on[route](data);
});

/** Whether this line was shown before: its sender sent it again because the answer got lost. */
function isRepeated(from, ref) {
  if (!ref) return false;
  const key = `${from} ${ref}`;
  if (refs.has(key)) return true;
  refs.add(key);
  if (refs.size > REFS_KEPT) refs.delete(refs.values().next().value);
  return false;
}

// ---- Coming and going of the connection -----------------------------------------------------

let askTimer = 0;
let wasOnline = false;
let lostAt = 0;

connection.addEventListener("state", () => {
  clearTimeout(askTimer);
  if (connection.state === "online") {
    if (lostAt) conversation.addEvent(`You were away for ${awayFor()}. What was said meanwhile isn't here.`);
    outbox.flush();
    ask(ASK_AGAIN_MS);
  } else if (wasOnline) {
    lostAt = Date.now();
  }
  if (connection.state === "ended") outbox.fail("The server ended the session.");
  if (connection.state === "online" || connection.state === "idle") lostAt = 0;
  wasOnline = connection.state === "online";
});

function awayFor() {
  const seconds = Math.max(1, Math.round((Date.now() - lostAt) / 1000));
  return seconds < 120 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
}

document.addEventListener("visibilitychange", () => {
  // Timers of a hidden page sleep, and so may its socket: find out before the person does.
  if (document.visibilityState === "visible" && connection.state === "online") ask();
});

/** Asks presence which of the people shown are there. It is the page's heartbeat, too. */
async function ask(againMs = ASK_EVERY_MS) {
  clearTimeout(askTimer);
  askTimer = setTimeout(ask, againMs);
  const asked = roster.others().slice(0, ASK_LIMIT);
  try {
    const { people } = await connection.request("online", { people: asked });
    for (const { person, name } of roster.reconcile(asked, people)) {
      stopTyping(person);
      conversation.addEvent("", name, " is gone");
    }
  } catch (error) {
    // Presence may be away for a while, as the connection may: the next question finds out.
    if (!(error instanceof Lost)) console.warn(`Who is online stays unknown: ${error.message}`);
  }
}

// ---- Who is writing -------------------------------------------------------------------------

const typing = new Map();
const typingLine = document.getElementById("typing");

function stopTyping(person) {
  clearTimeout(typing.get(person));
  if (typing.delete(person)) showTyping();
}

function showTyping() {
  const names = [...typing.keys()].map((person) => roster.name(person) ?? "Somebody");
  const [first, second] = names;
  typingLine.textContent =
    names.length === 0 ? ""
    : names.length === 1 ? `${first} is writing`
    : names.length === 2 ? `${first} and ${second} are writing`
    : `${names.length} people are writing`;
}

// ---- Begin ----------------------------------------------------------------------------------

const returning = sessionStorage.getItem("chat.name");
if (returning && !faultOf(returning)) enter(returning);
else showDoor();
