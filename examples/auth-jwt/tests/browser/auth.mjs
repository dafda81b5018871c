// Drives a real Chromium: one connection over five lifetimes of a token, without a message that is
// lost or doubled; then it is closed with 3005, and comes back; then another tab signs out
// everywhere. It fails with the first thing that isn't so.

import assert from "node:assert/strict";
import { closeAll, windowOf } from "../../../chat/tests/browser/windows.mjs";

const [url, password, life] = process.argv.slice(2);
const LIFETIMES_MS = 5 * Number(life) * 1000;

const number = async (page, id) => Number(await page.locator(`#${id}`).textContent());
const reaches = (page, state) =>
  page.waitForFunction((wanted) => document.getElementById("state").dataset.state === wanted, state);

/** The connections that a page opens, with the counts that came over each, as the browser saw them. */
function watch(page) {
  const sockets = [];
  page.on("websocket", (socket) => {
    const seen = { counts: [], shown: 0, closed: false };
    sockets.push(seen);
    socket.on("framereceived", ({ payload }) => {
      const { route, data } = JSON.parse(payload);
      if (route === "tick") seen.counts.push(data.count);
      if (route === "authenticate") seen.shown += 1;
    });
    socket.on("close", () => (seen.closed = true));
  });
  return sockets;
}

try {
  const context = await windowOf({ width: 800, height: 700 });
  const page = await context.newPage();
  const sockets = watch(page);
  await page.goto(url);
  await reaches(page, "ended");
  await page.getByLabel("Password").fill("battery");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("Wrong name or password.").waitFor();
  assert.equal(sockets.length, 0);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await reaches(page, "online");
  const began = Date.now();

  const [cookie] = await context.cookies();
  assert.deepEqual([cookie.httpOnly, cookie.sameSite, cookie.secure], [true, "Strict", true]);
  assert.equal(await page.evaluate(() => document.cookie + Object.keys(localStorage)), "");

  // Another tab of the same login, which shares the cookie, renews its tokens meanwhile, too.
  const other = await context.newPage();
  await other.setViewportSize({ width: 390, height: 844 });
  await other.goto(url);
  await reaches(other, "online");
  for (const one of [page, other]) {
    assert.ok(await one.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "it fits");
  }

  await page.waitForFunction(() => Number(document.getElementById("tokens").textContent) > 5, null,
    { timeout: 3 * LIFETIMES_MS });
  await page.waitForTimeout(Math.max(0, began + LIFETIMES_MS - Date.now()));
  assert.equal(sockets.length, 1, "one connection");
  const [{ counts, shown, closed }] = sockets;
  assert.ok(!closed && shown >= 5, `${shown} tokens were accepted on it`);
  assert.ok(counts.length > 100, `${counts.length} ticks`);
  counts.forEach((count, at) => assert.equal(count, counts[0] + at, "none is lost, and none doubled"));
  assert.equal(await number(page, "wrong"), 0, "the page says so");

  // While the server can't be asked for tokens, the last one ends. Then it comes back by itself.
  await page.route("**/refresh", (route) => route.abort());
  await reaches(page, "waiting");
  assert.equal(sockets[0].closed, true);
  await page.unroute("**/refresh");
  await reaches(page, "online");
  assert.equal(sockets.length, 2);

  await other.getByRole("button", { name: "Sign out everywhere" }).click();
  await other.getByText("Signed out: you have left.").waitFor();
  await page.getByText("Signed out: revoked.").waitFor();
  assert.equal(await page.getByRole("button", { name: "Sign in" }).isVisible(), true);
  // It would come back within a second, as it did before.
  await page.waitForTimeout(1500);
  assert.equal(sockets.length, 2, "it stays away");
  await page.reload();
  await page.getByText("Signed out: please sign in.").waitFor();
  assert.equal(sockets.length, 2);
} finally {
  await closeAll();
}
process.exit(0);
