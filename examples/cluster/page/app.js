// The page: which node it is on, what is said in the room, and whether it has all of it. It knows one
// address, as a page has that of a load balancer: where the client comes back to is not its affair.

import { Count } from "./count.js";
import * as nodes from "./nodes.js";
import { Client, ConnectionLost, Timeout } from "./realtime-client.js";

const SHOWN = 200;
/** How often a line is said again, of which nobody knows whether it was heard. */
const TRIES = 20;
const PAUSE_MS = 500;

const at = (id) => document.getElementById(id);
const count = new Count();
/** The node of this connection, and of the last one. */
let here = "";
let last = "";

const client = new Client("ws");
const room = client.room("hall");

client.on("node", (name) => {
  here = last = name;
  show();
});

client.state.subscribe(({ status }) => {
  if (status !== "online") here = "";
  show(status);
});

room.on("line", ({ node, text }) => {
  const way = document.createElement("span");
  way.className = node === here ? "way" : "way crosses";
  way.textContent = `${node} → ${here}`;
  write(way, text);
});
room.on("beat", (beat) => {
  count.take(beat);
  nodes.hear(beat);
  show();
});

room.when("joined", () => note(`In the room, by node ${here}.`));
room.when("recovered", ({ missed }) => note(`Back, by node ${here}, with all that was missed meanwhile: ${missed}.`));
room.when("lost", () => {
  count.begin();
  note("Back; what was missed can't be had any more.");
});

function show(status = client.state.get().status) {
  const texts = { online: `On node ${here}`, connecting: "Connecting", offline: "Offline", waiting: "Coming back" };
  const was = last && status !== "online" ? ` (was on node ${last})` : "";
  const text = (texts[status] ?? "Not connected") + was;
  if (at("pill").textContent !== text) at("pill").textContent = text;
  at("pill").dataset.state = status;
  at("kill").disabled = status !== "online";
  for (const what of ["heard", "lost", "twice"]) at(what).textContent = String(count[what]);
  nodes.show(here);
}
// A node that falls silent says nothing of it.
setInterval(() => show(), 500);

function note(text) {
  const line = write(text);
  line.className = "note";
}

/** Adds a line, and stays at the end unless the reader has scrolled away. */
function write(...parts) {
  const lines = at("lines");
  const isAtEnd = lines.scrollHeight - lines.scrollTop - lines.clientHeight < 40;
  const line = document.createElement("li");
  line.append(...parts);
  lines.append(line);
  if (lines.children.length > SHOWN) lines.firstElementChild.remove();
  if (isAtEnd) lines.scrollTop = lines.scrollHeight;
  return line;
}

/**
 * Says a line until it is known to be heard. When the node dies in between, nobody knows: so it is
 * said again with the same key, with which the room takes it once.
 */
async function say(text) {
  const random = crypto.getRandomValues(new Uint32Array(4));
  const key = [...random].map((part) => part.toString(36)).join("-");
  for (let tries = 1; ; tries += 1) {
    try {
      return await client.request("say", { key, text });
    } catch (error) {
      const isPassing = error instanceof ConnectionLost || error instanceof Timeout || error.temporary;
      if (!isPassing || tries === TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }
}

at("say").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = at("text").value;
  at("text").value = "";
  try {
    await say(text);
  } catch (error) {
    note(`Not said: “${text}”. ${error.message}`);
  }
});

// A process that ends at once answers nothing.
at("kill").addEventListener("click", () => client.send("crash"));

client.connect();
// This room lets everybody in; who loses the connection is in it again with the next one.
room.join().catch(() => {});
