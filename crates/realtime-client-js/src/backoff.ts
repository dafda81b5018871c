// How long to wait before the next try: a random part of a delay that doubles up to a limit, so
// that a crowd that was cut off at once comes back spread, from the first try on.

/** Where one starts who was asked not to come back at once. */
const SLOW = 3;

export class Backoff {
  #tries = 0;
  #isSlow = false;
  readonly #first: number;
  readonly #most: number;

  /** In milliseconds. */
  constructor(first: number, most: number) {
    this.#first = first;
    this.#most = most;
  }

  next_(): number {
    const ceiling = Math.min(this.#most, this.#first * 2 ** this.#tries);
    this.#tries += 1;
    const least = this.#isSlow ? ceiling / 2 : 0;
    this.#isSlow = false;
    return least + Math.random() * (ceiling - least);
  }

  /** From now on at least as if it had failed a few times, and the next wait is no short one. */
  slow_(): void {
    this.#tries = Math.max(this.#tries, SLOW);
    this.#isSlow = true;
  }

  reset_(): void {
    this.#tries = 0;
  }
}
