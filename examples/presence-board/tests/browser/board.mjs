// People on the board, with the keyboard: `node board.mjs chromium|firefox URL`. It fails with the
// first thing that isn't so. With PICTURES, a folder, it leaves what is seen there.

import assert from "node:assert/strict";
import { closeAll, open } from "../../../admin/tests/browser/windows.mjs";

const [name, url] = process.argv.slice(2);
const pictures = process.env.PICTURES;
const picture = async (page, of) => pictures && page.screenshot({ path: `${pictures}/board-${name}-${of}.png`, fullPage: true });
const fits = (page) => page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);
const log = (page) => page.locator("#log li").allTextContents();
const hears = (page, text) => page.locator("#log").getByText(text).waitFor();
const isLive = (page) => page.waitForSelector("#state[data-state=online]");
const isOnline = (page, count) => page.locator("#count").getByText(count === 1 ? "1 person is" : `${count} people are`).waitFor();

/** Who is shown where, by place. */
const shown = (page) =>
  page.evaluate(() => {
    const names = (list) => [...list.querySelectorAll("bdi")].map((who) => who.textContent);
    const cards = [...document.querySelectorAll("[data-place]")].map((card) => [card.dataset.place, names(card)]);
    return Object.fromEntries([...cards, ["nowhere", names(document.getElementById("nowhere"))]]);
  });
const is = async (page, place, who) => {
  await page.waitForFunction(
    ([place, who]) => {
      const list = document.querySelector(place === "nowhere" ? "#arrived" : `[data-place=${place}]`);
      return [...list.querySelectorAll("bdi")].map((one) => one.textContent).join() === who.join();
    },
    [place, who],
    // Not with each frame: a tab that nobody looks at has none.
    { polling: 50 },
  );
};

/** Somebody else in the same browser, with nothing stored: to start another one takes its time. */
async function beside(page, viewport) {
  const context = await page.context().browser().newContext({ viewport });
  context.setDefaultTimeout(20_000);
  return context.newPage();
}

async function come(page, who) {
  page.on("console", (message) => {
    if (/Content.Security.Policy/i.test(message.text())) refused.push(message.text());
  });
  await page.goto(url);
  await page.getByLabel("Your name").focus();
  await page.keyboard.type(who);
  await page.keyboard.press("Enter");
  await isLive(page);
  return page;
}

/** What is right on such a page is so at once, and not by the end of somebody's grace. */
function hearsOfNobodyLeaving() {
  window.WebSocket = class extends WebSocket {
    set onmessage(listener) {
      super.onmessage = (event) => {
        const { route, data } = JSON.parse(event.data);
        if (route !== "changed" || data.is_here) listener(event);
      };
    }
  };
}

async function go(page, place) {
  await page.bringToFront();
  await page.locator(`[data-place=${place}] button`).focus();
  await page.keyboard.press("Enter");
}

/** What the page makes of words that are told twice, overtake each other, or never come. */
async function model(page) {
  const seen = await page.evaluate(async () => {
    const { Board } = await import("/board.js");
    const board = new Board();
    const steps = [];
    const note = (what) => steps.push([what, board.online().join(), board.placeOf("ann"), board.placeOf("bob")]);
    const tell = (group, id, version, is_here) => board.change({ group, id, version, is_here });
    const news = [
      tell("online", "ann", 1, true),
      tell("online", "ann", 1, true),
      tell("online", "bob", 9, false),
      tell("online", "bob", 5, true),
    ];
    note("told twice, and overtaken");
    tell("kitchen", "ann", 2, true);
    board.went("ann", "garden");
    note("on her way");
    tell("garden", "ann", 3, true);
    note("there, and not yet gone");
    board.went("ann", "kitchen");
    note("back");
    tell("garden", "ann", 4, false);
    const before = board.copy();
    tell("library", "bob", 12, true);
    board.merge({ online: [{ id: "bob", version: 11 }], kitchen: [], library: [], garden: [] }, before);
    note("she went unheard, and he came while it was asked");
    tell("online", "ann", 1, true);
    note("an old word");
    tell("online", "ann", 20, true);
    tell("kitchen", "ann", 21, true);
    tell("garden", "ann", 22, true);
    note("anew");
    return { news, steps };
  });
  assert.deepEqual(seen.news, [true, false, false, false]);
  assert.deepEqual(seen.steps, [
    ["told twice, and overtaken", "ann", null, null],
    ["on her way", "ann", "kitchen", null],
    ["there, and not yet gone", "ann", "garden", null],
    ["back", "ann", "kitchen", null],
    ["she went unheard, and he came while it was asked", "bob", null, "library"],
    ["an old word", "bob", null, "library"],
    ["anew", "ann,bob", "garden", "library"],
  ]);
}

const refused = [];
try {
  const ann = await come(await open(name, { width: 1280, height: 800 }), "Ann");
  const dark = name === "chromium" ? { colorScheme: "dark" } : {};
  const bob = await come(await open(name, { width: 390, height: 844 }, dark), "Bob");
  await isOnline(bob, 2);
  await hears(ann, "Bob came");

  // Two tabs are one person, who is where both are.
  const tab = await ann.context().newPage();
  await tab.addInitScript(hearsOfNobodyLeaving);
  await tab.goto(url);
  await isLive(tab);
  await is(tab, "nowhere", ["Ann", "Bob"]);
  await go(ann, "kitchen");
  for (const page of [ann, tab, bob]) await is(page, "kitchen", ["Ann"]);
  await go(tab, "garden");
  for (const page of [ann, tab, bob]) {
    await is(page, "garden", ["Ann"]);
    assert.deepEqual((await shown(page)).kitchen, [], "nobody is in two places");
  }
  // And back, before anybody was told that she has left it.
  await go(ann, "kitchen");
  for (const page of [ann, tab, bob]) await is(page, "kitchen", ["Ann"]);
  await go(bob, "kitchen");
  await is(ann, "kitchen", ["Ann", "Bob"]);

  // Somebody who leaves after that: when it is told of them, it would have been of a reload.
  const cid = await come(await beside(ann, { width: 700, height: 700 }), "Cid");
  for (const page of [ann, tab, bob]) await isOnline(page, 3);
  await go(cid, "library");
  await is(bob, "library", ["Cid"]);
  await picture(ann, "desk");
  await picture(bob, "phone");
  await tab.close();
  await ann.reload();
  await isLive(ann);
  await is(ann, "kitchen", ["Ann", "Bob"]);
  await cid.getByRole("button", { name: "Leave" }).click();
  await cid.getByLabel("Your name").waitFor();
  await picture(cid, "door");
  await hears(bob, "Cid left");
  await isOnline(bob, 2);
  await is(bob, "library", []);
  assert.deepEqual((await shown(bob)).kitchen, ["Ann", "Bob"]);
  const told = (await log(bob)).map((line) => line.replace(/^[\d:. APM\u202f]+ /, "")).filter((line) => line.startsWith("Ann"));
  assert.deepEqual(told, [
    "Ann went to the kitchen",
    "Ann went to the garden",
    "Ann went to the kitchen",
  ]);
  for (const page of [ann, bob]) assert.ok(await fits(page), "nothing is wider than the window");
  await model(bob);
  assert.deepEqual(refused, [], "the policy refuses nothing of the page's own");
} finally {
  await closeAll();
}
