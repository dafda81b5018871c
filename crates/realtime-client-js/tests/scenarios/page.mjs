// What only a browser has: the network as it sees it, pages that are hidden, and its caches.

import { equal, isState, ok, pause, until } from "../harness.mjs";

const long = { first: 600_000, most: 600_000 };

export default {
  alone: {
    async "the browser's word of the network is shown, and brings it back at once"({ online, network, replace }) {
      replace(Math, "random", () => 0.999);
      const net = await network();
      const client = await online({ network: net, backoff: long });
      await net("cut");
      const { retryAt } = await isState(client, "waiting");
      replace(navigator, "onLine", false);
      window.dispatchEvent(new Event("offline"));
      equal(client.state.get().status, "offline");
      equal(client.state.get().retryAt, retryAt, "it tries all the same");
      await net("heal");
      replace(navigator, "onLine", true);
      window.dispatchEvent(new Event("online"));
      await isState(client, "online");
    },

    async "the network may be back before the server wants to be asked"({ online, replace }) {
      const client = await online();
      client.send("close", { code: 1001, reason: JSON.stringify({ retry_after: 60 }) });
      await isState(client, "waiting");
      for (const [name, isOnline, wanted] of [["offline", false, "offline"], ["online", true, "waiting"]]) {
        replace(navigator, "onLine", isOnline);
        window.dispatchEvent(new Event(name));
        equal(client.state.get().status, wanted);
      }
      equal(client.sockets.length, 1);
    },

    async "a page that is looked at, or comes out of the cache, tries at once"({ online, network, replace }) {
      replace(Math, "random", () => 0.999);
      const looks = [
        () => document.dispatchEvent(new Event("visibilitychange")),
        () => window.dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true })),
      ];
      for (const look of looks) {
        const net = await network();
        const client = await online({ network: net, backoff: long });
        await net("cut");
        await isState(client, "waiting");
        window.dispatchEvent(new PageTransitionEvent("pageshow", { persisted: false }));
        await pause(30);
        equal(client.state.get().status, "waiting", "an ordinary page");
        await net("heal");
        look();
        await isState(client, "online");
        client.close();
      }
    },

    async "a page that is looked at finds out whether its connection lives"({ online, network }) {
      const net = await network();
      const client = await online({ network: net, ping: { every: 3_600_000, timeout: 100 } });
      await net("blackhole");
      document.dispatchEvent(new Event("visibilitychange"));
      await isState(client, "waiting");
    },

    async "a client that is closed listens to nothing"({ online }) {
      const client = await online();
      client.close();
      window.dispatchEvent(new Event("online"));
      await pause(30);
      equal([client.state.get().status, client.sockets.length], ["idle", 1]);
    },
  },

  async "its URL is relative to the page's"({ lib }) {
    const client = new lib.Client("/open").connect();
    equal(await client.request("echo", 1), 1);
    client.close();
  },

  async "it works in a worker"() {
    const text = `
      import { connect } from "${location.origin}/file/bundle/realtime-client.js";
      const client = connect("${location.origin}/open");
      client.request("echo", "from a worker").then(postMessage);
    `;
    const url = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
    const worker = new Worker(url, { type: "module" });
    const said = [];
    worker.onmessage = ({ data }) => said.push(data);
    await until("the worker", () => said.length === 1);
    worker.terminate();
    ok(said[0] === "from a worker", "its answer");
  },
};
