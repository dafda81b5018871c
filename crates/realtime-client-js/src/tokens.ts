// The tokens of one client: one question to the getter at a time, and none that was refused is
// shown a second time.

import type { Settings, TokenReason } from "./options.js";
import { after, type Timer } from "./timer.js";

/** What the getter has: nobody is signed in; only what was refused already; or a token. */
export type Found = { kind: "nobody" } | { kind: "stale" } | { kind: "token"; token: string };

export class Tokens {
  readonly #get: NonNullable<Settings["token"]>;
  readonly #timeout: number;
  #asking: Promise<Found> | undefined;
  #shown: string | undefined;
  #stale: string | undefined;

  constructor(get: NonNullable<Settings["token"]>, timeout: number) {
    this.#get = get;
    this.#timeout = timeout;
  }

  /** Rejects where the getter does, and where it takes too long. */
  ask(reason: TokenReason): Promise<Found> {
    // Whoever asks meanwhile gets the same: many refresh tokens are good once.
    this.#asking ??= this.#ask(reason).finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  /** This one is on its way to the server. */
  show(token: string): void {
    this.#shown = token;
  }

  /** The server doesn't accept the one that was shown. */
  refuse(): void {
    this.#stale = this.#shown;
  }

  async #ask(reason: TokenReason): Promise<Found> {
    const late = new AbortController();
    let timer: Timer | undefined;
    const tooLate = new Promise<never>((_, reject) => {
      timer = after(this.#timeout, () => {
        late.abort();
        reject(new Error("there was no token in time"));
      });
    });
    try {
      const token = await Promise.race([this.#get({ reason, signal: late.signal }), tooLate]);
      if (token == null) return { kind: "nobody" };
      return token === this.#stale ? { kind: "stale" } : { kind: "token", token };
    } finally {
      clearTimeout(timer);
    }
  }
}
