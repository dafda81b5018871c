// Timers for waits of any length: one that is longer than a timer can be would end at once.

export type Timer = ReturnType<typeof setTimeout>;

const LONGEST_MS = 2 ** 31 - 1;

export function after(ms: number, call: () => unknown): Timer {
  return setTimeout(call, Math.min(ms, LONGEST_MS));
}

/** Who is about to be given up has this much longer. */
const LAST_LOOK_MS = 250;

/** As `after`, for what somebody else is to do meanwhile: this thread may have been held up, and then what
 * they did waits behind the timer and is heard first. `keep` gets each timer. */
export function patiently(ms: number, call: () => unknown, keep: (timer: Timer) => unknown): void {
  keep(after(ms, () => keep(after(LAST_LOOK_MS, call))));
}
