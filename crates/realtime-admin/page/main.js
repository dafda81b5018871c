// What people do, and what happens by itself.

byId("find").addEventListener("submit", (event) => {
  event.preventDefault();
  void find({ id: byId("find-id").value, tenant: byId("find-tenant").value });
});
byId("filter").addEventListener("submit", (event) => event.preventDefault());
byId("room-filter").addEventListener("submit", (event) => event.preventDefault());
byId("containing").addEventListener("input", () => turnTo(null));
byId("room-containing").addEventListener("input", () => turnRoomsTo(null));
byId("rooms-first").addEventListener("click", () => turnRoomsTo(null));
byId("rooms-next").addEventListener("click", () => roomsFollowing && turnRoomsTo(roomsFollowing));
byId("first").addEventListener("click", () => turnTo(null));
byId("next").addEventListener("click", () => following && turnTo(following));
byId("watch").addEventListener("click", () => found && watch(found));
byId("tap-stop").addEventListener("click", unwatch);
byId("disconnect-all").addEventListener("click", () => found && disconnect({ identity: found }, `all sessions of ${named(found)}`));
byId("dismiss").addEventListener("click", dismiss);
byId("sure-cancel").addEventListener("click", () => byId("sure").close());

// A page that nobody looks at gives up its place, and takes one again when somebody does.
const RESTS_AFTER = 5 * 60_000;
let resting;
document.addEventListener("visibilitychange", () => {
  clearTimeout(resting);
  if (document.hidden) {
    resting = setTimeout(() => client.close(), RESTS_AFTER);
  } else {
    if (client.state.get().status === "idle") client.connect();
    void refresh();
  }
});
setInterval(refresh, EVERY);

client.state.subscribe(({ status }) => {
  if (status !== "online") {
    if (until) over("The connection was lost, and so is what was watched.");
    return;
  }
  void refresh();
  client.request("me").then((me) => {
    write(byId("me"), `signed in as ${named(me)}`);
    byId("watch").hidden = !me.may_tap;
  }, () => {});
  client.request("node").then(drawNode, () => {});
});
