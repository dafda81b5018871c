// What a client can be told when it is made, and what holds where it isn't.

/**
 * Why a token is asked for:
 * - `connect`: to connect, for the first time or again;
 * - `unreachable`: the same, but the last attempt didn't even open. The network may be down; or the
 *   token was refused, which a page can't see unless the server has `accept_then_close`;
 * - `expiring`: the one that was shown ends soon;
 * - `expired`: it has ended, and was refused for that. It isn't shown again;
 * - `refused`: the server says that it isn't right, or was revoked. It isn't shown again.
 */
export type TokenReason = "connect" | "unreachable" | "expiring" | "expired" | "refused";

/**
 * Gets a token. `null` says that nobody is signed in any more, and ends the client. One that throws
 * is asked again after a while; why is in the state meanwhile. `signal` is aborted after `connectTimeout`.
 */
export type TokenGetter = (ask: {
  reason: TokenReason;
  signal: AbortSignal;
}) => string | null | undefined | Promise<string | null | undefined>;

/** The part of `WebSocket` that is used. */
export interface Socket {
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(data: string): void;
  close(code?: number): void;
  /** Node's `ws` has it: an end without waiting for the other side. */
  terminate?(): void;
}

/** All times are in milliseconds. */
export interface Options {
  /** Asked before each attempt to connect, and when a token is about to end. */
  token?: TokenGetter;
  /**
   * Where the token is shown: in the subprotocol `token.TOKEN` (`protocol`, the default), in the
   * first message (`message`), or in the query of the URL (`query`), where it may stand in logs.
   */
  tokenIn?: "protocol" | "message" | "query";
  /** The name of the token in the query: `token` by default. */
  tokenParameter?: string;
  /** Further subprotocols to offer. */
  protocols?: string[];
  /** How long a request waits for its answer, where it says nothing else: 10,000 by default. */
  timeout?: number;
  /** How long a token, and an attempt to connect, may take each: 10,000 by default. */
  connectTimeout?: number;
  /** The longest first wait before it comes back, and the longest of all: 500 and 20,000. */
  backoff?: { first?: number; most?: number };
  /**
   * How long the server may be silent before it is asked whether it is there (25,000), and how long
   * its answer may take (5,000), on which route: `ping`, which the gateway answers by itself. `false`:
   * the client doesn't notice a connection that is dead without saying so.
   */
  ping?: false | { every?: number; timeout?: number; route?: string };
  /**
   * How many messages and requests may wait for a connection: 100 by default. Each waits for no
   * longer than its timeout. With 0 nothing waits: what can't be sent fails.
   */
  queue?: number;
  /** Where there is no global one, as in Node.js 20: `ws`, say. */
  WebSocket?: new (url: string, protocols: string[]) => Socket;
}

export interface Settings {
  token: TokenGetter | undefined;
  tokenIn: "protocol" | "message" | "query";
  tokenParameter: string;
  protocols: string[];
  timeout: number;
  connectTimeout: number;
  backoff: { first: number; most: number };
  ping: false | { every: number; timeout: number; route: string };
  queue: number;
  WebSocket: new (url: string, protocols: string[]) => Socket;
}

export function settingsOf(options: Options): Settings {
  const WebSocket = options.WebSocket ?? globalThis.WebSocket;
  if (!WebSocket) throw new TypeError("expected a global WebSocket, or one in the options");
  return {
    token: options.token,
    tokenIn: options.tokenIn ?? "protocol",
    tokenParameter: options.tokenParameter ?? "token",
    protocols: ["realtime.json", ...(options.protocols ?? [])],
    timeout: options.timeout ?? 10_000,
    connectTimeout: options.connectTimeout ?? 10_000,
    backoff: { first: 500, most: 20_000, ...options.backoff },
    ping: options.ping !== false && { every: 25_000, timeout: 5_000, route: "ping", ...options.ping },
    queue: options.queue ?? 100,
    WebSocket,
  };
}
