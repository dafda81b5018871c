// What can be said of a connection.

/**
 * - `idle`: not connected, and nobody wants it to be;
 * - `connecting`: an attempt runs;
 * - `online`;
 * - `waiting`: the next attempt is at `retryAt`;
 * - `offline`: as `waiting`, and the browser says that there is no network;
 * - `ended`: the server, or the token getter, asked it to stay away. `connect()` begins anew.
 */
export interface State {
  readonly status: "idle" | "connecting" | "online" | "waiting" | "offline" | "ended";
  /** When the next attempt is, in milliseconds since 1970. */
  readonly retryAt?: number;
  /** The close code of the connection that ended last. */
  readonly code?: number;
  /**
   * Why it ended, as the server says it, or this client where there was no close frame; "" where that
   * says nothing.
   */
  readonly reason?: string;
}
