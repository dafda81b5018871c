// All scenarios in a page of a real browser: `node browsers.mjs chromium|firefox`, with the
// server in REALTIME_SERVER.

import { build } from "esbuild";
import { launch } from "./launch.mjs";

const name = process.argv[2];
const origin = process.env.REALTIME_SERVER;
/** The hooks with React, as a page's own build makes them. */
async function react() {
  const { outputFiles } = await build({
    entryPoints: [new URL("react.mjs", import.meta.url).pathname],
    bundle: true,
    define: { "process.env.NODE_ENV": '"development"' },
    format: "esm",
    target: "es2022",
    write: false,
  });
  return outputFiles[0].text;
}

const { browser, close } = await launch(name);
let failed = 0;
try {
  const page = await browser.newPage();
  page.on("pageerror", (error) => console.log(`page error: ${error.message}`));
  await page.goto(origin);
  const results = await page.evaluate(async (reactText) => {
    const load = (path) => import(`/file/${path}`);
    const lib = await load("bundle/realtime-client.js");
    const { run } = await load("tests/harness.mjs");
    const reactUrl = URL.createObjectURL(new Blob([reactText], { type: "text/javascript" }));
    const all = await Promise.all([
      ...["connection", "page", "requests", "rooms", "tokens"].map((name) => load(`tests/scenarios/${name}.mjs`)),
      import(reactUrl),
    ]);
    const results = [];
    const one = async ([what, scenario]) => {
      const begun = performance.now();
      let error = "";
      try {
        await run(scenario, { lib, origin: location.origin, WebSocket });
      } catch (caught) {
        error = `${caught} ${caught.stack}`;
      }
      results.push({ what, error, ms: performance.now() - begun });
    };
    const together = [];
    const alone = [];
    for (const { default: { alone: some = {}, ...others } } of all) {
      together.push(...Object.entries(others));
      alone.push(...Object.entries(some));
    }
    const next = async () => {
      while (together.length > 0) await one(together.shift());
    };
    await Promise.all(Array.from({ length: 12 }, next));
    for (const scenario of alone) await one(scenario);
    return results;
  }, await react());
  for (const { what, error, ms } of results) {
    if (error) failed += 1;
    console.log(`${error ? "FAILED" : "ok    "} ${what} (${Math.round(ms)} ms) ${error}`);
  }
  console.log(`${results.length} scenarios in ${name} ${browser.version()}, ${failed} failed`);
} finally {
  await close();
}
process.exit(failed === 0 ? 0 : 1);
