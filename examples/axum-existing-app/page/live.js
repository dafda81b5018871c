// What was added: the page of an order changes with it.

import { Client } from "./realtime-client.js";
import { me } from "./shop.js";

const WORDS = {
  connecting: "Connecting …",
  online: "Live",
  waiting: "The connection is lost. Trying again …",
  offline: "This device is offline.",
  ended: "You are signed out here. Reload to sign in.",
};

/** Shows the order as it changes; `load` fetches it where it isn't known what was missed. */
export function follow(id, { show, load, say }) {
  // The cookie goes along by itself. Asked is whose it is, so that nobody knocks without one.
  const token = async ({ signal }) => (await me({ signal }))?.id ?? null;
  const client = new Client("/ws", { token, tokenIn: "none" });
  client.state.subscribe(({ status }) => say(WORDS[status] ?? ""));

  const room = client.room(`order:${id}`);
  room.on("order", show);
  room.when("joined", load);
  room.when("lost", load);
  room.when("recovered", ({ missed }) => missed && say(`Live again. Changes that were missed: ${missed}`));
  client.connect();
  room.join().catch((error) => say(error.message));
}
