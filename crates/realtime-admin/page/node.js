// How the node is: told once a second.

let last;
let rates = {};
const RATES = ["received", "sent"];

/** How often things happen, from two counts that are far enough from each other. */
function measure(now) {
  // Behind a balancer the next connection may be to another node.
  if (last?.node_id !== now.node_id) {
    rates = {};
    if (last) turnTo(null);
  } else {
    const seconds = (now.at - last.at) / 1000;
    if (seconds < 0.5) return;
    const each = (name) => Math.max(0, Math.round((now.stats[name] - last.stats[name]) / seconds));
    rates = Object.fromEntries(RATES.map((name) => [name, each(name)]));
  }
  last = now;
}

const rate = (name) => (name in rates ? count(rates[name]) : "…");

function tiles(node) {
  const { stats } = node;
  const most = node.max_connections;
  return [
    ["Sessions", count(node.health.sessions), most && `of ${count(most)}`],
    ["Received", rate("received"), "messages/s"],
    ["Sent", rate("sent"), "messages/s"],
    ["Queued", count(node.queued_messages), `messages, ${bytes(stats.queued_bytes)}`],
    ["Rooms", count(node.rooms), ""],
    ["Dropped", count(stats.dropped), "messages"],
    ["Failed", count(stats.failed), "messages"],
    ["Up", lasted(node.uptime_s), ""],
  ];
}

const LINKS = { broker: "Broker", presence: "Presence", history: "History", revocations: "Revocations" };
const STATES = { up: ["ok", "up"], blocked: ["warn", "blocked"], not_started: ["wait", "not in use"] };

function links(node) {
  return Object.entries(LINKS).map(([name, title]) => {
    const link = node.health[name];
    const [state, said] = STATES[link] ?? ["bad", "down"];
    const age = node.link_ages[`${name}_s`];
    return { title, state, said: state === "wait" ? said : `${said} for ${lasted(age)}`, cause: link.down?.cause ?? "" };
  });
}

function drawLink(link, existing) {
  const item = existing ?? make("li", {}, make("div", { className: "line" }, make("span", { text: link.title }), make("span", { className: "pill" })), make("div", { className: "soft" }));
  const pill = item.querySelector(".pill");
  pill.dataset.state = link.state;
  write(pill, link.said);
  write(item.lastElementChild, seen(link.cause));
  return item;
}

function drawNode(node) {
  node.at = Date.now();
  measure(node);
  const { status, reasons } = node.health;
  const phase = node.phase === "ending" ? "shutting down" : status;
  byId("health").dataset.state = { ready: "ok", degraded: "warn" }[status] ?? "bad";
  write(byId("health"), reasons.length ? `${phase}: ${reasons.join(", ")}` : phase);
  write(byId("node-id"), node.node_id);
  document.title = `${node.node_id} · ${phase}`;
  list(byId("numbers"), tiles(node), ([name]) => name, ([name, value, unit], existing) => {
    const tile = existing ?? make("div", {}, make("dt", { text: name }), make("dd", {}, make("span"), " ", make("small")));
    write(tile.querySelector("span"), value);
    write(tile.querySelector("small"), unit || "");
    return tile;
  });
  list(byId("links"), links(node), ({ title }) => title, drawLink);
  list(byId("nodes"), node.nodes, (id) => id, (id, existing) => existing ?? make("li", { className: "mono", text: id === node.node_id ? `${id} (this one)` : id }));
  drawErrors(node.errors);
}

function drawErrors(errors) {
  const shown = errors.length ? errors : [{ at_ms: 0, stage: "", error: "None." }];
  const keyOf = ({ at_ms, stage, error }) => `${at_ms} ${stage} ${error}`;
  const unique = [...new Map(shown.map((one) => [keyOf(one), one])).values()];
  list(byId("errors"), unique, keyOf, (one, existing) => {
    if (existing) return existing;
    if (!one.at_ms) return make("li", { className: "soft", text: one.error });
    const left = one.left_out ? ` (${plural(one.left_out, "other")} left out before)` : "";
    return make("li", {}, make("div", { className: "soft", text: `${clock(one.at_ms)} ${one.stage}${left}` }), make("div", { text: seen(one.error) }));
  });
}

client.on("node", drawNode);
