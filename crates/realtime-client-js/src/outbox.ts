// What was said to the server and isn't done with: requests that wait for their answers, and, while
// there is no connection, what waits to be sent, in order.

import { packed } from "./bytes.js";
import { ConnectionLost, type Failure, RequestError, Timeout } from "./errors.js";
import { patiently, type Timer } from "./timer.js";

export interface AskOptions {
  /** In milliseconds. */
  timeout?: number;
  /** Gives up waiting for the answer; the server isn't told. */
  signal?: AbortSignal;
  metadata?: Record<string, string>;
}

/** Called once, while the answer is read and before what came behind it. */
export type Done = (error: Error | undefined, data?: unknown) => void;

/** Sends a frame now. */
type Send = (frame: string) => void;

interface Entry {
  frame_: string;
  isSent_: boolean;
  done_: Done;
  timer_?: Timer;
}

export class Outbox {
  readonly #entries = new Map<number, Entry>();
  readonly #queue: number;
  #queued = 0;
  #lastId = 0;

  /** So many may wait to be sent. */
  constructor(queue: number) {
    this.#queue = queue;
  }

  /** A request: sent at once, or kept until there is a connection. `onLate` hears of a timeout. */
  ask_(
    route: string,
    data: unknown,
    { timeout, signal, metadata }: AskOptions & { timeout: number },
    send: Send | undefined,
    onLate: () => void,
    answered: Done,
  ): void {
    if (signal?.aborted) return answered(signal.reason);
    const id = ++this.#lastId;
    const frame = JSON.stringify({ id, route, ...packed(data), metadata });
    const onAbort = () => this.#settle(id, signal?.reason);
    const done: Done = (error, reply) => {
      signal?.removeEventListener("abort", onAbort);
      answered(error, reply);
    };
    const late = () => {
      const isSent = this.#entries.get(id)?.isSent_ ?? false;
      this.#settle(id, new Timeout(`no answer on ${route} within ${timeout} ms`, isSent));
      if (isSent) onLate();
    };
    if (this.#add(id, frame, done, timeout, late, send)) signal?.addEventListener("abort", onAbort);
    else answered(new ConnectionLost("too much waits"));
  }

  /** A message without an answer. False if it can't be sent and can't wait. */
  post_(route: string, data: unknown, timeout: number, send: Send | undefined): boolean {
    const id = ++this.#lastId;
    const frame = JSON.stringify({ route, ...packed(data) });
    if (send) {
      send(frame);
      return true;
    }
    return this.#add(id, frame, () => {}, timeout, () => this.#settle(id), undefined);
  }

  /** What isn't done with. */
  get size(): number {
    return this.#entries.size;
  }

  /** An answer of the server. */
  answer_(id: number, route: string | undefined, data: unknown): void {
    if (route === "error") this.#settle(id, new RequestError((data ?? {}) as Failure));
    else this.#settle(id, undefined, data);
  }

  /** Sends what waits for it. */
  flush_(send: Send): void {
    for (const [id, entry] of this.#entries) {
      if (entry.isSent_) continue;
      entry.isSent_ = true;
      this.#queued -= 1;
      send(entry.frame_);
      // Nobody answers to a message without an id.
      if (!entry.frame_.startsWith('{"id"')) this.#settle(id);
    }
  }

  /** The connection has ended. What wasn't sent waits for the next one, unless `why` says that there is none. */
  lose_(why?: string): void {
    for (const [id, { isSent_: isSent }] of [...this.#entries]) {
      if (!isSent && !why) continue;
      this.#settle(id, new ConnectionLost(why ?? "the connection ended before the answer", isSent));
    }
  }

  #add(id: number, frame: string, done: Done, timeout: number, late: () => void, send?: Send): boolean {
    if (!send && this.#queued >= this.#queue) return false;
    const entry: Entry = { frame_: frame, done_: done, isSent_: !!send };
    patiently(timeout, late, (timer) => (entry.timer_ = timer));
    this.#entries.set(id, entry);
    if (send) send(frame);
    else this.#queued += 1;
    return true;
  }

  #settle(id: number, error?: Error, data?: unknown): void {
    const entry = this.#entries.get(id);
    if (!entry) return;
    this.#entries.delete(id);
    clearTimeout(entry.timer_);
    if (!entry.isSent_) this.#queued -= 1;
    entry.done_(error, data);
  }
}
