// An operator with a keyboard: `node admin.mjs chromium|firefox URL PASSWORD`. It fails with the first
// thing that isn't so. With PICTURES, a folder, it leaves what is seen there.

import assert from "node:assert/strict";
import { ask, closeAll, open } from "./windows.mjs";

const [name, url, password] = process.argv.slice(2);
const pictures = process.env.PICTURES;
const focus = (page) => page.evaluate(() => document.activeElement.getAttribute("aria-label") ?? document.activeElement.id);
const isLive = (page) => page.waitForSelector("#line[data-state=ok]");

/** Presses Tab until this has the focus: what a keyboard can't reach fails here. */
async function tabTo(page, wanted, most = 60) {
  for (let n = 0; n < most; n += 1) {
    if ((await focus(page)) === wanted) return;
    await page.keyboard.press("Tab");
  }
  assert.fail(`the keyboard does not reach ${wanted}; it is at ${await focus(page)}`);
}

async function signIn(viewport, options) {
  const page = await open(name, viewport, options);
  const refused = [];
  page.on("console", (message) => {
    if (/Content.Security.Policy/i.test(message.text())) refused.push(message.text());
  });
  const before = await page.goto(`${url}/admin`);
  assert.equal(before.status(), 401);
  await page.goto(`${url}/login`);
  await page.waitForFunction(() => document.activeElement?.name === "password");
  await page.keyboard.type(password);
  await page.keyboard.press("Enter");
  await page.waitForURL(`${url}/admin/`);
  await isLive(page);
  return { page, refused };
}

const picture = async (page, of) => pictures && page.screenshot({ path: `${pictures}/${name}-${of}.png`, fullPage: of.includes("whole") });
const fits = (page) => page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);
/** How an identity is called: what peers have chosen stands for itself. */
const ANN = '\u2068"ann"\u2069 of the tenant \u2068"acme"\u2069';
const rows = (page) => page.locator("#session-rows tr").count();

try {
  const { page, refused } = await signIn({ width: 1280, height: 800 });

  // What there is, as a list and in numbers that change.
  await page.locator("#health", { hasText: "ready" }).waitFor();
  await page.locator("#me", { hasText: "operator" }).waitFor();
  await page.locator("#numbers div", { hasText: "Sessions" }).getByText("72", { exact: true }).waitFor();
  await page.waitForFunction(() => document.querySelectorAll("#session-rows tr").length === 50);
  await page.locator("#rooms").getByText("lobby").waitFor();

  // Pages, and a search, with the keyboard.
  await tabTo(page, "containing");
  await page.keyboard.type("guest-0");
  await page.waitForFunction(() => document.querySelectorAll("#session-rows tr").length === 10);
  await page.keyboard.press("Control+A");
  await page.keyboard.press("Delete");
  await page.waitForFunction(() => document.querySelectorAll("#session-rows tr").length === 50);
  await page.locator("#next").focus();
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.querySelectorAll("#session-rows tr").length === 22);
  assert.equal(await page.locator("#next").isDisabled(), true);
  await page.locator("#first").focus();
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.querySelectorAll("#session-rows tr").length === 50);

  // What has the focus keeps it while the list is drawn again.
  const first = page.locator("#session-rows button").first();
  await first.focus();
  const label = await focus(page);
  await page.waitForTimeout(4_500);
  assert.equal(await focus(page), label);

  // Nothing that peers choose stays unseen, or turns round what stands beside it.
  await page.locator("#find-id").fill('a\u202e\u200bnn" of the tenant "x');
  await page.keyboard.press("Enter");
  await page.getByText(`\u2068"a\\u{202e}\\u{200b}nn\\" of the tenant \\"x"\u2069: not online`).waitFor();
  await page.locator("#find-id").fill("");

  // Rooms are searched, too.
  await page.locator("#room-containing").fill("nobody");
  await page.getByText("0 rooms shown").waitFor();
  await page.locator("#room-containing").fill("lobby");
  await page.locator("#rooms").getByText("lobby").waitFor();

  // Somebody on all nodes, and what they say.
  await page.evaluate(() => scrollTo(0, 0));
  await page.locator("#find-id").focus();
  await page.keyboard.type("ann");
  await tabTo(page, "find-tenant");
  await page.keyboard.type("acme");
  await page.keyboard.press("Enter");
  await page.getByText(`${ANN}: 2 sessions on 1 node`).waitFor();
  await picture(page, "desk");
  await tabTo(page, "watch");
  await page.keyboard.press("Enter");
  await page.getByText("Watching 2 sessions on this node for 60 s.").waitFor();
  assert.equal(await focus(page), "tap-title");
  await ask("ann speaks", "she has");
  const log = page.getByRole("log");
  await log.getByText('"good morning <b>all</b>"').nth(2).waitFor();
  assert.equal(await log.locator("b").count(), 0, "what peers say is text");
  assert.deepEqual((await log.locator(".way").allTextContents()).sort(), ["In", "Out", "Out"]);
  await picture(page, "tap");
  await tabTo(page, "tap-stop");
  await page.keyboard.press("Enter");
  await page.getByText("Stopped.").waitFor();

  // It is asked once more, Escape is a no, and the receipt is shown.
  await page.locator("#disconnect-all").focus();
  await page.keyboard.press("Enter");
  const dialog = page.getByRole("dialog", { name: `Disconnect all sessions of ${ANN}?` });
  await dialog.waitFor();
  assert.equal(await focus(page), "sure-cancel", "what is safe has the focus");
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "hidden" });
  assert.equal(await focus(page), "disconnect-all");
  await page.keyboard.press("Enter");
  await dialog.getByLabel("Reason").fill("see you later");
  await dialog.getByRole("button", { name: "Disconnect" }).press("Enter");
  await page.getByText(/^Disconnected 2 sessions in \d+ ms/).waitFor();
  await picture(page, "receipt");
  await ask("why is ann gone", "see you later, see you later");
  await page.getByText(`${ANN}: not online`).waitFor();
  await page.locator("#numbers div", { hasText: "Sessions" }).getByText("70", { exact: true }).waitFor();
  assert.ok(await fits(page), "nothing is wider than the window");

  // On a phone, in the dark.
  const phone = await signIn({ width: 390, height: 844 }, name === "chromium" ? { colorScheme: "dark" } : {});
  await phone.page.waitForFunction(() => document.querySelectorAll("#session-rows tr").length === 50);
  assert.ok(await fits(phone.page), "nothing is wider than the phone");
  await picture(phone.page, "phone");
  await phone.page.locator("#sessions-title").scrollIntoViewIfNeeded();
  await phone.page.evaluate(() => document.querySelector("#sessions-title").scrollIntoView());
  await picture(phone.page, "phone-sessions");
  assert.equal(await rows(phone.page), 50);
  assert.deepEqual([...refused, ...phone.refused], [], "the policy refuses nothing of the page's own");
  console.log("the page is as it should be");
} finally {
  await closeAll();
}
