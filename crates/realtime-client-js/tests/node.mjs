// All scenarios in Node.js, and in Deno. REALTIME_SERVER is where the server is.

import { describe, test } from "node:test";
import ws from "ws";
import * as lib from "../bundle/realtime-client.js";
import { run } from "./harness.mjs";
import connection from "./scenarios/connection.mjs";
import requests from "./scenarios/requests.mjs";
import rooms from "./scenarios/rooms.mjs";
import tokens from "./scenarios/tokens.mjs";

// With `--experimental-websocket` and from Node.js 22 on it is the global one.
const WebSocket = globalThis.WebSocket ?? ws;
const origin = process.env.REALTIME_SERVER;
if (!origin) throw new Error("no server: run `cargo nextest run -p realtime-client-js`");

const all = [connection, requests, rooms, tokens];
const [alone, together] = [{}, {}];
for (const { alone: some = {}, ...others } of all) {
  Object.assign(alone, some);
  Object.assign(together, others);
}
// What plays with the clock or with chance would disturb the others.
for (const [name, concurrency, scenarios] of [["together", 32, together], ["alone", 1, alone]]) {
  describe(name, { concurrency }, () => {
    for (const [what, scenario] of Object.entries(scenarios)) {
      test(what, () => run(scenario, { lib, origin, WebSocket }));
    }
  });
}
