// The page: the door, the house with its rooms, and what the server says about both.
//
// Every tab is one person. The server says who (see login.js), and from then on every name on this
// page comes from the server.

import { Composer } from "./composer.js";
import { Connection } from "./connection.js";
import { setUpDoor } from "./door.js";
import { setUpDrawer } from "./drawer.js";
import * as login from "./login.js";
import { People } from "./people.js";
import { setUpRemoval } from "./removal.js";
import { Rooms } from "./rooms.js";
import { showConnection } from "./status.js";

const connection = new Connection(async () => {
  const url = new URL("ws", location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  return { url, protocols: ["realtime.json", `token.${await login.token()}`] };
});
const rooms = new Rooms(connection);
const people = new People({ onRemove: (somebody) => askToRemove(somebody, rooms.shown) });
const askToRemove = setUpRemoval({
  remove: (somebody, room) => room.remove(somebody),
  onDone: () => people.focus(),
});
const composer = new Composer({
  onSay: (text) => rooms.shown.say(text),
  onTyping: () => rooms.shown.sayTyping(),
});
const drawer = setUpDrawer();
showConnection(connection);

const door = setUpDoor((person) => {
  document.getElementById("house").hidden = false;
  rooms.begin(person.rooms);
  connection.open();
  composer.focus();
});

rooms.addEventListener("shown", () => {
  drawer.close();
  people.show(rooms.shown.people());
  composer.setRefusal(rooms.shown.refusal);
  // With a finger the keyboard would cover what one wants to read.
  if (matchMedia("(pointer: fine)").matches) composer.focus();
});

rooms.addEventListener("people", () => people.show(rooms.shown.people()));
rooms.addEventListener("refusal", () => composer.setRefusal(rooms.shown.refusal));

document.getElementById("leave").addEventListener("click", () => {
  connection.close();
  login.leave();
  // Nothing of this visit stays in the page.
  location.reload();
});

connection.addEventListener("message", ({ detail: message }) => {
  // The server dropped something: each room knows what it lacks.
  if (message.route === "gap") rooms.resume();
  else if (message.route === "expiring") renew();
  else if (message.room) rooms.receive(message);
});

/** Who shows no fresh token is closed, and comes back with one: so nobody waits for the answer. */
async function renew() {
  try {
    await connection.request("authenticate", { token: await login.token() });
  } catch {
    // As said: the connection will end, or has.
  }
}

connection.addEventListener("state", () => {
  if (connection.state === "online") rooms.resume();
  if (connection.state === "ended") rooms.fail(connection.endReason || "The server ended the session.");
});

const returning = login.current();
if (returning) door.pass(returning);
else door.show();
