// What the compiler must accept of a client of the shop, and what it must refuse.

import { connect, type Refusal, RequestError } from "@forerunner/realtime-client";
import type { ArticleInput, Colour, NotBought, Routes } from "./routes.js";

const client = connect<Routes>("/ws");

// A field with a default may be left out of what is sent, and is there in what comes.
const tea: ArticleInput = { name: "tea" };
const { article, cents } = await client.request("shop/buy", { article: tea });
const colour: Colour | null = article.colour;
const isOpen: boolean = await client.request("open");
const nothing: undefined = await client.request("forget", "all");
client.on("offer", ({ articleName, untilThen }) => articleName.repeat(untilThen ?? 0));
client.on("bell", (data: undefined) => data);
client.handle("sure", async (question) => question.length > 3);
client.room("table:1/2").on("said", (text) => text.toUpperCase());
client.room("table:1/2").on("who", ({ joined = [] }) => joined.map(({ tenant = "" }) => tenant));

// @ts-expect-error: a colour is green or red
client.request("shop/buy", { article: { name: "tea", colour: "blue" } });
// @ts-expect-error: data is missing
client.request("shop/buy");
// @ts-expect-error: the answer is a boolean
client.handle("sure", () => "yes");
// @ts-expect-error: a bell isn't asked
client.request("bell");
// @ts-expect-error: the shop's names are others
client.on("offer", ({ article_name }) => article_name);

const left = (error: RequestError): number => {
  const refusal = error as Refusal<Routes, "shop/buy">;
  if (refusal.code === "guest") return 0;
  return refusal.code === "too_many" ? refusal.data.left : 1;
};
const closed: NotBought = { code: "closed" };

export default [cents, colour, isOpen, nothing, left, closed];
