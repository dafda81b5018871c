// What this page has of the last half minute, how old that is, and what it hasn't.

/** How far back the page looks, in milliseconds. */
export const WINDOW_MS = 30_000;
/** A point that comes later than this is of no use any more, and isn't shown. */
const LATE_MS = 3_000;

export class Series {
  /** The oldest first: {at, low, mean, high, follows}. Before one that doesn't follow something is missing. */
  points = [];
  /** The load of each machine, as it was last heard of. */
  loads = [];
  /** How many were measured while this page looked, and aren't shown: so the server says, or they were late. */
  missed = 0;
  /** When those of the last second came. */
  #arrivals = [];
  /** The number of the last one. */
  #last;
  /** By how much the server's clock is behind the page's. What came soonest knows best. */
  #behind = Infinity;

  /** Begins anew: the page was away, or the server was. */
  begin() {
    this.points = [];
    this.#last = undefined;
    this.#behind = Infinity;
  }

  /** A point, as it comes. */
  push({ n, at, low, mean, high, loads }) {
    const now = performance.now();
    this.#behind = Math.min(this.#behind, now - at);
    this.#arrivals.push(now);
    if (this.now() - at > LATE_MS) {
      this.missed += 1;
      return;
    }
    this.points.push({ at, low, mean, high, follows: n === this.#last + 1 });
    this.#last = n;
    this.loads = loads;
    const oldest = at - WINDOW_MS;
    while (this.points[0].at < oldest) this.points.shift();
  }

  /** The server says that it has dropped so many for this page. */
  skip(missed) {
    this.missed += missed;
  }

  /** What was before the first point that came. */
  prepend(moments) {
    const [first] = this.points;
    if (!first) return;
    const before = moments.filter(({ at }) => at < first.at);
    this.points.unshift(...before.map((moment) => ({ ...moment, follows: true })));
    // It has no part in what is missing: nobody looked then.
    first.follows = true;
    this.points[0].follows = false;
  }

  get isEmpty() {
    return this.points.length === 0;
  }

  get newest() {
    return this.points.at(-1);
  }

  /** What the server's clock shows now, as far as this page knows. */
  now() {
    return performance.now() - this.#behind;
  }

  /** How old the newest point is, in milliseconds. */
  age() {
    return this.isEmpty ? undefined : this.now() - this.newest.at;
  }

  /** How many came within the last second. */
  rate() {
    const from = performance.now() - 1_000;
    while (this.#arrivals[0] < from) this.#arrivals.shift();
    return this.#arrivals.length;
  }
}
