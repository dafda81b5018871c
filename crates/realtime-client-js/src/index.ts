// The package's core entry: what an application names.

export { Client, connect } from "./client.js";
export { ConnectionLost, type Refusal, RequestError, Timeout } from "./errors.js";
export type { Options, Socket, TokenGetter, TokenReason } from "./options.js";
export type { AskOptions } from "./outbox.js";
export type { Member, Position, Room, RoomEvents, RoomState } from "./room.js";
export type { AnyRoutes, Message, Route, RoutesOf } from "./routes.js";
export type { State } from "./state.js";
export type { Readable } from "./store.js";
