// Drives a real browser with three tabs, each on another node: what is said in one comes in all, and
// the tab whose node is killed comes back on another one with all that was said meanwhile. It fails
// with the first thing that isn't so.

import assert from "node:assert/strict";
import { launch } from "../../../../crates/realtime-client-js/tests/launch.mjs";

const [name, url] = process.argv.slice(2);

const { browser, close } = await launch(name);

/** A tab that may be kept away: then its connections go to where there is nothing. */
async function tab(viewport) {
  const context = await browser.newContext({ viewport });
  context.setDefaultTimeout(20_000);
  const page = await context.newPage();
  page.on("pageerror", (error) => console.log(`page error: ${error.message}`));
  await page.addInitScript(() => {
    window.WebSocket = class extends WebSocket {
      constructor(url, protocols) {
        super(window.isAway ? new URL("/nowhere", url).href : url, protocols);
      }
    };
  });
  await page.goto(url);
  await page.getByText("In the room, by node").waitFor();
  return page;
}

const nodeOf = async (page) => /^On node (\w)/.exec(await page.locator("#pill").textContent())?.[1];
const card = (page, node, state) => page.waitForSelector(`#nodes li[data-node=${node}][data-state=${state}]`);
const lines = (page) => page.locator("#lines li:not(.note)").allTextContents();
const number = async (page, id) => Number(await page.locator(`#${id}`).textContent());
const say = async (page, text) => {
  await page.getByLabel("Your line").fill(text);
  await page.getByLabel("Your line").press("Enter");
};

try {
  const ann = await tab({ width: 1280, height: 800 });
  const bob = await tab({ width: 390, height: 844 });
  const cat = await tab({ width: 800, height: 600 });
  const [a, b, c] = await Promise.all([ann, bob, cat].map(nodeOf));
  assert.deepEqual([a, b, c].sort(), ["a", "b", "c"], "each on another node");
  const overflow = () => document.documentElement.scrollWidth - window.innerWidth;
  assert.equal(await bob.evaluate(overflow), 0, "a phone has nothing to scroll sideways");
  await card(bob, a, "up");

  await say(ann, "hello");
  for (const [page, way] of [[ann, `${a} → ${a}`], [bob, `${a} → ${b}`], [cat, `${a} → ${c}`]]) {
    await page.getByText("hello").waitFor();
    assert.deepEqual(await lines(page), [`${way}hello`]);
  }

  await ann.evaluate(() => (window.isAway = true));
  await ann.getByRole("button", { name: "Kill this tab's node" }).click();
  await ann.getByText(`was on node ${a}`).waitFor();
  for (const text of ["where are you?", "still away?"]) {
    await say(bob, text);
    await cat.getByText(text).waitFor();
  }
  assert.deepEqual(await lines(ann), [`${a} → ${a}hello`]);
  await ann.evaluate(() => (window.isAway = false));
  await ann.getByText("Back, by node").waitFor();
  const now = await nodeOf(ann);
  assert.notEqual(now, a, "another node");
  await say(ann, "back again");
  for (const page of [ann, bob, cat]) {
    await page.getByText("back again").waitFor();
    const said = (await lines(page)).map((line) => line.slice("a → b".length));
    assert.deepEqual(said, ["hello", "where are you?", "still away?", "back again"]);
  }
  await card(bob, a, "down");

  // A process that is started anew has its place.
  await card(bob, a, "up");
  for (const page of [ann, bob, cat]) {
    assert.ok((await number(page, "heard")) > 10);
    for (const wrong of ["lost", "twice"]) assert.equal(await number(page, wrong), 0, wrong);
  }
} finally {
  await close();
}
process.exit(0);
