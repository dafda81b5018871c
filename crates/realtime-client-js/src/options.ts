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
 * Gets a token. `null` says that nobody is signed in any more, and ends the client: after a refusal
 * with the code and the reason of that. One that throws is asked again after a while; why is in the
 * state meanwhile. `signal` is aborted after `connectTimeout`, and when the client is closed: hand it
 * to `fetch`, since the getter may be asked anew from then on.
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
  /** Where there is none, nothing bounds what waits. */
  readonly bufferedAmount?: number;
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
   * `none`: nowhere, since it is in a cookie, which the getter keeps fresh.
   */
  tokenIn?: "protocol" | "message" | "query" | "none";
  /** The name of the token in the query: `token` by default. */
  tokenParameter?: string;
  /** Further subprotocols to offer. */
  protocols?: string[];
  /** How long a request waits for its answer, where it says nothing else: 10,000 by default. */
  timeout?: number;
  /** How long a token, and an attempt to connect, may take each: 10,000 by default. */
  connectTimeout?: number;
  /** The longest first wait before it comes back, and the longest of all: 500 and 20,000; from 10 on. */
  backoff?: { first?: number; most?: number };
  /**
   * How long the server may be silent before it is asked whether it is there (25,000), and how long
   * its answer may take (5,000), on which route: `ping`, which the gateway answers by itself, and
   * while its handlers run. `every` is 100 at the least. `false`: the client doesn't notice a
   * connection that is dead without saying so, and takes one that has opened for one that was let in.
   */
  ping?: false | { every?: number; timeout?: number; route?: string };
  /**
   * How many messages and requests may wait for a connection: 100 by default. Each waits for no
   * longer than its timeout. With 0 nothing waits: what can't be sent fails.
   */
  queue?: number;
  /**
   * With more bytes than this in the socket, which the network hasn't taken yet, requests and messages
   * fail: 1,048,576 by default. What is sent at once may be as large as it is.
   */
  maxBuffered?: number;
  /** Where there is no global one, as in Node.js 20: `ws`, say. */
  WebSocket?: new (url: string, protocols: string[]) => Socket;
}

export interface Settings {
  token: TokenGetter | undefined;
  tokenIn: NonNullable<Options["tokenIn"]>;
  tokenParameter: string;
  protocols: string[];
  timeout: number;
  connectTimeout: number;
  backoff: { first: number; most: number };
  ping: false | { every: number; timeout: number; route: string };
  queue: number;
  maxBuffered: number;
  WebSocket: new (url: string, protocols: string[]) => Socket;
}

/** With less it would come back, or ask, without a pause. */
const LEAST_BACKOFF_MS = 10;
const LEAST_PING_MS = 100;

export function settingsOf(options: Options): Settings {
  const { tokenIn, tokenParameter, backoff, ping, WebSocket = globalThis.WebSocket } = options;
  if (!WebSocket) throw new TypeError("expected a global WebSocket, or one in the options");
  return {
    token: options.token,
    tokenIn: tokenIn ?? "protocol",
    tokenParameter: tokenParameter ?? "token",
    protocols: ["realtime.json", ...(options.protocols ?? [])],
    timeout: number(options.timeout, 10_000),
    connectTimeout: number(options.connectTimeout, 10_000),
    backoff: {
      first: number(backoff?.first, 500, LEAST_BACKOFF_MS),
      most: number(backoff?.most, 20_000, LEAST_BACKOFF_MS),
    },
    ping: ping !== false && {
      every: number(ping?.every, 25_000, LEAST_PING_MS),
      timeout: number(ping?.timeout, 5_000),
      route: ping?.route ?? "ping",
    },
    queue: number(options.queue, 100),
    maxBuffered: number(options.maxBuffered, 2 ** 20),
    WebSocket,
  };
}

/** What was asked for, but not less than may be; where that is no number, the usual. */
function number(asked: number | undefined, usual: number, least = 0): number {
  const number = Math.max(least, asked ?? usual);
  return Number.isNaN(number) ? usual : number;
}
