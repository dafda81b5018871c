// The client as one small file, `bundle/realtime-client.js`, for pages without a build of their own.
// With `--check` nothing is written: it fails where the file isn't what the sources make, or the
// client has outgrown its bound.

import { readFileSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const MOST_BYTES = 6.5 * 1024;
/**
 * What modules of the client call of each other, and nobody else does, has a name that ends so: in the
 * bundle it is shorter.
 */
const INTERNAL = /_$/;
const path = new URL("../bundle/realtime-client.js", import.meta.url);

const { outputFiles } = await build({
  absWorkingDir: new URL("..", import.meta.url).pathname,
  entryPoints: ["src/index.ts"],
  bundle: true,
  format: "esm",
  legalComments: "none",
  mangleProps: INTERNAL,
  minify: true,
  target: "es2022",
  write: false,
});
const bundle = `// @forerunner/realtime-client, MIT\n${outputFiles[0].text}`;
const size = gzipSync(bundle, { level: 9 }).length;
console.log(`${bundle.length} bytes, ${size} gzipped`);
if (size >= MOST_BYTES) throw new Error(`expected less than ${MOST_BYTES} bytes gzipped`);
if (!process.argv.includes("--check")) writeFileSync(path, bundle);
else if (readFileSync(path, "utf8") !== bundle) {
  throw new Error("bundle/realtime-client.js is older than its sources: run `npm run build`");
}
