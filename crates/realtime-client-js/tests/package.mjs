// What is published, as those import it who have installed it.

import assert from "node:assert/strict";
import * as bundle from "@forerunner/realtime-client/bundle";
import * as core from "@forerunner/realtime-client";
import * as react from "@forerunner/realtime-client/react";

const names = ["Client", "ConnectionLost", "RequestError", "Timeout", "connect"];
assert.deepEqual(Object.keys(core).sort(), names);
assert.deepEqual(Object.keys(bundle).sort(), names);
assert.deepEqual(Object.keys(react).sort(), ["useConnection", "useRequest", "useRoom", "useStore"]);
