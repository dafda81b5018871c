// The client as one small file, `bundle/realtime-client.js`, for pages without a build of their own.
// With `--check` nothing is written: it fails where the file isn't what the sources make, or the
// client has outgrown its bound.

import { readFileSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const MOST_BYTES = 6 * 1024;
/**
 * What modules of the client call of each other, and nobody else does: neither an application, nor
 * what travels, has properties of these names. In the bundle they are shorter.
 */
const INTERNAL = [
  "isOpen onOpen onFrame onEnd onLost onHope onOffline outbox link connection registry deliver",
  "mayEnter entered enter keep tidy each isUnused receive gap removed disconnected over",
  "renew ask post answer flush lose isSent isOnline isWanted isStuck buffered probe isWatched",
  "newBackoff slow reset slot kind found refuse show drop emit frame timer end call",
].join(" ").split(" ");
const path = new URL("../bundle/realtime-client.js", import.meta.url);

const { outputFiles } = await build({
  absWorkingDir: new URL("..", import.meta.url).pathname,
  entryPoints: ["src/index.ts"],
  bundle: true,
  format: "esm",
  legalComments: "none",
  mangleProps: new RegExp(`^(${INTERNAL.join("|")})$`),
  minify: true,
  target: "es2022",
  write: false,
});
const bundle = `// @forerunner/realtime-client, MIT. Made by \`npm run build\`.\n${outputFiles[0].text}`;
const size = gzipSync(bundle, { level: 9 }).length;
console.log(`${bundle.length} bytes, ${size} gzipped`);
if (size >= MOST_BYTES) throw new Error(`expected less than ${MOST_BYTES} bytes gzipped`);
if (!process.argv.includes("--check")) writeFileSync(path, bundle);
else if (readFileSync(path, "utf8") !== bundle) {
  throw new Error("bundle/realtime-client.js is older than its sources: run `npm run build`");
}
