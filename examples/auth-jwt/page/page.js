// The page: a door, and what comes over the connection.

import * as account from "./account.js";
import { Client } from "./realtime-client.js";

const SHOWN = 5;

const at = (id) => document.getElementById(id);
const count = (id, to = Number(at(id).textContent) + 1) => (at(id).textContent = to);

let client = null;

function enter({ name, token }) {
  for (const id of ["connections", "tokens", "messages", "wrong"]) count(id, 0);
  at("said").replaceChildren();
  // The one that signing in has given is for the first connection; from then on it asks for another.
  const first = [token];
  client?.close();
  client = new Client("ws", {
    token: async () => {
      const token = first.pop() ?? (await fresh());
      count("tokens");
      return token;
    },
  });
  let counters = new Map();
  client.state.subscribe(({ status, reason }) => {
    show(name, status, reason);
    if (status !== "online") return;
    count("connections");
    count("tokens", 1);
    counters = new Map();
  });
  client.on("said", say);
  client.on("tick", (data) => {
    count("messages");
    // Each node counts for itself, and on from one to the next message.
    const last = counters.get(data.node);
    if (last !== undefined && data.count !== last + 1) count("wrong");
    counters.set(data.node, data.count);
  });
  client.connect();
}

/** Where nobody is signed in any more there is none, and the client ends. */
async function fresh() {
  try {
    return (await account.refresh()).token;
  } catch (error) {
    if (error instanceof account.SignedOut) return null;
    throw error;
  }
}

function show(name, state, why) {
  const texts = {
    connecting: `Connecting as ${name} …`,
    online: `Signed in as ${name}`,
    waiting: "The connection is lost. Trying again …",
    offline: "This device is offline. Trying again …",
    idle: "Signed out: you have left.",
    ended: `Signed out: ${why}.`,
  };
  at("state").textContent = texts[state];
  at("state").dataset.state = state;
  const isOut = state === "ended" || state === "idle";
  at("door").hidden = !isOut;
  at("room").hidden = isOut;
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
  try {
    await client.request("say", at("text").value);
    at("text").value = "";
  } catch {
    // It is still there, to be said again.
  }
});

for (const [id, leave] of [["logout", account.signOut], ["logout-everywhere", account.signOutEverywhere]]) {
  at(id).addEventListener("click", async () => {
    try {
      await leave();
      client.close();
    } catch (error) {
      if (error instanceof account.SignedOut) client.close();
      else at("state").textContent = "That didn't work. Please try again.";
    }
  });
}

// Whoever has signed in with this browser still is.
try {
  enter(await account.refresh());
} catch (error) {
  const isNobody = error instanceof account.SignedOut;
  show("", "ended", isNobody ? "please sign in" : "the server can't be reached");
}
