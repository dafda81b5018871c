// The page: a name, the board, and what happens on it.

import { Board, ONLINE } from "./board.js";
import { Client, ConnectionLost } from "./realtime-client.js";

/** So many lines of what has happened are shown. */
const LINES = 12;
/** After which time the server is asked again, where it could not answer. */
const AGAIN_MS = 2_000;

const at = (id) => document.getElementById(id);
const places = [...document.querySelectorAll("[data-place]")];
const titleOf = (place) => places.find((card) => card.dataset.place === place).querySelector("h2").textContent;

/** All tabs of a browser are the same person. */
const name = () => localStorage.getItem("name");

let board = new Board();
/** Where this tab was last, for when it was away for too long. */
let place = null;
let again = 0;

// `null` says that nobody is here, and the client stays away.
const token = ({ reason }) => {
  if (reason === "refused") localStorage.removeItem("name");
  return name();
};
const client = new Client("/ws", { token, tokenIn: "query", tokenParameter: "name" });

client.state.subscribe(({ status }) => {
  const words = {
    connecting: "Connecting …",
    online: "Live",
    waiting: "The connection is lost. Trying again …",
    offline: "This device is offline.",
  };
  const isOut = status === "idle" || status === "ended";
  at("state").textContent = words[status] ?? "";
  at("state").dataset.state = status;
  at("door").hidden = !isOut;
  at("office").hidden = at("leave").hidden = isOut;
  if (isOut) clearTimeout(again);
});

const room = client.room("board");
room.on("changed", (change) => {
  moves(change.id, () => {
    const isNews = board.change(change);
    if (isNews && change.group === ONLINE) log(change.id, change.is_here ? "came" : "left");
  });
});
room.on("went", ({ id, place: to }) => moves(id, () => board.went(id, to)));
// What came before isn't known, or what came meanwhile was lost.
room.when("joined", look);
room.when("lost", look);

/** Asks for the whole board, and goes where this person was, or is with another tab. */
async function look() {
  clearTimeout(again);
  const before = board.copy();
  try {
    board.merge(await client.request("look"), before);
    draw();
    const to = board.placeOf(name()) ?? place;
    if (to) await client.request("go", to);
  } catch (error) {
    // With the next connection it is asked all the same.
    if (!(error instanceof ConnectionLost)) again = setTimeout(look, AGAIN_MS);
  }
}

/** Shows what becomes of somebody by a change. */
function moves(id, change) {
  const from = board.placeOf(id);
  change();
  const to = board.placeOf(id);
  if (to && to !== from) log(id, `went to the ${titleOf(to).toLowerCase()}`);
  draw();
}

async function go(to) {
  at("fault").textContent = "";
  try {
    await client.request("go", to);
  } catch (error) {
    at("fault").textContent = `That didn't work: ${error.message}`;
  }
}

function draw() {
  const online = board.online();
  const me = name();
  place = board.placeOf(me) ?? place;
  if (place) localStorage.setItem("place", place);
  at("count").textContent = online.length === 1 ? "1 person is online" : `${online.length} people are online`;
  const nowhere = online.filter((id) => !board.placeOf(id));
  fill(at("nowhere"), nowhere);
  at("arrived").hidden = nowhere.length === 0;
  for (const card of places) {
    const isMine = card.dataset.place === board.placeOf(me);
    fill(card.querySelector("ul"), online.filter((id) => board.placeOf(id) === card.dataset.place));
    card.classList.toggle("mine", isMine);
    // It keeps the focus, which one that is disabled would lose.
    card.querySelector("button").setAttribute("aria-disabled", isMine);
    card.querySelector("button").textContent = isMine ? "You are here" : "Go there";
  }
}

function fill(list, people) {
  list.replaceChildren(...people.map(chip));
}

function chip(id) {
  const [entry, face, label] = ["li", "span", "bdi"].map((element) => document.createElement(element));
  face.className = "face";
  face.setAttribute("aria-hidden", "true");
  face.textContent = [...id][0].toUpperCase();
  face.style.setProperty("--hue", [...id].reduce((hue, letter) => (hue * 31 + letter.codePointAt(0)) % 360, 7));
  label.textContent = id;
  entry.append(face, label);
  if (id === name()) entry.append(" (you)");
  return entry;
}

function log(id, what) {
  const [line, who] = ["li", "bdi"].map((element) => document.createElement(element));
  who.textContent = id;
  const time = new Date().toLocaleTimeString([], { timeStyle: "medium" });
  line.append(`${time} `, who, ` ${what}`);
  at("log").append(line);
  while (at("log").children.length > LINES) at("log").firstElementChild.remove();
}

function enter() {
  [board, place] = [new Board(), null];
  // Whoever was in two places a moment ago is still said to be in both.
  board.went(name(), localStorage.getItem("place"));
  at("log").replaceChildren();
  draw();
  client.connect();
  // It comes back by itself; why it isn't there is what the state says.
  room.join().catch(() => {});
}

at("door").addEventListener("submit", (event) => {
  event.preventDefault();
  localStorage.setItem("name", event.target.elements.name.value.trim());
  enter();
});
at("leave").addEventListener("click", () => {
  for (const key of ["name", "place"]) localStorage.removeItem(key);
  client.close();
  at("door").elements.name.focus();
});
for (const card of places) card.querySelector("button").addEventListener("click", () => go(card.dataset.place));

// Another tab of this browser has come in or left, and so has this one.
addEventListener("storage", ({ key }) => key === "name" && location.reload());

if (name()) enter();
