// Drives a real Chromium through three answers: the page is reloaded in the middle, its connection
// is cut in the middle, and each answer has to be whole. A second window was away for longer than
// the server keeps, and loads afresh.

import assert from "node:assert/strict";
import { ask, closeAll, windowOf } from "../../../chat/tests/browser/windows.mjs";

/** One server keeps all of an answer, the other one too little of it. */
const [url, forgetful] = process.argv.slice(2);

const tokens = (page) => page.evaluate(() =>
  [...document.querySelectorAll(".card .foot span")].map((note) => parseInt(note.textContent) || 0));
const grown = (page, count) => page.waitForFunction((n) => {
  const notes = [...document.querySelectorAll(".card .foot span")];
  return notes.length > 0 && notes.every((note) => (parseInt(note.textContent) || 0) >= n);
}, count);
const complete = (page) => page.waitForFunction(() =>
  [...document.querySelectorAll(".card")].every((card) => card.dataset.state === "done"));
const texts = (page) => page.evaluate(() => Object.fromEntries(
  [...document.querySelectorAll(".card")].map((card) =>
    [card.querySelector("h2").textContent, card.querySelector(".text").textContent])));
const notes = (page) => page.locator(".card .foot span").allTextContents();

async function askAll(page, server) {
  await page.goto(server);
  await page.waitForSelector("#pill[data-state=online]");
  await page.getByRole("button", { name: "Ask all three" }).click();
}

try {
  const desk = await windowOf({ width: 1280, height: 800 });
  const phone = await windowOf({ width: 390, height: 844 });

  // What the answers are, from a page to which nothing happens.
  const calm = await desk.newPage();
  await askAll(calm, url);
  await complete(calm);
  const whole = await texts(calm);
  assert.equal(Object.keys(whole).length, 3);
  assert.ok((await notes(calm)).every((note) => !/recovered|afresh/.test(note)), "nothing happened to it");

  const page = await phone.newPage();
  await askAll(page, url);
  await grown(page, 5);
  await page.reload();
  const stored = await tokens(page);
  assert.ok(stored.every((count) => count >= 5), "what the tab had is there at once");
  await grown(page, 30);
  await ask("cut the connections", "cut");
  await grown(page, 50);
  await page.reload();
  await complete(page);
  assert.deepEqual(await texts(page), whole);
  assert.ok((await notes(page)).every((note) => /recovered/.test(note)), "what was missed came");
  const overflow = () => document.documentElement.scrollWidth - window.innerWidth;
  assert.equal(await page.evaluate(overflow), 0, "a phone has nothing to scroll sideways");

  // Nothing begins anew for a page whose answers are complete.
  await page.reload();
  assert.deepEqual(await texts(page), whole);

  // Away for longer than the server keeps: the page says so, and is whole all the same.
  const away = await phone.newPage();
  await askAll(away, forgetful);
  await grown(away, 5);
  await away.goto("about:blank");
  // Asked later, and answered: so is what was asked before.
  const later = await desk.newPage();
  await askAll(later, forgetful);
  await complete(later);
  await away.goBack();
  await complete(away);
  assert.deepEqual(await texts(away), whole);
  assert.ok((await notes(away)).every((note) => note.includes("loaded afresh")), "it says so");
} finally {
  await closeAll();
}
process.exit(0);
