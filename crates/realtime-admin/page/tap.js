// The messages of one identity on this node, for a minute.

const KEPT = 200;
const SECONDS = 60;
let until = 0;
let told = "";
let shown = 0;

async function watch(identity) {
  try {
    const { here, watched, elsewhere, seconds } = await client.request("tap", { ...identity, seconds: SECONDS });
    byId("tap").hidden = false;
    byId("tap-log").replaceChildren();
    byId("tap-stop").disabled = false;
    write(byId("tap-title"), `Messages of ${named(identity)}`);
    const there = (elsewhere ?? []).reduce((sum, { sessions }) => sum + sessions, 0);
    const others = there ? ` ${plural(there, "session")} on other nodes can be watched there:` : "";
    list(byId("tap-nodes"), elsewhere ?? [], ({ node_id: node }) => node, drawWhere);
    const of = watched < here ? `${count(watched)} of ` : "";
    told = `Watching ${of}${plural(here, "session")} on this node for ${seconds} s.${others}`;
    write(byId("tap-state"), told);
    until = Date.now() + seconds * 1000;
    shown = 0;
    byId("tap-title").focus();
  } catch (error) {
    say(wrong(error), "bad");
  }
}

/** Another node that has sessions of the one who is watched, and its page where that is known. */
function drawWhere({ node_id: node, sessions, page }, existing) {
  const item = existing ?? make("li", {}, make("a", { className: "mono" }));
  const link = item.firstElementChild;
  const address = addressOf(page);
  if (address) link.href = address;
  else link.removeAttribute("href");
  write(link, `${node}: ${count(sessions)}`);
  return item;
}

/** A web address or a path as the host gave it, whole; nothing for what a click would run as a script. */
function addressOf(page) {
  try {
    const { href, protocol } = new URL(page ?? "", location);
    return page && ["http:", "https:"].includes(protocol) ? href : null;
  } catch {
    return null;
  }
}

client.on("tapped", (message) => {
  shown += 1;
  const log = byId("tap-log");
  const { direction, route, id, room, data, missed } = message;
  const names = [route === null ? "" : quoted(route), id === null ? "" : `id ${quoted(id)}`, room ? `in ${quoted(room)}` : ""].filter(Boolean).join(" · ");
  const unshown = direction === "in" ? "(hidden: it shows a token)" : "(compressed, and too long to be shown)";
  const cut = data !== null && data.length >= 4096 ? " …" : "";
  const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
  log.append(make("li", {},
    make("div", { className: "soft" },
      make("span", { className: "way", text: direction === "in" ? "In" : "Out" }),
      `${clock(message.at_ms)} ${names} · ${bytes(message.bytes)}${missed ? ` · ${plural(missed, "message")} before it not shown` : ""}`),
    make("code", { dir: "ltr", text: data === null ? unshown : seen(data) + cut })));
  while (log.childElementCount > KEPT) log.firstElementChild.remove();
  if (atEnd) log.scrollTop = log.scrollHeight;
});

// The log itself is not read aloud as it grows, which may be fast: how much there is, is.
setInterval(() => {
  if (until && shown) write(byId("tap-state"), `${told} ${plural(shown, "message")} so far.`);
}, 5_000);

client.on("tap_ended", ({ why, messages }) => {
  const ends = { time: "The time is over", messages: "Enough messages were shown", bytes: "Enough was shown", closed: "The node ends" };
  over(`${ends[why] ?? "It has ended"}: ${plural(messages, "message")} seen.`);
});

function over(said) {
  until = 0;
  byId("tap-stop").disabled = true;
  write(byId("tap-state"), said);
}

async function unwatch() {
  over("Stopped.");
  await client.request("untap").catch(() => {});
}
