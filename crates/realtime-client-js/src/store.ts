// A value that can be watched. Its `subscribe` is the contract of Svelte's stores, and what React's
// `useSyncExternalStore` and Vue's `shallowRef` need is here, too.

import { guarded, Listeners } from "./listeners.js";

/** A value that changes. Both functions may be passed on without their object. */
export interface Readable<T> {
  /** The value as it is now: the same object until it changes. */
  readonly get: () => T;
  /** Calls `listener` with the value at once, and each time that it changes. Returns what ends it. */
  readonly subscribe: (listener: (value: T) => void) => () => void;
}

export class Store<T> implements Readable<T> {
  #value: T;
  readonly #listeners = new Listeners();

  constructor(value: T) {
    this.#value = value;
  }

  readonly get = (): T => this.#value;

  readonly subscribe = (call: (value: T) => void): (() => void) => {
    // One that has set another value has told everybody of that one already.
    const end = this.#listeners.add("", (value: T) => this.#value === value && call(value));
    guarded(call, this.#value);
    return end;
  };

  /** Whether somebody listens. */
  isWatched_(): boolean {
    return this.#listeners.size > 0;
  }

  set(value: T): void {
    this.#value = value;
    this.#listeners.emit_("", value);
  }
}
