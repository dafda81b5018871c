// The tokens of one client: one question to the getter at a time, and none that was refused is
// shown a second time.

import type { Settings, TokenReason } from "./options.js";
import { patiently, type Timer } from "./timer.js";

/** What the getter has: nobody is signed in; only what was refused already; or a token. */
export type Found = { kind_: "nobody" } | { kind_: "stale" } | { kind_: "token"; token: string };

interface Question {
  readonly reason: TokenReason;
  readonly end_: AbortController;
  readonly found_: Promise<Found>;
}

export class Tokens {
  readonly #get: NonNullable<Settings["token"]>;
  readonly #timeout: number;
  #asking: Question | undefined;
  #shown: string | undefined;
  #stale: string | undefined;

  constructor(get: NonNullable<Settings["token"]>, timeout: number) {
    this.#get = get;
    this.#timeout = timeout;
  }

  /** Rejects where the getter does, where it takes too long, and where it is dropped. */
  async ask_(reason: TokenReason): Promise<Found> {
    // Whoever asks meanwhile gets the same: many refresh tokens are good once.
    const joined = this.#asking ?? this.#begin(reason);
    const found = await joined.found_;
    // But for one that was asked for something else, and didn't know that its token is refused.
    if (found.kind_ !== "stale" || joined.reason === reason || joined.end_.signal.aborted) return found;
    return (this.#asking ?? this.#begin(reason)).found_;
  }

  /** The server knows this one: it is that of the connection. */
  show_(token: string): void {
    this.#shown = token;
  }

  /** The server doesn't accept it. */
  refuse_(token = this.#shown): void {
    this.#stale = token;
  }

  /** The client is closed. What is asked meanwhile belongs to nobody, and the next one begins anew. */
  drop_(): void {
    this.#asking?.end_.abort();
    this.#asking = this.#shown = this.#stale = undefined;
  }

  #begin(reason: TokenReason): Question {
    const end = new AbortController();
    const found = this.#ask(reason, end).finally(() => {
      if (this.#asking === question) this.#asking = undefined;
    });
    const question: Question = { reason, end_: end, found_: found };
    this.#asking = question;
    return question;
  }

  async #ask(reason: TokenReason, end: AbortController): Promise<Found> {
    const { signal } = end;
    let timer: Timer | undefined;
    patiently(this.#timeout, () => end.abort(), (next) => (timer = next));
    const over = new Promise<never>((_, reject) => {
      signal.addEventListener("abort", () => reject(new Error("there was no token in time")));
    });
    try {
      const token = await Promise.race([this.#get({ reason, signal }), over]);
      if (token == null) return { kind_: "nobody" };
      return token === this.#stale ? { kind_: "stale" } : { kind_: "token", token };
    } finally {
      clearTimeout(timer);
    }
  }
}
