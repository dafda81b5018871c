// The types of an application's routes, so that each call is checked against them.

/** What goes over one route. Every field may be left out. */
export interface Route {
  /** The data of a request, or of a message without an answer, to the server. */
  request?: unknown;
  /** The data of the server's reply. */
  reply?: unknown;
  /** The errors that a request may be answered with: `code`, and `data` where there is some. */
  error?: unknown;
  /** The data of a message from the server, in a room or not. */
  event?: unknown;
  /** The data of a request of the server. */
  question?: unknown;
  /** What this client answers to it. */
  answer?: unknown;
}

/**
 * Routes by name: an interface of your own, that of the server's contract, or this one, in which
 * everything goes.
 */
// biome-ignore lint/suspicious/noExplicitAny: what isn't declared isn't checked
export type AnyRoutes = Record<string, { [K in keyof Route]-?: any }>;

/** What an interface of routes has to be. */
export type RoutesOf<R> = { [K in keyof R]: Route };

/** One field of a route; `undefined` where the route doesn't have it. */
export type Of<R, K extends keyof R, F extends keyof Route> = R[K] extends { [P in F]: infer T }
  ? T
  : undefined;

/** The names of routes that have one of these fields. */
export type Name<R, F extends keyof Route> = {
  [K in keyof R & string]: F & keyof R[K] extends never ? never : K;
}[keyof R & string];

/** The names of routes on which the server is asked. */
export type Asks<R> = Name<R, "request" | "reply">;

/** A message as it came. */
export interface Message<T = unknown> {
  route: string;
  /** Binary data is a `Uint8Array`. */
  data: T;
  /** The room that it was sent to. */
  room?: string;
  /** Its place in the history of that room. */
  offset?: number;
  metadata?: Record<string, string>;
}
