// A window of Chromium or Firefox, and questions to the Rust side, which has the clients.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

// What the tests of the browser client have installed.
const require = createRequire(new URL("../../../../crates/realtime-client-js/package.json", import.meta.url));
const { chromium, firefox } = require("playwright-core");

const home = mkdtempSync(join(tmpdir(), "browser-"));
process.env.HOME = home;
const args = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];
const browsers = {
  chromium: () => chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args }),
  // The distribution's, over WebDriver BiDi.
  firefox: () => firefox.launch({ channel: "moz-firefox", executablePath: process.env.FIREFOX ?? "/usr/bin/firefox-esr" }),
};

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const started = [];

/** Asks the Rust side to do something, and waits until it has. */
export async function ask(question, answer) {
  console.log(question);
  assert.equal((await answers.next()).value, answer);
}

/** A page with nothing stored. */
export async function open(name, viewport, options = {}) {
  const browser = await browsers[name]();
  started.push(browser);
  const context = await browser.newContext({ viewport, ...options });
  context.setDefaultTimeout(20_000);
  const page = await context.newPage();
  page.on("pageerror", (error) => console.log(`page error: ${error.message}`));
  return page;
}

export async function closeAll() {
  await Promise.all(started.map((browser) => browser.close()));
  rmSync(home, { recursive: true, force: true });
  process.stdin.destroy();
}
