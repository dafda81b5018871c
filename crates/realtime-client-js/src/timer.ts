// Timers for waits of any length: one that is longer than a timer can be would end at once.

export type Timer = ReturnType<typeof setTimeout>;

const LONGEST_MS = 2 ** 31 - 1;

export function after(ms: number, call: () => unknown): Timer {
  return setTimeout(call, Math.min(ms, LONGEST_MS));
}
