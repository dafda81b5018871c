// The distribution's browsers, each with a home of its own.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium, firefox } from "playwright-core";

const browsers = {
  chromium: () => chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync",
    ],
  }),
  // The distribution's, over WebDriver BiDi. From 1.64 on playwright sends it a command that the
  // extended support release doesn't know (emulation.setMediaFeaturesOverride).
  firefox: () => firefox.launch({ channel: "moz-firefox", executablePath: process.env.FIREFOX ?? "/usr/bin/firefox-esr" }),
};

/** Launches `chromium` or `firefox`. */
export async function launch(name) {
  const home = mkdtempSync(join(tmpdir(), "browser-"));
  process.env.HOME = home;
  const browser = await browsers[name]();
  const close = async () => {
    await browser.close();
    rmSync(home, { recursive: true, force: true });
  };
  return { browser, close };
}
