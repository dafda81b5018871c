// Functions of the application by the name of what they listen to. What one throws is reported, as
// the browser does with its own events, and holds up nothing.

// biome-ignore lint/suspicious/noExplicitAny: the public methods say what is passed
type Listener = (...data: any[]) => unknown;

/** Calls a function of the application. */
export function guarded<A extends unknown[]>(call: (...data: A) => unknown, ...data: A): void {
  try {
    const result = call(...data);
    if (result instanceof Promise) result.catch(report);
  } catch (error) {
    report(error);
  }
}

/** Tells whoever looks at the errors of this page or process. */
export function report(error: unknown): void {
  (globalThis.reportError ?? console.error)(error);
}

export class Listeners {
  readonly #byName = new Map<string, Set<{ call_: Listener }>>();

  /** Returns what removes it again. */
  add(name: string, call: Listener): () => void {
    const entry = { call_: call };
    const set = this.#byName.get(name) ?? new Set();
    this.#byName.set(name, set.add(entry));
    return () => {
      set.delete(entry);
      if (set.size === 0 && this.#byName.get(name) === set) this.#byName.delete(name);
    };
  }

  emit_(name: string, ...data: unknown[]): void {
    for (const { call_: call } of [...(this.#byName.get(name) ?? [])]) guarded(call, ...data);
  }

  get size(): number {
    return this.#byName.size;
  }
}
