// A customer and the staff, with the keyboard: `node shop.mjs chromium|firefox URL CUSTOMERS_URL
// PASSWORD`. It fails with the first thing that isn't so. With PICTURES, a folder, it leaves what is
// seen there.

import assert from "node:assert/strict";
import { ask, closeAll, open } from "../../../admin/tests/browser/windows.mjs";

// The second is the same shop, behind a network that can be cut.
const [name, url, cuttable, password] = process.argv.slice(2);
const pictures = process.env.PICTURES;
const picture = async (page, of) => pictures && page.screenshot({ path: `${pictures}/shop-${name}-${of}.png` });
const fits = (page) => page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);
const steps = (page) => page.locator("#steps [data-done=true]").count();
const done = (page, count) =>
  page.waitForFunction((n) => document.querySelectorAll("#steps [data-done=true]").length === n, count);
const says = (page, text) => page.locator("#live").getByText(text).waitFor();

/** Somebody else in the same browser, with nothing stored: to start another one takes its time. */
async function beside(page, viewport) {
  const context = await page.context().browser().newContext({ viewport });
  context.setDefaultTimeout(20_000);
  return context.newPage();
}

async function signIn(page, at, who) {
  await page.goto(at);
  await page.waitForFunction(() => document.activeElement?.name === "name");
  await page.keyboard.type(who);
  await page.keyboard.press("Tab");
  await page.keyboard.type(password);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Orders" }).waitFor();
}

async function toOrder(page, item) {
  await page.getByRole("link", { name: item }).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: item }).waitFor();
  await says(page, "Live");
}

async function press(page, button) {
  await page.getByRole("button", { name: button }).focus();
  await page.keyboard.press("Enter");
}

try {
  const phone = { width: 390, height: 844 };
  const ada = await open(name, phone, name === "chromium" ? { colorScheme: "dark" } : {});
  const sam = await open(name, { width: 1280, height: 800 });
  const refused = [];
  for (const page of [ada, sam]) {
    page.on("console", (message) => {
      if (/Content.Security.Policy/i.test(message.text())) refused.push(message.text());
    });
  }
  await signIn(ada, cuttable, "ada");
  await ada.getByLabel("What would you like?").fill("Sencha, 100 g");
  await ada.keyboard.press("Enter");
  await ada.getByRole("link", { name: "Sencha" }).waitFor();
  await picture(ada, "list");
  await toOrder(ada, "Sencha");
  await signIn(sam, url, "sam");
  await toOrder(sam, "Sencha");

  // What is done on one page is there on the other.
  await press(sam, "Mark as packed");
  await done(ada, 2);
  await ada.getByRole("status").getByText("The order is packed.").waitFor();
  assert.equal(await ada.getByRole("button").count(), 0, "a customer moves nothing on");

  // A tunnel, in which two things happen.
  await ask("into the tunnel", "done");
  await says(ada, "Trying again");
  await press(sam, "Mark as shipped");
  await sam.getByRole("button", { name: "Mark as delivered" }).waitFor();
  await press(sam, "Mark as delivered");
  await done(sam, 4);
  assert.equal(await steps(ada), 2);
  await picture(ada, "tunnel");
  await ask("out of the tunnel", "done");
  await says(ada, "Changes that were missed: 2");
  assert.equal(await steps(ada), 4);
  await picture(ada, "order");
  await picture(sam, "staff");

  // A reload has it all.
  await ada.reload();
  await says(ada, "Live");
  assert.equal(await steps(ada), 4);
  for (const page of [ada, sam]) assert.ok(await fits(page), "nothing is wider than the window");

  // Others' orders aren't there.
  const [order] = ada.url().split("/").slice(-1);
  const bob = await beside(sam, phone);
  await signIn(bob, url, "bob");
  await bob.goto(`${url}/orders/${order}`);
  await bob.getByRole("alert").getByText("There is no such order.").waitFor();
  assert.equal(await bob.getByRole("article").count(), 0);

  // Signed out in one tab, and so in the other.
  const tab = await ada.context().newPage();
  await tab.goto(cuttable);
  await press(tab, "Sign out");
  await tab.getByRole("heading", { name: "Sign in" }).waitFor();
  await picture(tab, "door");
  await says(ada, "signed out");
  assert.deepEqual(refused, [], "the policy refuses nothing of the page's own");
} finally {
  await closeAll();
}
