// What the parts of this page hand to each other. What the server says is in routes.d.ts.

import type { Client as AnyClient } from "./realtime-client.js";
import type { Routes } from "./routes.js";

/** The connection, on which nothing but the contract is said. */
export type Client = AnyClient<Routes>;

/** A room, as the server tells of it over HTTP. */
export interface About {
  name: string;
  title: string;
  about: string;
}

/** Who this tab is. */
export interface Visitor {
  person: string;
  name: string;
  moderator: boolean;
  rooms: About[];
  token: string;
}

/** Somebody in a room. */
export interface Somebody {
  id: string;
  person: string;
  name: string;
}

/** A line as it is shown. */
export interface Said {
  person: string;
  name: string;
  text: string;
  at: number;
}

/** One's own line on its way, as it is shown. */
export interface OwnLine {
  pending(why: string): void;
  failed(why: string): void;
  delivered(at?: number): void;
  remove(): void;
}
