// The page: it joins the room of the fleet while somebody looks at it, and draws what comes.

import { Bars } from "./bars.js";
import { Plot } from "./plot.js";
import { Client } from "./realtime-client.js";
import { Series } from "./series.js";

/** How often numbers change that somebody is to read. */
const NUMBERS_MS = 500;
/** How often everything does, for those who want little motion. */
const CALM_MS = 1_000;

const at = (id) => document.getElementById(id);
const series = new Series();
const plot = new Plot(at("plot"));
const bars = new Bars(at("bars"));

const client = new Client("ws");
const room = client.room("fleet");

client.state.subscribe(({ status }) => {
  const labels = { online: "Live", connecting: "Connecting", offline: "Offline", waiting: "Reconnecting" };
  at("pill").dataset.state = status;
  at("pill").textContent = labels[status] ?? "Not connected";
});

// With each connection, and each time that somebody looks again.
room.state.subscribe(({ status }) => {
  if (status === "joined") series.begin();
});

room.on("point", (point) => {
  const isFirst = series.isEmpty;
  series.push(point);
  // Asked for once there is a point, which came at once: it tells what time it is.
  if (isFirst) fillIn();
});

// What was dropped for this page is old by now: it is counted, and not loaded. (Such a room has no
// history, so it says `lost` as well.)
client.on("gap", ({ missed }) => series.skip(missed));

/** What was before this page came: a coarse picture of the half minute. */
async function fillIn() {
  try {
    series.prepend(await client.request("recent"));
  } catch {
    // Without it the picture begins here; and a connection that was lost asks again.
  }
}

// ---- A page that nobody looks at draws nothing, and is sent nothing ---------------------------

function look() {
  if (document.visibilityState === "hidden") {
    // A connection that ends meanwhile has left the room, too.
    room.leave().catch(() => {});
  } else {
    // This room lets everybody in, and who has no connection joins with the next one.
    room.join().catch(() => {});
    frame();
  }
}

const calm = matchMedia("(prefers-reduced-motion: reduce)");
let drawn = 0;
let told = 0;
let next = 0;

/** Draws now and asks for the next time: with each picture of the screen, or in peace. */
function frame() {
  cancelAnimationFrame(next);
  if (document.visibilityState === "hidden") return;
  const now = performance.now();
  if (!calm.matches || now - drawn >= CALM_MS) {
    plot.draw(series);
    bars.draw(series.loads);
    drawn = now;
  }
  if (now - told >= (calm.matches ? CALM_MS : NUMBERS_MS)) {
    tell();
    told = now;
  }
  next = requestAnimationFrame(frame);
}

function tell() {
  const { low, mean, high } = series.newest ?? {};
  const percent = (load) => (load === undefined ? "–" : load.toFixed(1));
  at("low").textContent = percent(low);
  at("mean").textContent = percent(mean);
  at("high").textContent = percent(high);
  at("rate").textContent = String(series.rate());
  const age = series.age();
  at("age").textContent = age === undefined ? "–" : `${(age / 1_000).toFixed(1)} s`;
  at("missed").textContent = String(series.missed);
  at("note").textContent = series.missed === 0
    ? "Nothing was missed so far."
    : "The link is too slow for all of it: what waited longest was dropped, and the line has holes where that was.";
}

document.addEventListener("visibilitychange", look);
client.connect();
look();
