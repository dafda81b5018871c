// The connection: the project's own client, to the small gateway behind this page.

// Wherever the page is mounted, and whether or not its path ends with a slash.
const base = location.pathname.endsWith("/") ? location.pathname : `${location.pathname}/`;
const { connect, RequestError } = await import(`${base}realtime-client.js`);

const client = connect(`${base}ws`, { tokenIn: "none", queue: 0, timeout: 8_000 });
const isOnline = () => client.state.get().status === "online";

const ENDS = {
  3500: "signed out: sign in again and reload",
  3506: "ended: you have opened this page elsewhere, too often",
};

client.state.subscribe(({ status, code }) => {
  const said = {
    idle: ["wait", "at rest while nobody looks"], connecting: ["wait", "connecting"], online: ["ok", "live"],
    waiting: ["warn", "connection lost, trying again"], offline: ["warn", "no network"],
    ended: ["bad", ENDS[code] ?? `ended by the server (${code ?? ""}): sign in again and reload`],
  }[status];
  byId("line").dataset.state = said[0];
  write(byId("line"), said[1]);
  if (status === "waiting") void askWhy();
});

/** A browser doesn't say why a socket was refused: whoever is signed out gets no answer here either. */
async function askWhy() {
  const answer = await fetch(`${base}api/node`, { method: "HEAD", cache: "no-store", redirect: "manual" }).catch(() => null);
  if (!answer || isOnline()) return;
  const isOut = answer.type === "opaqueredirect" || answer.status === 401;
  if (!isOut && answer.status !== 403) return;
  byId("line").dataset.state = "bad";
  write(byId("line"), isOut ? "signed out: sign in again" : "you may no longer see this page");
}

/** What the server said is wrong, for people. */
const wrong = (error) => (error instanceof RequestError ? error.message : "There was no answer.");
