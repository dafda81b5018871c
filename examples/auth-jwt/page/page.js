// The page: a door, and what comes over the connection.

import * as account from "./account.js";
import { Connection } from "./connection.js";

const SHOWN = 5;

const at = (id) => document.getElementById(id);
const count = (id, to = Number(at(id).textContent) + 1) => (at(id).textContent = to);

let connection = null;

function enter({ name, token }) {
  for (const id of ["connections", "tokens", "messages", "wrong"]) count(id, 0);
  at("said").replaceChildren();
  connection = new Connection();
  let counters = new Map();
  connection.addEventListener("state", () => {
    show(name, connection);
    if (connection.state !== "online") return;
    count("connections");
    count("tokens", 0);
    counters = new Map();
  });
  connection.addEventListener("shown", () => count("tokens"));
  connection.addEventListener("message", ({ detail: { route, data } }) => {
    if (route === "said") say(data);
    if (route !== "tick") return;
    count("messages");
    // Each node counts for itself, and on from one to the next message.
    const last = counters.get(data.node);
    if (last !== undefined && data.count !== last + 1) count("wrong");
    counters.set(data.node, data.count);
  });
  connection.open(token);
}

function show(name, { state, why }) {
  const texts = {
    connecting: `Connecting as ${name} …`,
    online: `Signed in as ${name}`,
    waiting: "The connection is lost. Trying again …",
    ended: `Signed out: ${why}.`,
  };
  at("state").textContent = texts[state];
  at("state").dataset.state = state;
  at("door").hidden = state !== "ended";
  at("room").hidden = state === "ended";
}

function say({ from, text }) {
  const line = document.createElement("li");
  line.textContent = `${from}: ${text}`;
  at("said").append(line);
  if (at("said").children.length > SHOWN) at("said").firstElementChild.remove();
}

at("door").addEventListener("submit", async (event) => {
  event.preventDefault();
  at("fault").textContent = "";
  try {
    enter(await account.signIn(at("name").value, at("password").value));
    at("password").value = "";
  } catch (error) {
    const isWrong = error instanceof account.SignedOut;
    at("fault").textContent = isWrong ? "Wrong name or password." : "Please try again in a moment.";
  }
});

at("say").addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await connection.request("say", at("text").value);
  // Else it is still there, to be said again.
  if (answer?.route === "say") at("text").value = "";
});

for (const [id, leave] of [["logout", account.signOut], ["logout-everywhere", account.signOutEverywhere]]) {
  at(id).addEventListener("click", async () => {
    try {
      await leave();
      connection.end("you have left");
    } catch (error) {
      if (error instanceof account.SignedOut) connection.end("you were signed out already");
      else at("state").textContent = "That didn't work. Please try again.";
    }
  });
}

// Whoever has signed in with this browser still is.
try {
  enter(await account.refresh());
} catch (error) {
  const isNobody = error instanceof account.SignedOut;
  show("", { state: "ended", why: isNobody ? "please sign in" : "the server can't be reached" });
}
