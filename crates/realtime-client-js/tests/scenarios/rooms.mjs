// Rooms: in order, each message once, after whatever has happened to the connection.

import { equal, fail, isState, ok, pause, rejects, routes, token, unique, until } from "../harness.mjs";

/** A client in a room, with all that it hears and that happens to it. */
async function member(client, name, options) {
  const room = client.room(name);
  const [lines, events] = [[], []];
  room.on("line", (data) => lines.push(data));
  for (const event of ["joined", "recovered", "lost", "removed"]) {
    room.when(event, (data) => events.push(data ? `${event} ${data.missed}` : event));
  }
  await room.join(options);
  return { client, room, lines, events };
}

const say = (client, room, ...lines) =>
  Promise.all(lines.map((data) => client.request("say", { room, data })));
const heard = async ({ lines }, ...wanted) => {
  await until(`${wanted}, got ${lines}`, () => lines.length >= wanted.length);
  equal(lines, wanted);
};
const isIn = (room, ...wanted) =>
  until(`${wanted}`, () => wanted.includes(room.state.get().status) && room.state.get());

export default {
  async "what never happens to a room can't be listened to"({ client }) {
    const room = client().room("tea");
    try {
      room.when("join", () => {});
    } catch (error) {
      ok(error instanceof TypeError, "a TypeError");
      equal(error.message, "expected one of joined, recovered, lost, removed; got join");
      return;
    }
    fail("expected an error");
  },

  async "members hear each other, publish, are listed, and leave"({ online }) {
    const [ann, bob] = [await online(), await online()];
    const name = unique("kept:1");
    const [first, second] = [await member(ann, name), await member(bob, name)];
    equal([first.room.state.get().status, first.events], ["joined", ["joined"]]);
    await first.room.publish("hello", { key: "k" });
    await first.room.publish("hello", { key: "k" });
    await second.room.publish("hi");
    await heard(first, "hello", "hi");
    await heard(second, "hello", "hi");
    equal(first.room.position.offset, 2);
    const { members, count } = await first.room.members({ limit: 10 });
    equal([members.length, count], [1, 1], "members: both are the same identity");
    await second.room.leave();
    equal(second.room.state.get().status, "left");
    await first.room.publish("gone?");
    await heard(first, "hello", "hi", "gone?");
    await bob.request("echo");
    equal(second.lines, ["hello", "hi"]);
    equal((await rejects(second.room.publish("psst"))).code, "not_a_member");
  },

  async "the client hears all rooms, and says which"({ online }) {
    const client = await online();
    const names = [unique("kept:a"), unique("plain:b")];
    const all = [];
    client.on("line", (data, { room }) => all.push([data, room]));
    for (const name of names) await client.room(name).join();
    for (const name of names) await say(client, name, "x");
    await until("both", () => all.length === 2);
    equal(all, names.map((name) => ["x", name]));
    ok(client.room(names[0]) === client.room(names[0]), "the same room for the same name");
  },

  async "many rooms are entered again some at a time, and none is left out"({ online }) {
    let isLate = false;
    const isEntered = ({ id, route }) => id > 0 && route === "join";
    const client = await online({ drop: (message) => isLate && isEntered(message), timeout: 4_000 });
    const rooms = Array.from({ length: 70 }, () => client.room(unique("plain:1")));
    await Promise.all(rooms.map((room) => room.join()));
    const joins = ({ sent }) => sent.filter(({ route }) => route === "join").length;
    client.send("close", { code: 4000 });
    await until("another connection", () => client.sockets.length === 2);
    await Promise.all(rooms.map((room) => isIn(room, "joined")));
    equal(joins(client.sockets[1]), 70);
    // Nothing is answered: what waits for its turn goes on waiting.
    isLate = true;
    client.send("close", { code: 4000 });
    await until("the first ones", () => client.sockets.length === 3 && joins(client.sockets[2]) >= 32);
    await pause(200);
    equal(joins(client.sockets[2]), 32);
    // One that was left meanwhile has its turn for nothing.
    rooms[60].leave();
    isLate = false;
    await Promise.all(rooms.map((room, at) => isIn(room, at === 60 ? "left" : "joined")));
  },

  async "who joins once the client has ended is told, and joins with the next connection"({ client, lib }) {
    const one = client().connect();
    await isState(one, "online");
    one.send("close", { code: 3504 });
    await isState(one, "ended");
    const room = one.room(unique("kept:1"));
    const error = await rejects(room.join());
    ok(error instanceof lib.ConnectionLost, "a ConnectionLost");
    one.connect();
    await isIn(room, "joined");
  },

  async "one message that can't be read is no reason to lose the others"({ online, network, replace }) {
    replace(globalThis, "reportError", () => {});
    const spoil = (missed) => missed.map((one) => (one.data === 2 ? { ...one, data: "%", encoding: "base64" } : one));
    const edit = (message) =>
      message.data?.missed && { ...message, data: { ...message.data, missed: spoil(message.data.missed) } };
    const net = await network();
    const name = unique("kept:1");
    const [away, home] = [await member(await online({ network: net, edit }), name), await online()];
    await net("cut");
    await isIn(away.room, "joining");
    await say(home, name, 1, 2, 3);
    await net("heal");
    await heard(away, 1, 3);
    equal(away.events, ["joined", "recovered 2"]);
    await say(home, name, 4);
    await heard(away, 1, 3, 4);
  },

  async "joining may begin before there is a connection"({ client }) {
    const one = client();
    const joined = member(one, unique("kept:1"));
    equal(one.sockets.length, 0);
    one.connect();
    const { room, events } = await joined;
    await room.publish("at once");
    equal(events, ["joined"]);
  },

  async "what was missed comes after a cut, in order and once"({ online, network }) {
    const net = await network();
    const name = unique("kept:1");
    const [away, home] = [await member(await online({ network: net }), name), await online()];
    await say(home, name, 1, 2);
    await heard(away, 1, 2);
    await net("cut");
    await isIn(away.room, "joining");
    await say(home, name, 3, 4, 5);
    await net("heal");
    await isIn(away.room, "joined");
    await say(home, name, 6);
    await heard(away, 1, 2, 3, 4, 5, 6);
    equal(away.events, ["joined", "recovered 3"]);
    equal(away.client.sockets.at(-1).sent.map(({ route }) => route), ["recover"], "no ping is needed");
  },

  async "two rooms come back, each from where it was"({ online, network }) {
    const net = await network();
    const client = await online({ network: net });
    const home = await online();
    const rooms = [await member(client, unique("kept:a")), await member(client, unique("kept:b"))];
    await say(home, rooms[0].room.name, "a1");
    await heard(rooms[0], "a1");
    await net("cut");
    await isState(client, "waiting");
    for (const { room } of rooms) await say(home, room.name, "missed");
    await net("heal");
    await heard(rooms[0], "a1", "missed");
    await heard(rooms[1], "missed");
  },

  async "what can't be had any more is said to be lost, and it goes on from there"({ online, network }) {
    const net = await network();
    const name = unique("short:1");
    const [away, home] = [await member(await online({ network: net }), name), await online()];
    await net("cut");
    await isIn(away.room, "joining");
    await say(home, name, 1, 2, 3, 4);
    await net("heal");
    await until("it comes back", () => away.events.length === 2);
    equal(away.events, ["joined", "lost"]);
    await say(home, name, 5);
    await heard(away, 5);
  },

  async "a room that keeps nothing has lost something after each cut"({ online, network }) {
    const net = await network();
    const away = await member(await online({ network: net }), unique("plain:1"));
    await net("reset");
    await until("it comes back", () => away.events.length === 2);
    equal(away.events, ["joined", "lost"]);
    equal(away.room.position, undefined);
  },

  async "a hole in the offsets is filled before what is behind it"({ online }) {
    const name = unique("kept:1");
    const drop = ({ data, room }) => room === name && (data === 2 || data === 3);
    const [client, home] = [await online({ drop }), await online()];
    const one = await member(client, name);
    await say(home, name, 1);
    await heard(one, 1);
    await say(home, name, 2);
    await say(home, name, 3);
    await say(home, name, 4);
    await heard(one, 1, 2, 3, 4);
    await say(home, name, 5);
    await heard(one, 1, 2, 3, 4, 5);
    equal(one.events, ["joined", "recovered 3"]);
  },

  async "what comes twice is heard once"({ online }) {
    const name = unique("kept:1");
    const twice = ({ room }) => room === name;
    const one = await member(await online({ twice }), name);
    await say(one.client, name, 1);
    await say(one.client, name, 2);
    await one.client.request("echo");
    await heard(one, 1, 2);
  },

  async "a hole where something was for all but this client costs one question"({ online }) {
    const name = unique("kept:1");
    const one = await member(await online(), name);
    await one.client.request("say", { room: name, data: "for others", except_me: true });
    await say(one.client, name, "for all");
    await heard(one, "for all");
    await pause(50);
    const asked = one.client.sockets[0].sent.filter(({ route }) => route === "recover");
    equal([asked.length, one.room.position.offset], [1, 2]);
  },

  async "a gap asks for what is missing, and for nothing else"({ online }) {
    const names = [unique("kept:a"), unique("kept:b")];
    const drop = ({ data }) => data === "dropped";
    const [client, home] = [await online({ drop }), await online()];
    const [first, second] = [await member(client, names[0]), await member(client, names[1])];
    const plain = await member(client, unique("plain:c"));
    const gaps = [];
    client.on("gap", (data) => gaps.push(data.missed));
    await say(home, names[0], "came", "dropped");
    await say(home, names[1], "came");
    await heard(first, "came");
    await heard(second, "came");
    const { epoch } = second.room.position;
    const rooms = { [names[0]]: { epoch: first.room.position.epoch, offset: 2 }, [names[1]]: { epoch, offset: 1 } };
    client.send("tell", { route: "gap", data: { missed: 1, rooms } });
    await until("it comes", () => first.lines.length === 2);
    equal([first.lines, first.events], [["came", "dropped"], ["joined", "recovered 1"]]);
    equal([second.events, gaps], [["joined"], [1]]);
    equal(plain.events, ["joined", "lost"], "what keeps nothing can't know");
  },

  async "a gap with another epoch is a room that begins anew"({ online }) {
    const name = unique("kept:1");
    const one = await member(await online(), name);
    await say(one.client, name, 1);
    await heard(one, 1);
    const rooms = { [name]: { epoch: "0123456789abcdef", offset: 1 } };
    one.client.send("tell", { route: "gap", data: { missed: 1, rooms } });
    await until("it is asked", () => one.events.length === 2);
    equal(one.events, ["joined", "recovered 0"], "since it isn't true");
  },

  async "a page that was reloaded goes on from the position that it has kept"({ online }) {
    const name = unique("kept:1");
    const before = await member(await online(), name);
    await say(before.client, name, 1, 2);
    await heard(before, 1, 2);
    const { position } = before.room;
    before.client.close();
    const after = await online();
    await say(after, name, 3);
    const one = await member(after, name, { position });
    await heard(one, 3);
    equal(one.events, ["recovered 1"]);
  },

  async "who isn't let in knows why, and isn't asked about again"({ online, network }) {
    const net = await network();
    const client = await online({ network: net });
    const room = client.room("staff:1");
    const error = await rejects(room.join());
    equal(error.code, "forbidden");
    const { status, error: shown } = room.state.get();
    ok(status === "refused" && shown === error, "the state says it");
    await net("reset");
    await until("another connection", () => client.sockets.length > 1);
    await client.request("echo");
    equal(client.sockets.at(-1).sent.filter(({ route }) => route === "join"), []);
    equal((await rejects(client.room("nowhere:1").join())).code, "unknown_room");
  },

  async "a room that is busy is joined when the server says"({ online }) {
    const client = await online({ backoff: { first: 1, most: 1 } });
    const begun = performance.now();
    const room = client.room(unique("busy:1"));
    const joined = room.join();
    equal((await until("an error", () => room.state.get().error)).code, "busy");
    await joined;
    const [asked] = client.sockets;
    equal(asked.sent.filter(({ route }) => route === "join").length, 3);
    ok(performance.now() - begun >= 990, "twice 500 ms");
  },

  async "who loses a role is removed, and the room is left alone"({ client }) {
    const who = unique("eve");
    const get = ({ reason }) =>
      token(who, { roles: reason === "expiring" ? "" : "staff", life: reason === "expiring" ? 3_600_000 : 2_000 });
    const eve = client({ path: "/ws", token: get }).connect();
    const one = await member(eve, unique("staff:1"));
    await isIn(one.room, "removed");
    equal(one.events, ["joined", "removed"]);
    equal(one.room.position, undefined);
  },

  async "a room is shared by those who use it, until the last one leaves"({ online }) {
    const client = await online();
    const room = client.room(unique("kept:1"));
    const [first, second] = [room.use(), room.use()];
    await isIn(room, "joined");
    first();
    first();
    await client.request("echo");
    equal(room.state.get().status, "joined");
    second();
    const third = room.use();
    await client.request("echo");
    equal(room.state.get().status, "joined", "somebody took it at once");
    third();
    await isIn(room, "left");
    await client.request("echo");
    equal(routes(client.sockets[0]), ["join", "echo", "echo", "leave", "echo"]);
  },

  async "who closes the client comes back to its rooms, and misses nothing"({ online }) {
    const name = unique("kept:1");
    const [one, home] = [await member(await online(), name), await online()];
    one.client.close();
    equal(one.room.state.get().status, "joining");
    await say(home, name, "meanwhile");
    one.client.connect();
    await heard(one, "meanwhile");
    equal(one.events, ["joined", "recovered 1"]);
  },

  async "joining ends with the client"({ client }) {
    const one = client({ path: "/spoken" }).connect();
    const joined = rejects(one.room("kept:1").join());
    await isState(one, "ended");
    equal((await joined).name, "ConnectionLost");
  },

  async "who joins, leaves and joins at once is told of it once"({ online }) {
    for (const name of [unique("kept:1"), unique("plain:1")]) {
      const client = await online();
      const room = client.room(name);
      const events = [];
      for (const event of ["joined", "recovered", "lost"]) room.when(event, () => events.push(event));
      const first = rejects(room.join());
      const left = room.leave();
      await room.join();
      await Promise.all([first, left, client.request("echo")]);
      equal([events, room.state.get().status], [["joined"], "joined"]);
      equal(routes(client.sockets[0]), ["join", "leave", "join", "echo"]);
    }
  },

  async "leaving is said again where there was no answer, and nothing is heard meanwhile"({ online }) {
    let isLost = true;
    const drop = ({ route }) => route === "leave" && isLost && !(isLost = false);
    const [client, home] = [await online({ drop, timeout: 1_000 }), await online()];
    const one = await member(client, unique("plain:1"));
    const left = one.room.leave();
    await say(home, one.room.name, "too late");
    await left;
    const leaves = () => routes(client.sockets[0]).filter((route) => route === "leave").length;
    await until("a second time", () => leaves() === 2);
    equal(one.lines, []);
  },

  async "a room is the same as long as somebody has it"({ client }) {
    const one = client();
    const room = one.room("plain:mine");
    for (let n = 0; n < 150; n += 1) one.room(`plain:${n}`);
    ok(one.room("plain:mine") === room, "the same");
    room.on("line", () => {});
    ok(one.room("plain:mine") === room, "the same, when it is used");
  },

  async "a position that would be ignored is refused"({ online }) {
    const one = await member(await online(), unique("kept:1"));
    equal((await rejects(one.room.join({ position: one.room.position }))).name, "TypeError");
    await one.room.join();
  },

  async "what came while it recovered isn't heard again"({ online }) {
    const name = unique("kept:1");
    // The server tells it before its answer, and again behind it.
    const one = await member(await online({ late: ({ route }) => route === "recover", twice: ({ data }) => data === 2 }), name);
    await say(one.client, name, 1);
    await heard(one, 1);
    one.client.send("tell", { route: "gap", data: { missed: 1, rooms: {} } });
    await until("it asks", () => routes(one.client.sockets[0]).includes("recover"));
    await say(one.client, name, 2);
    await say(one.client, name, 3);
    await heard(one, 1, 2, 3);
    equal([one.events, one.room.position.offset], [["joined", "recovered 0"], 3]);
  },

  alone: {
    async "what has failed is asked again in its time, however much is said"({ online, replace }) {
      replace(Math, "random", () => 0.999);
      const name = unique("kept:1");
      let isLost = true;
      const drop = ({ route, data, room }) =>
        (room === name && data === "missed") || (route === "recover" && isLost && !(isLost = false));
      const [client, home] = [await online({ drop, timeout: 500, backoff: { first: 1_000, most: 1_000 } }), await online()];
      const one = await member(client, name);
      await say(home, name, "missed");
      await say(home, name, 0);
      await until("it fails", () => one.room.state.get().error);
      await say(home, name, 1);
      await client.request("echo");
      equal(routes(client.sockets[0]), ["join", "recover", "echo"]);
      await heard(one, "missed", 0, 1);
      equal(routes(client.sockets[0]), ["join", "recover", "echo", "recover"]);
    },
  },

  async "who joins and leaves at once isn't in it"({ online }) {
    const client = await online();
    const room = client.room(unique("kept:1"));
    const joined = rejects(room.join());
    await room.leave();
    equal((await joined).name, "ConnectionLost");
    await client.request("echo");
    equal(room.state.get().status, "left");
    await room.join();
    equal(room.state.get().status, "joined");
  },
};
