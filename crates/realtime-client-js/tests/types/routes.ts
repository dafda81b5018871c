// What the compiler must accept, and what it must refuse, of a client with declared routes.

import {
  Client,
  connect,
  type Message,
  type Readable,
  type Refusal,
  type State,
} from "../../dist/index.js";
import { useRequest, useRoom } from "../../dist/react.js";

interface Line {
  text: string;
}

interface Routes {
  say: {
    request: { text: string };
    reply: { at: number };
    error: { code: "long"; data: { most: number } } | { code: "quiet" };
  };
  forget: { request: string };
  time: { reply: number };
  line: { event: Line };
  confirm: { question: string; answer: boolean };
}

const client = connect<Routes>("/ws", { token: async () => "t" });
const at: Promise<{ at: number }> = client.request("say", { text: "hello" });
const time: Promise<number> = client.request("time");
const nothing: Promise<undefined> = client.request("forget", "all", { timeout: 100 });
client.on("line", ({ text }, message: Message<Line>) => text + message.room);
client.on("gap", (data: unknown) => data);
client.room("a").on("line", ({ text }) => text);
client.room("a").when("recovered", ({ missed }) => missed + 1);
client.handle("confirm", async (question) => question.length > 3);
const state: Readable<State> = client.state;

// @ts-expect-error: there is no such route
client.request("sai", { text: "hello" });
// @ts-expect-error: data is missing
client.request("say");
// @ts-expect-error: of another type
client.request("say", { text: 1 });
// @ts-expect-error: the reply has no such field
client.request("say", { text: "hello" }).then(({ when }) => when);
// @ts-expect-error: nothing is sent to this room by that name
client.room("a").on("lines", () => {});
// @ts-expect-error: this never happens to a room
client.room("a").when("join", () => {});
// @ts-expect-error: the answer is a boolean
client.handle("confirm", () => "yes");
// @ts-expect-error: a line has no author
client.on("line", ({ author }) => author);
// @ts-expect-error: it is heard, and not asked
client.request("line");
// @ts-expect-error: it is asked, and not heard
client.on("say", () => {});
// @ts-expect-error: the server doesn't ask it
client.handle("time", () => 1);
// @ts-expect-error: inside of the package alone
client.room("a").enter;

const most = (refusal: Refusal<Routes, "say">): number | undefined => {
  // @ts-expect-error: there is no such code
  if (refusal.code === "loud") return refusal.retryAfter;
  // @ts-expect-error: of which code it is isn't known
  refusal.data.most;
  return refusal.code === "long" ? refusal.data.most : undefined;
};

const Hooks = () => {
  const { room } = useRoom(client, "a", { line: ({ text }) => text });
  const { data } = useRequest(client, "say", { text: "hello" });
  const { data: hours } = useRequest(client, "time");
  const seconds: number | undefined = data?.at;
  // @ts-expect-error: of another type
  useRequest(client, "say", "hello");
  // @ts-expect-error: it has a signal of its own
  useRequest(client, "time", undefined, { signal: new AbortController().signal });
  return [room, seconds, hours];
};

// Without declared routes everything goes.
const loose = new Client("/ws");
loose.on("anything", (data) => data.whatever);
const reply: Promise<string> = loose.request("anything", { at: "all" });

export default [at, time, nothing, state, most, Hooks, reply];
