// Sockets of a page that was loaded over HTTP/2, which go over its connection:
// `node http2.mjs chromium|firefox`, with the server in REALTIME_SERVER.

import assert from "node:assert/strict";
import { launch } from "./launch.mjs";

const { browser, close } = await launch(process.argv[2]);
try {
  // Nobody knows its certificate.
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  const page = await context.newPage();
  await page.goto(process.env.REALTIME_SERVER);
  const seen = await page.evaluate(async () => {
    const { connect } = await import("/file/bundle/realtime-client.js");
    const count = async () => Number(await (await fetch("/http2-sockets")).text());
    const before = await count();
    const clients = Array.from({ length: 5 }, () => connect("/open"));
    const large = "x".repeat(200_000);
    const answers = await Promise.all(clients.map((client, n) => client.request("echo", large + n)));
    const after = await count();
    const codes = await Promise.all(["/spoken", "/ws"].map((path) => new Promise((resolve) => {
      const socket = new WebSocket(`wss://${location.host}${path}?token=none`);
      socket.onclose = ({ code }) => resolve(code);
    })));
    for (const client of clients) client.close();
    return {
      protocol: performance.getEntriesByType("navigation")[0].nextHopProtocol,
      sockets: after - before,
      right: answers.every((answer, n) => answer === large + n),
      codes,
    };
  });
  // Where it is refused by a status, a page sees no more than that.
  assert.deepEqual(seen, { protocol: "h2", sockets: 5, right: true, codes: [3500, 1006] });
  console.log(`WebSockets over HTTP/2 in ${process.argv[2]} ${browser.version()}`);
} finally {
  await close();
}
