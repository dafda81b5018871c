// What a request can fail with: one class for each thing that a caller may do about it.

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

/** The connection ended before there was an answer, or there is none and nothing waits for one. */
export class ConnectionLost extends Error {
  override readonly name = "ConnectionLost";
  /** Whether the message may have reached the server. If not, it was certainly not done. */
  readonly sent: boolean;

  constructor(message: string, sent = false) {
    super(message);
    this.sent = sent;
  }
}

/** There was no answer in time. What became of the request is unknown where it was sent. */
export class Timeout extends Error {
  override readonly name = "Timeout";
  /** Whether the message may have reached the server. If not, it was certainly not done. */
  readonly sent: boolean;

  constructor(message: string, sent: boolean) {
    super(message);
    this.sent = sent;
  }
}
