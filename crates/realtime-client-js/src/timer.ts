// Timers for waits of any length: one that is longer than a timer can be would end at once.

export type Timer = ReturnType<typeof setTimeout>;

const LONGEST_MS = 2 ** 31 - 1;

export function after(ms: number, call: () => unknown): Timer {
  return setTimeout(call, Math.min(ms, LONGEST_MS));
}

/** A timer that is later than this was held up, with its whole thread. */
const LATE_MS = 50;
/** Who is about to be given up then has this much longer. */
const LAST_LOOK_MS = 250;

/** As `after`, for what somebody else is to do meanwhile: where this thread was held up, what they did waits
 * behind the timer, and is heard first. `keep` gets each timer. */
export function patiently(ms: number, call: () => unknown, keep: (timer: Timer) => unknown): void {
  const due = Date.now() + ms;
  keep(after(ms, () => (Date.now() - due > LATE_MS ? keep(after(LAST_LOOK_MS, call)) : call())));
}
