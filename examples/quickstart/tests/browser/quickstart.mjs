// Drives a real Chromium through what docs/quickstart.md tells its reader to try: a wrong token, two
// who talk, and one who comes back with what was missed. It fails with the first thing that isn't so.

import assert from "node:assert/strict";
import { ask, closeAll, windowOf } from "../../../chat/tests/browser/windows.mjs";

// The second is the same server, behind a network that can be cut.
const [url, cuttable] = process.argv.slice(2);

const state = (page, wanted) =>
  page.waitForFunction((text) => document.getElementById("state").textContent.startsWith(text), wanted);
const signIn = async (page, token) => {
  await page.getByLabel("Token").fill(token);
  await page.getByRole("button", { name: "Sign in" }).click();
};
const say = async (page, text) => {
  await page.getByLabel("Line").fill(text);
  await page.getByRole("button", { name: "Say" }).click();
};
const lines = (page) => page.locator("#lines li").allTextContents();

try {
  const [ann, bob] = await Promise.all(
    [{ width: 1280, height: 800 }, { width: 390, height: 844 }].map(async (size) => (await windowOf(size)).newPage()),
  );
  await ann.goto(url);
  await bob.goto(cuttable);
  for (const page of [ann, bob]) await state(page, "idle");

  await signIn(ann, "nonsense");
  await state(ann, "ended 3500 expected valid credentials");
  await signIn(ann, "token-of-ann");
  await signIn(bob, "token-of-bob");
  for (const page of [ann, bob]) await state(page, "online");

  await say(ann, "hello");
  await bob.getByText("ann: hello").waitFor();
  await say(bob, "good morning");
  await ann.getByText("bob: good morning").waitFor();

  await ask("cut the network", "cut");
  await state(bob, "waiting");
  await say(ann, "are you there?");
  await ann.getByText("ann: are you there?").waitFor();
  await ask("mend the network", "mended");
  await bob.getByText("(back; missed meanwhile: 1)").waitFor();
  const said = ["ann: hello", "bob: good morning", "ann: are you there?"];
  assert.deepEqual(await lines(ann), said);
  assert.deepEqual(await lines(bob), [...said, "(back; missed meanwhile: 1)"]);

  for (const page of [ann, bob]) {
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "it fits");
  }

  // A page that is loaded anew has the lines that are kept.
  await bob.reload();
  await bob.getByText("ann: are you there?").waitFor();
  assert.deepEqual(await lines(bob), said);

  await ask("stop the server, and start it again", "started");
  for (const page of [ann, bob]) {
    await page.getByText("(back; what was missed is no longer kept)").waitFor();
    assert.deepEqual(await lines(page), ["(back; what was missed is no longer kept)"]);
    await state(page, "online");
  }
  await say(bob, "are you still there?");
  await ann.getByText("bob: are you still there?").waitFor();
} finally {
  await closeAll();
}
process.exit(0);
