// Drives a real browser: one page that misses nothing, one behind a slow link that says what it has
// missed, one that is hidden for a while; and, in Chromium, one that wants little motion. It fails
// with the first thing that isn't so.

import assert from "node:assert/strict";
import { launch } from "../../../../crates/realtime-client-js/tests/launch.mjs";

const [name, fast, slow] = process.argv.slice(2);

const { browser, close } = await launch(name);

/** A page that counts what comes over its sockets, and how often it clears a canvas. */
async function pageAt(url, viewport, options = {}) {
  const context = await browser.newContext({ viewport, ...options });
  context.setDefaultTimeout(20_000);
  const page = await context.newPage();
  page.on("pageerror", (error) => console.log(`page error: ${error.message}`));
  await page.addInitScript(() => {
    window.counted = { points: 0, drawn: 0 };
    window.WebSocket = class extends WebSocket {
      constructor(...args) {
        super(...args);
        this.addEventListener("message", ({ data }) => {
          if (JSON.parse(data).route === "point") window.counted.points += 1;
        });
      }
    };
    const { clearRect } = CanvasRenderingContext2D.prototype;
    CanvasRenderingContext2D.prototype.clearRect = function (...args) {
      if (this.canvas.id === "plot") window.counted.drawn += 1;
      return clearRect.apply(this, args);
    };
  });
  await page.goto(url);
  return page;
}

const counted = (page) => page.evaluate(() => ({ ...window.counted }));
const number = async (page, id) => parseFloat(await page.locator(`#${id}`).textContent());
const reaches = (page, id, least) => page.waitForFunction(
  ([id, least]) => parseFloat(document.getElementById(id).textContent) >= least, [id, least]);

async function setVisibility(page, state) {
  await page.evaluate((state) => {
    Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, state);
}

/** Waits until nothing has come for half a second. */
async function isQuiet(page) {
  for (let tries = 0; tries < 40; tries += 1) {
    const { points } = await counted(page);
    await page.waitForTimeout(500);
    if ((await counted(page)).points === points) return;
  }
  assert.fail("points come on and on");
}

try {
  const desk = await pageAt(fast, { width: 1280, height: 800 });
  const phone = await pageAt(slow, { width: 390, height: 844 });
  await desk.waitForSelector("#pill[data-state=online]");
  await reaches(desk, "rate", 15);
  const overflow = () => document.documentElement.scrollWidth - window.innerWidth;
  assert.equal(await phone.evaluate(overflow), 0, "a phone has nothing to scroll sideways");

  // Fewer come, what isn't there is told of, and what is there is new.
  await reaches(phone, "missed", 60);
  assert.ok((await number(phone, "age")) < 3, "none is old");
  assert.match(await phone.locator("#note").textContent(), /too slow/);
  const [some, all] = [await counted(phone), await counted(desk)];
  assert.ok(some.points > 10 && some.points < all.points, `${some.points} of ${all.points}`);
  assert.equal(await number(desk, "missed"), 0, "the other one misses nothing");

  // Nobody looks: nothing is sent and nothing is drawn.
  await setVisibility(desk, "hidden");
  await isQuiet(desk);
  const { drawn } = await counted(desk);
  await desk.waitForTimeout(500);
  assert.equal((await counted(desk)).drawn, drawn);
  // Somebody does again.
  const { points } = await counted(desk);
  await setVisibility(desk, "visible");
  await desk.waitForFunction((before) => window.counted.points > before + 20, points);
  await desk.waitForFunction(() => parseFloat(document.getElementById("age").textContent) < 1);
  assert.equal(await number(desk, "missed"), 0, "what it didn't look at isn't missed");

  if (name === "chromium") {
    const calm = await pageAt(fast, { width: 800, height: 600 }, { reducedMotion: "reduce" });
    await reaches(calm, "rate", 15);
    const before = await counted(calm);
    await calm.waitForTimeout(3_000);
    const after = await counted(calm);
    const drawings = after.drawn - before.drawn;
    assert.ok(drawings >= 1 && drawings <= 4, `${drawings} in three seconds`);
    assert.ok(after.points - before.points > 20, "points come all the same");
  }
} finally {
  await close();
}
process.exit(0);
