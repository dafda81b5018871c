// The sessions and rooms of this node: a page of them, asked for again every two seconds while the page
// is seen.

const EVERY = 2_000;
let after = null;
let following = null;
let roomsAfter = null;
let roomsFollowing = null;

const identityOf = ({ identity_id: id, tenant_id: tenant }) => ({ id, tenant: tenant ?? "" });

function button(text, label, act, className = "") {
  const element = make("button", { type: "button", text, className, "aria-label": label });
  element.addEventListener("click", act);
  return element;
}

function acts(session) {
  const whose = named(identityOf(session));
  const id = session.session_id;
  return make("div", { className: "acts" },
    button("Find", `Find ${whose} on all nodes`, () => find(identityOf(session))),
    button("Disconnect", `Disconnect the session ${id} of ${whose}`, () => disconnect({ session_id: id }, `one session of ${whose}`), "bad"));
}

function drawSession(session, existing) {
  const { round_trip_ms: ms, queued_messages: waiting, room_count: rooms } = session;
  const more = rooms > session.rooms.length ? `, and ${rooms - session.rooms.length} more` : "";
  const line = row([
    ["Identity", seen(session.identity_id)],
    ["Tenant", seen(session.tenant_id ?? "") || "none"],
    ["Session", session.session_id, true],
    ["Address", session.remote_addr ?? "not known"],
    ["Connected", `${since(session.connected_at)}${session.is_closing ? ", closing" : ""}`],
    ["Round trip", ms === null ? "not yet" : `${ms.toFixed(1)} ms`],
    ["Waiting", waiting ? `${plural(waiting, "message")}, ${bytes(session.queued_bytes)}` : "nothing"],
    ["Rooms", session.rooms.map(seen).join(", ") + more || "none"],
    ["Actions", () => acts(session)],
  ], existing);
  line.toggleAttribute("data-closing", session.is_closing);
  return line;
}

async function askSessions() {
  const asked = after;
  const containing = byId("containing").value;
  const page = await client.request("sessions", { containing, after, limit: 50 });
  // What was asked meanwhile counts.
  if (asked !== after || containing !== byId("containing").value) return;
  following = page.next;
  list(byId("session-rows"), page.sessions, (session) => session.session_id, drawSession);
  byId("first").disabled = after === null;
  byId("next").disabled = following === null;
  const shown = plural(page.sessions.length, "session");
  write(byId("page-state"), `${shown} shown${following ? ", there may be more" : ""}`);
}

async function askRooms() {
  const asked = roomsAfter;
  const containing = byId("room-containing").value;
  const page = await client.request("rooms", { containing, after: asked, limit: 50 });
  if (asked !== roomsAfter || containing !== byId("room-containing").value) return;
  roomsFollowing = page.next;
  list(byId("rooms"), page.rooms, ({ name }) => name, (room, existing) => {
    const item = existing ?? make("li", { className: "line" }, make("bdi", { className: "mono", text: seen(room.name) }), make("span", { className: "soft" }));
    write(item.lastElementChild, plural(room.members, "session"));
    return item;
  });
  byId("rooms-first").disabled = roomsAfter === null;
  byId("rooms-next").disabled = roomsFollowing === null;
  write(byId("rooms-state"), `${plural(page.rooms.length, "room")} shown${roomsFollowing ? ", there may be more" : ""}`);
}

let asking = false;
async function refresh() {
  if (asking || document.hidden || !isOnline()) return;
  asking = true;
  // Where there is no answer, the line says so, and it is asked again.
  await Promise.allSettled([askSessions(), askRooms()]);
  asking = false;
}

function turnTo(cursor) {
  after = cursor;
  void refresh();
}

function turnRoomsTo(cursor) {
  roomsAfter = cursor;
  void refresh();
}
