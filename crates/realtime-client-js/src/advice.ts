// What a close code asks of a client: docs/protocol.md has the table.

/**
 * - `back`: come back;
 * - `later`: come back, and not at once;
 * - `expired`: come back with a fresh token;
 * - `refused`: the token is no good. One fresh token is worth a try, no more;
 * - `away`: don't come back.
 */
export type Advice = "back" | "later" | "expired" | "refused" | "away";

// Broken protocol, refused, too large, failed, full or too slow, and too many messages: what led to
// it would lead to it again at once.
const LATER = [1002, 1003, 1007, 1008, 1009, 1011, 1013, 3013];

export function adviceOf(code: number): Advice {
  if (code === 3005) return "expired";
  if (code === 3500) return "refused";
  if ((code >= 3500 && code < 4000) || code >= 4500) return "away";
  return LATER.includes(code) ? "later" : "back";
}

/**
 * A reason for people, and after how many milliseconds, at the least, to come back, where the server says so: then
 * the reason is JSON, `{"reason": "…", "retry_after": 2.5}`, in seconds.
 */
export function readReason(reason: string): { reason: string; slot_?: number } {
  if (reason.startsWith("{")) {
    try {
      const said = JSON.parse(reason);
      const slot = said.retry_after;
      const isSlot = typeof slot === "number" && slot >= 0;
      return { reason: String(said.reason ?? ""), ...(isSlot && { slot_: slot * 1000 }) };
    } catch {
      // A text that begins with a brace.
    }
  }
  return { reason };
}
