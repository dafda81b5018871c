// What people do in the chat, with the keyboard where that is how one does it.

export const isOnline = (page) => page.waitForSelector("#pill[data-state=online]", { state: "attached" });
export const log = (page) => page.locator(".window:not([hidden]) .log");
export const hears = (page, text) => log(page).getByText(text, { exact: true }).waitFor();
/** So many people are in the room that is shown. */
export const sees = (page, count) =>
  page.waitForFunction((n) => document.querySelectorAll("#roster li").length === n, count);

/** Opens the door and writes a name. */
export async function knock(context, url, name) {
  const page = await context.newPage();
  await page.goto(url);
  await page.waitForFunction(() => document.activeElement?.id === "name");
  await page.keyboard.press("Control+A");
  await page.keyboard.type(name);
  return page;
}

export async function comeIn(context, url, name) {
  const page = await knock(context, url, name);
  await page.keyboard.press("Enter");
  await isOnline(page);
  return page;
}

export async function say(page, text) {
  await page.bringToFront();
  await page.locator("#text").focus();
  await page.keyboard.type(text);
  await page.keyboard.press("Enter");
}

export async function choose(page, room) {
  await page.getByRole("link", { name: room }).click();
  await page.getByRole("heading", { level: 1, name: room }).waitFor();
}
