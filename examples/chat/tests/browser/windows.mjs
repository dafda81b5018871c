// What the browser tests of the examples share: Chromium windows of a size, and questions to the
// Rust side, which has the server.

import assert from "node:assert/strict";
import { createInterface } from "node:readline";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const args = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Asks the Rust side to do something, and waits until it has. */
export async function ask(question, answer) {
  console.log(question);
  assert.equal((await answers.next()).value, answer);
}

const open = [];

/** A browser of its own, with nothing stored. */
export async function windowOf(viewport, options = {}) {
  const folder = mkdtempSync(join(tmpdir(), "browser-"));
  const context = await chromium.launchPersistentContext(folder, {
    executablePath, args, viewport, headless: true, ...options,
  });
  open.push({ context, folder });
  context.setDefaultTimeout(15_000);
  context.on("page", (page) => {
    page.on("pageerror", (error) => console.log(`page error: ${error.message}`));
  });
  return context;
}

export async function closeAll() {
  await Promise.all(open.map(({ context }) => context.close()));
  for (const { folder } of open) rmSync(folder, { recursive: true, force: true });
}
