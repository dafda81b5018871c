// A moderator in one Chromium window removes somebody in another. It fails with the first thing that
// isn't so.

import assert from "node:assert/strict";
import { choose, comeIn, hears, isOnline, knock, log, say, sees } from "./steps.mjs";
import { closeAll, windowOf } from "./windows.mjs";

const [url, password] = process.argv.slice(2);
const events = (page) => log(page).locator(".event").allTextContents();
const focus = (page) => page.evaluate(() => document.activeElement.getAttribute("aria-label") ?? document.activeElement.id);

try {
  const desk = await windowOf({ width: 1280, height: 800 });
  const phone = await windowOf({ width: 390, height: 844 });

  // With the keyboard alone, and with a wrong password first.
  const ada = await knock(desk, url, "Ada");
  await ada.getByRole("button", { name: "I am a moderator" }).press("Enter");
  assert.equal(await focus(ada), "password");
  await ada.keyboard.type("a wrong password");
  await ada.keyboard.press("Enter");
  await ada.getByText("This is not the moderators' password.").waitFor();
  assert.equal(await focus(ada), "password");
  await ada.keyboard.press("Control+A");
  await ada.keyboard.type(password);
  await ada.keyboard.press("Enter");
  await isOnline(ada);
  await sees(ada, 1);

  // Who comes and who goes is told, and a reload is neither.
  const eve = await comeIn(phone, url, "Eve");
  await sees(ada, 2);
  await sees(eve, 2);
  assert.equal(await eve.locator("#roster .remove").count(), 0, "only moderators remove");
  await eve.reload();
  await isOnline(eve);
  await sees(eve, 2);
  const bob = await comeIn(desk, url, "Bob");
  await sees(ada, 3);
  await bob.close();
  await log(ada).getByText("Bob left").waitFor();
  assert.deepEqual(await events(ada), ["Eve joined", "Bob joined", "Bob left"]);
  await sees(ada, 2);

  // It is asked once more, and Escape is a no.
  const remove = ada.getByRole("button", { name: "Remove Eve" });
  const dialog = ada.getByRole("dialog", { name: "Remove Eve?" });
  await remove.press("Enter");
  await dialog.waitFor();
  assert.equal(await focus(ada), "removal-cancel", "what is safe has the focus");
  await ada.keyboard.press("Escape");
  await dialog.waitFor({ state: "hidden" });
  assert.equal(await focus(ada), "Remove Eve");
  await remove.press("Enter");
  await dialog.getByRole("button", { name: "Remove" }).press("Enter");

  // Eve sees why, and the others that it was so. They don't see her leave once more.
  const why = "A moderator has removed you from Lobby. You can come back to it in 10 minutes.";
  await eve.locator("#notice-text").getByText(why).waitFor();
  await log(ada).getByText("Eve was removed by a moderator").waitFor();
  await sees(ada, 1);
  assert.equal(await focus(ada), "people-title");

  // She comes back, not to that room, and a reload doesn't help. Other rooms are open to her.
  await eve.getByRole("button", { name: "Join again" }).click();
  const refusal = eve.locator("#refusal");
  for (const reload of [false, true]) {
    if (reload) await eve.reload();
    await isOnline(eve);
    await refusal.getByText("A moderator has removed you. You can come back in 10 minutes.").waitFor();
    assert.equal(await eve.locator("#composer").isVisible(), false);
  }
  await choose(eve, "Music");
  await refusal.waitFor({ state: "hidden" });
  await say(eve, "is anybody here?");
  await choose(ada, "Music");
  await hears(ada, "is anybody here?");
  await sees(ada, 2);
  await choose(ada, "Lobby");
  const carol = await comeIn(desk, url, "Carol");
  await carol.close();
  await log(ada).getByText("Carol left").waitFor();
  assert.deepEqual((await events(ada)).slice(3), ["Eve was removed by a moderator", "Carol joined", "Carol left"]);

  // Who leaves and comes again is a moderator no longer.
  await ada.getByRole("button", { name: "Leave or change name" }).click();
  await ada.waitForFunction(() => document.activeElement?.id === "name");
  await ada.keyboard.press("Enter");
  await isOnline(ada);
  await choose(ada, "Music");
  await ada.locator("#roster").getByText("Eve").waitFor();
  assert.equal(await ada.locator("#roster .remove").count(), 0);
} finally {
  await closeAll();
}
process.exit(0);
