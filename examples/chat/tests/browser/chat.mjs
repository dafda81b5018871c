// Drives two real Chromium windows through the chat. It fails with the first thing that isn't so.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const url = process.argv[2];
const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const args = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
async function ask(question, answer) {
  console.log(question);
  assert.equal((await answers.next()).value, answer);
}

const folders = [];
async function windowOf(viewport) {
  const folder = mkdtempSync(join(tmpdir(), "chat-"));
  folders.push(folder);
  const context = await chromium.launchPersistentContext(folder, {
    executablePath, args, viewport, headless: true,
  });
  context.setDefaultTimeout(15_000);
  return context;
}

/** Joins with the keyboard alone. */
async function enter(context, name) {
  const page = await context.newPage();
  page.on("pageerror", (error) => console.log(`page error: ${error.message}`));
  await page.goto(url);
  await page.waitForFunction(() => document.activeElement?.id === "name");
  await page.keyboard.type(name);
  await page.keyboard.press("Enter");
  await page.waitForSelector("#pill[data-state=online]", { state: "attached" });
  return page;
}

const hears = (page, text) => page.getByRole("log").getByText(text, { exact: true }).waitFor();
const online = (page, count) =>
  page.waitForFunction((n) => document.querySelectorAll("#roster li").length === n, count);

async function say(page, text) {
  await page.waitForFunction(() => document.activeElement?.id === "text");
  await page.keyboard.type(text);
  await page.keyboard.press("Enter");
}

const [desk, phone] = [
  await windowOf({ width: 1280, height: 800 }),
  await windowOf({ width: 390, height: 844 }),
];
try {
  const ada = await enter(desk, "Ada");
  const grace = await enter(phone, "Grace");
  await online(ada, 2);
  await online(grace, 2);

  await say(ada, "hello Grace");
  await hears(grace, "hello Grace");
  await say(grace, "<b>hello</b> Ada");
  await hears(ada, "<b>hello</b> Ada");
  assert.equal(await ada.locator("#log b").count(), 0, "HTML in a line is text");
  const overflow = () => document.documentElement.scrollWidth - window.innerWidth;
  assert.equal(await grace.evaluate(overflow), 0, "a phone has nothing to scroll sideways");

  // A third person comes and leaves: both see it.
  const alan = await enter(desk, "Alan");
  await online(grace, 3);
  await alan.close();
  await online(grace, 2);
  await online(ada, 2);

  await ask("stop the server", "stopped");
  await ada.waitForSelector("#pill:not([data-state=online])", { state: "attached" });
  await ask("start the server", "started");
  for (const page of [ada, grace]) {
    await page.waitForSelector("#pill[data-state=online]", { state: "attached" });
  }
  await ada.bringToFront();
  await ada.locator("#text").focus();
  await say(ada, "and we are back");
  await hears(grace, "and we are back");

  // A page of another origin may not connect as its visitor.
  const elsewhere = createServer((_, response) => response.end("<!doctype html><title>x</title>"));
  elsewhere.listen(0, "127.0.0.1");
  await once(elsewhere, "listening");
  const evil = await desk.newPage();
  await evil.goto(`http://127.0.0.1:${elsewhere.address().port}/`);
  const outcome = await evil.evaluate((socketUrl) => new Promise((resolve) => {
    const socket = new WebSocket(socketUrl);
    socket.onopen = () => resolve("open");
    socket.onerror = () => resolve("refused");
  }), `${url.replace("http", "ws")}/ws?person=evil&name=Evil`);
  assert.equal(outcome, "refused");
  elsewhere.close();
} finally {
  await Promise.all([desk.close(), phone.close()]);
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
}
process.exit(0);
