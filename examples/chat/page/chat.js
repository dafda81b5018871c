// The page: the door, the house with its rooms, and what the server says about both.
//
// Every tab is one person. The server says who (see login.js), and from then on every name on this
// page comes from the server.

import { Composer } from "./composer.js";
import { setUpDoor } from "./door.js";
import { setUpDrawer } from "./drawer.js";
import { byId } from "./element.js";
import * as login from "./login.js";
import { People } from "./people.js";
import { Client } from "./realtime-client.js";
import { setUpRemoval } from "./removal.js";
import { Rooms } from "./rooms.js";
import { showConnection } from "./status.js";

// Nothing waits in the client: what is said waits in its room's outbox, where it can be seen.
/** @type {import("./types.js").Client} */
const client = new Client("ws", { token: login.token, queue: 0 });
const rooms = new Rooms(client);
const people = new People({
  onRemove: (somebody) => {
    if (rooms.shown) askToRemove(somebody, rooms.shown);
  },
});
const askToRemove = setUpRemoval({
  remove: (somebody, room) => room.remove(somebody),
  onDone: () => people.focus(),
});
const composer = new Composer({
  onSay: (text) => rooms.shown?.say(text),
  onTyping: () => rooms.shown?.sayTyping(),
});
const drawer = setUpDrawer();
showConnection(client);

const door = setUpDoor((person) => {
  byId("house").hidden = false;
  rooms.begin(person.rooms);
  client.connect();
  composer.focus();
});

rooms.addEventListener("shown", () => {
  drawer.close();
  showPeople();
  showRefusal();
  // With a finger the keyboard would cover what one wants to read.
  if (matchMedia("(pointer: fine)").matches) composer.focus();
});

rooms.addEventListener("people", showPeople);
rooms.addEventListener("refusal", showRefusal);

function showPeople() {
  people.show(rooms.shown?.people() ?? []);
}

function showRefusal() {
  composer.setRefusal(rooms.shown?.refusal ?? "");
}

byId("leave").addEventListener("click", () => {
  client.close();
  login.leave();
  // Nothing of this visit stays in the page.
  location.reload();
});

client.state.subscribe(({ status, reason }) => {
  if (status === "ended") rooms.fail(reason || "The server ended the session.");
});
// Lines that were dropped come by themselves; who came and went meanwhile is asked for.
client.on("gap", () => rooms.askWho());

const returning = login.current();
if (returning) door.pass(returning);
else door.show();
