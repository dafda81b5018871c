// The connection: the project's own client, to the small gateway behind this page.

// Wherever the page is mounted, and whether or not its path ends with a slash.
const base = location.pathname.endsWith("/") ? location.pathname : `${location.pathname}/`;
const { connect, RequestError } = await import(`${base}realtime-client.js`);

const client = connect(`${base}ws`, { tokenIn: "none", queue: 0, timeout: 8_000 });
const isOnline = () => client.state.get().status === "online";

client.state.subscribe(({ status, code }) => {
  const said = {
    idle: ["bad", "not connected"], connecting: ["wait", "connecting"], online: ["ok", "live"],
    waiting: ["warn", "connection lost, trying again"], offline: ["warn", "no network"],
    ended: ["bad", `ended by the server (${code ?? ""}): sign in again and reload`],
  }[status];
  byId("line").dataset.state = said[0];
  write(byId("line"), said[1]);
});

/** What the server said is wrong, for people. */
const wrong = (error) => (error instanceof RequestError ? error.message : "There was no answer.");
