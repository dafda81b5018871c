// The rooms of one client: the same object for the same name, and their turns to be entered.

import type { Position, Room } from "./room.js";

// biome-ignore lint/suspicious/noExplicitAny: a room of whatever routes
type AnyRoom = Room<any>;

/** When there are more rooms than this, those that nobody uses are forgotten. */
const ROOMS_KEPT = 100;
/** So many are entered at once: a client that comes back with all its rooms is no burst. */
const ENTERED_AT_ONCE = 32;

export class Rooms {
  readonly #rooms = new Map<string, AnyRoom>();
  /** Those that nobody uses, as long as somebody has them. */
  readonly #unused = new Map<string, WeakRef<AnyRoom>>();
  /** How many wait for the answer of the server. */
  #entering = 0;
  /** Those that wait for their turn. */
  readonly #turns = new Set<AnyRoom>();

  get(name: string): AnyRoom | undefined {
    return this.#rooms.get(name) ?? this.#unused.get(name)?.deref();
  }

  /** From now on this object is the room of its name. */
  keep_(room: AnyRoom): void {
    this.#rooms.set(room.name, room);
    this.#unused.delete(room.name);
  }

  /** Makes room for others. Who has one of these rooms, and uses it later, has the right one. */
  tidy_(): void {
    if (this.#rooms.size < ROOMS_KEPT) return;
    for (const [name, room] of this.#unused) if (!room.deref()) this.#unused.delete(name);
    for (const [name, room] of this.#rooms) {
      if (this.#rooms.size < ROOMS_KEPT) break;
      if (!room.isUnused_()) continue;
      this.#rooms.delete(name);
      this.#unused.set(name, new WeakRef(room));
    }
  }

  each_(call: (room: AnyRoom) => void): void {
    for (const room of [...this.#rooms.values()]) call(room);
  }

  /** Whether a room may be entered now, which ends with `entered`. Else it is told to, in its turn. */
  mayEnter_(room: AnyRoom): boolean {
    const may = this.#entering < ENTERED_AT_ONCE;
    if (may) this.#entering += 1;
    else this.#turns.add(room);
    return may;
  }

  entered_(): void {
    this.#entering -= 1;
    for (const room of this.#turns) {
      if (this.#entering >= ENTERED_AT_ONCE) break;
      this.#turns.delete(room);
      room.enter_();
    }
  }

  gap_(positions: Record<string, Position>): void {
    this.each_((room) => room.gap_(positions[room.name]));
  }
}
