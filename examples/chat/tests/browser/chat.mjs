// Drives two real Chromium windows through the chat. It fails with the first thing that isn't so.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { once } from "node:events";
import { choose, comeIn, hears, isOnline, log, say, sees } from "./steps.mjs";
import { ask, closeAll, windowOf } from "./windows.mjs";

/** The server, and the same behind a network that can be cut. */
const [url, mobile] = process.argv.slice(2);

const lines = (page) => log(page).locator(".bubble").allTextContents();
const colour = (page, name) => page.evaluate((wanted) =>
  [...document.querySelectorAll("#roster li")]
    .filter((item) => item.querySelector(".name").textContent === wanted)
    .map((item) => item.querySelector(".avatar").style.getPropertyValue("--hue")), name);

try {
  const desk = await windowOf({ width: 1280, height: 800 }, { locale: "en-US" });
  const phone = await windowOf({ width: 390, height: 844 });
  const ada = await comeIn(desk, url, "Ada");
  await log(ada).getByText("Nobody has said anything here yet.").waitFor();
  const grace = await comeIn(phone, mobile, "Grace");
  await sees(ada, 2);
  await sees(grace, 2);

  await say(ada, "hello Grace");
  await hears(grace, "hello Grace");
  await say(grace, "<b>hello</b> Ada");
  await hears(ada, "<b>hello</b> Ada");
  assert.equal(await log(ada).locator("b").count(), 0, "HTML in a line is text");
  assert.match(await log(ada).locator("time").first().textContent(), /^[1-9]\d?:\d\d\s[AP]M$/);
  const overflow = () => document.documentElement.scrollWidth - window.innerWidth;
  assert.equal(await grace.evaluate(overflow), 0, "a phone has nothing to scroll sideways");

  // What is said in another room is counted, and is there when one looks.
  await choose(ada, "Music");
  await log(ada).getByText("Welcome to Music").waitFor();
  await say(ada, "Bach");
  await say(ada, "Satie");
  const badge = grace.getByLabel("2 unread lines");
  await badge.waitFor();
  assert.deepEqual(await lines(grace), ["hello Grace", "<b>hello</b> Ada"]);
  await choose(grace, "Music");
  await badge.waitFor({ state: "hidden" });
  assert.deepEqual(await lines(grace), ["Bach", "Satie"]);

  // A reload stays in the room and has its lines, and one's own are still one's own.
  await ada.reload();
  await isOnline(ada);
  await hears(ada, "Satie");
  assert.deepEqual(await lines(ada), ["Bach", "Satie"]);
  assert.equal(await log(ada).locator(".line.own").count(), 2);
  await choose(ada, "Lobby");
  assert.deepEqual(await lines(ada), ["hello Grace", "<b>hello</b> Ada"]);
  await choose(grace, "Lobby");

  // A third person comes and leaves: both see it. A name has one colour, whoever has it.
  const alan = await comeIn(desk, url, "Grace");
  await hears(alan, "hello Grace");
  await sees(grace, 3);
  const colours = await colour(ada, "Grace");
  assert.equal(colours.length, 2);
  assert.equal(colours[0], colours[1]);
  await alan.close();
  await sees(grace, 2);
  await sees(ada, 2);

  // A connection that is cut: what was said meanwhile comes after it, once.
  await ask("cut the phone off", "cut off");
  await grace.waitForSelector("#pill:not([data-state=online])", { state: "attached" });
  await say(ada, "are you there?");
  await hears(ada, "are you there?");
  await ask("let the phone back", "let back");
  await isOnline(grace);
  await hears(grace, "are you there?");
  assert.deepEqual(await lines(grace), ["hello Grace", "<b>hello</b> Ada", "are you there?"]);

  await ask("stop the server", "stopped");
  await ada.waitForSelector("#pill:not([data-state=online])", { state: "attached" });
  await say(ada, "and we are back");
  await ask("start the server", "started");
  for (const page of [ada, grace]) await isOnline(page);
  await hears(grace, "and we are back");
  // Its history was in memory alone, so the room begins with what was said since.
  assert.deepEqual(await lines(grace), ["and we are back"]);
  assert.deepEqual(await lines(ada), ["and we are back"]);

  // A page of another origin may not connect, not even with its visitor's token.
  const elsewhere = createServer((_, response) => response.end("<!doctype html><title>x</title>"));
  elsewhere.listen(0, "127.0.0.1");
  await once(elsewhere, "listening");
  const token = await ada.evaluate(() => JSON.parse(sessionStorage.getItem("chat.visitor")).token);
  const connects = (page) => page.evaluate(([address, protocol]) => new Promise((resolve) => {
    const socket = new WebSocket(address, ["realtime.json", protocol]);
    socket.onopen = () => resolve("open");
    socket.onerror = () => resolve("refused");
  }), [`${url.replace("http", "ws")}/ws`, `token.${token}`]);
  assert.equal(await connects(ada), "open");
  const evil = await desk.newPage();
  await evil.goto(`http://127.0.0.1:${elsewhere.address().port}/`);
  assert.equal(await connects(evil), "refused");
  elsewhere.close();
} finally {
  await closeAll();
}
process.exit(0);
