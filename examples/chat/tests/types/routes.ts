// What the compiler must accept of the chat's page, and what it must refuse.

import { type Refusal, RequestError } from "../../page/realtime-client.js";
import type { Page, Routes } from "../../page/routes.js";
import type { Client } from "../../page/types.js";

export async function check(client: Client): Promise<unknown[]> {
  const nothing: undefined = await client.request("say", { room: "a", text: "b", ref: "c" });
  const page: Page = await client.request("lines", { room: "a" });
  const offset: number | undefined = page.lines[0]?.offset;
  const { sessions }: { sessions: number } = await client.request("remove", { room: "a", id: "b" });
  client.send("typing", { room: "a" });
  const room = client.room("room:a");
  room.on("line", ({ from, at }) => from.repeat(at));
  room.on("people", ({ joined = [] }) => joined.map(({ id, version }) => id.repeat(version)));

  // @ts-expect-error: a line has a ref
  client.request("say", { room: "a", text: "b" });
  // @ts-expect-error: and its text is one
  client.request("say", { room: "a", text: 7, ref: "c" });
  // @ts-expect-error: there is no such route
  client.request("shout", { room: "a" });
  // @ts-expect-error: nobody asks for a line
  client.request("line", {});
  // @ts-expect-error: what is asked isn't heard
  room.on("say", () => {});
  // @ts-expect-error: a line says from whom, and not from which person
  room.on("line", ({ person }) => person);
  // @ts-expect-error: there may be nothing earlier
  const before: number = page.before;
  return [nothing, offset, sessions, before];
}

export function why(error: unknown): string {
  if (!(error instanceof RequestError)) throw error;
  const refusal = error as Refusal<Routes, "say">;
  switch (refusal.code) {
    case "too_long":
      return `${refusal.data.length} of ${refusal.data.most}`;
    case "empty":
    case "unavailable":
      return refusal.message;
    // @ts-expect-error: it has no such code
    case "too_short":
      return "";
    default:
      return refusal.code;
  }
}
