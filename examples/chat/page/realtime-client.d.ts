export * from "../../../crates/realtime-client-js/src/index.js";
