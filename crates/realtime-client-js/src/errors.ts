// What a request can fail with: one class for each thing that a caller may do about it.

import type { Of } from "./routes.js";

/** What the server says of a failure, as it stands in an envelope. */
export interface Failure {
  code?: string;
  message?: string;
  temporary?: boolean;
  /** In seconds. */
  retry_after?: number;
  data?: unknown;
}

/**
 * The server answered a request with an error, whose code says what became of it: with `timeout`,
 * `internal` and `unanswered` a handler may have begun. Throw one from a handler of the server's own
 * requests (`client.handle`) to answer these with it.
 */
export class RequestError extends Error {
  override readonly name = "RequestError";
  /** For programs: one of docs/protocol.md, or the application's own. */
  readonly code: string;
  /** Whether it makes sense to try the same again. */
  readonly temporary: boolean;
  /** How long to wait before that, in milliseconds, where the server says so. */
  readonly retryAfter: number | undefined;
  /** What else the application says of it. */
  readonly data: unknown;

  constructor({ code = "unknown", message = code, temporary = false, retry_after, data }: Failure) {
    super(message);
    this.code = code;
    this.temporary = temporary;
    this.retryAfter = typeof retry_after === "number" ? retry_after * 1000 : undefined;
    this.data = data;
  }
}

/**
 * What a request on a route fails with where the server refuses it, by the contract: its `code` says
 * of which type its `data` is. The server may have others, of its layers say.
 *
 * ```ts
 * try {
 *   await client.request("say", { text });
 * } catch (error) {
 *   if (!(error instanceof RequestError)) throw error;
 *   const refusal = error as Refusal<Routes, "say">;
 *   if (refusal.code === "too_long") show(`at most ${refusal.data.most} characters`);
 * }
 * ```
 */
export type Refusal<R, K extends keyof R> = RequestError & Told<Of<R, K, "error">>;

type Told<E> = E extends unknown ? Pick<E, keyof E & ("code" | "data")> : never;

class Unanswered extends Error {
  /** Whether the message may have reached the server. If not, it was certainly not done. */
  readonly sent: boolean;

  constructor(message: string, sent = false) {
    super(message);
    this.sent = sent;
  }
}

/** The connection ended before there was an answer, or there is none and nothing waits for one. */
export class ConnectionLost extends Unanswered {
  override readonly name = "ConnectionLost";
}

/** There was no answer in time. What became of the request is unknown where it was sent. */
export class Timeout extends Unanswered {
  override readonly name = "Timeout";
}
