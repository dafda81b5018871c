// Who is in one room: the answer to "members", and from then on who comes and goes.
//
// Each coming and each going of somebody has a higher version than the one before it. What isn't
// higher than the last one was told before, or was overtaken, and is dropped.

const PAGE = 500;
// Of so many who have gone the last version is kept, since the same may be told twice.
const GONE_KEPT = 500;

export class Presence {
  #ask;
  #onChange;
  #onCome;
  #onGo;
  /** By id: {version, isHere}. */
  #people = new Map();

  /** `ask` asks the server for members: {after, limit}. */
  constructor({ ask, onChange, onCome, onGo }) {
    this.#ask = ask;
    this.#onChange = onChange;
    this.#onCome = onCome;
    this.#onGo = onGo;
  }

  /** Who is here: {id, person, name}. */
  people() {
    return [...this.#people].filter(([, { isHere }]) => isHere).map(([id]) => somebody(id));
  }

  /** The server tells who came and who has gone. */
  receive({ joined = [], left = [] }) {
    for (const { id, version } of joined) {
      if (this.#note(id, version, true)) this.#onCome(somebody(id));
    }
    for (const { id, version } of left) {
      if (this.#note(id, version, false)) this.#onGo(somebody(id));
    }
    this.#forget();
    this.#onChange();
  }

  /** Asks who is here, since something may have been missed. Nobody is said to come or go by that. */
  async refresh() {
    const before = new Map(this.#people);
    const named = new Set();
    for (let after; ; ) {
      const page = await this.#ask({ after, limit: PAGE });
      for (const { id, version } of page.members) {
        named.add(id);
        this.#note(id, version, true);
      }
      after = page.after;
      if (after === undefined) break;
    }
    for (const [id, { version, isHere }] of before) {
      // Of whom something was told meanwhile, that is newer.
      if (isHere && !named.has(id) && this.#people.get(id)?.version === version) this.#people.delete(id);
    }
    this.#onChange();
  }

  /** Somebody was removed: they are shown no longer, and won't be said to have left. */
  remove(id) {
    const known = this.#people.get(id);
    if (known) this.#people.set(id, { ...known, isHere: false });
    this.#onChange();
  }

  /** One isn't in the room, and learns nothing of it. */
  clear() {
    this.#people.clear();
    this.#onChange();
  }

  /** True if that changes whether they are here. */
  #note(id, version, isHere) {
    const known = this.#people.get(id);
    if (known && version <= known.version) return false;
    this.#people.delete(id); // The latest stand last.
    this.#people.set(id, { version, isHere });
    return (known?.isHere ?? false) !== isHere;
  }

  #forget() {
    const gone = [...this.#people].filter(([, { isHere }]) => !isHere);
    for (const [id] of gone.slice(0, -GONE_KEPT)) this.#people.delete(id);
  }
}

/** An id is "PERSON NAME". */
export function somebody(id) {
  const end = id.indexOf(" ");
  return { id, person: id.slice(0, end), name: id.slice(end + 1) };
}
