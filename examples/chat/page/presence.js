// Who is in one room: the answer to "members", and from then on who comes and goes.
//
// Each coming and each going of somebody has a higher version than the one before it. What isn't
// higher than the last one was told before, or was overtaken, and is dropped.

/**
 * @import { Room } from "./realtime-client.js"
 * @import { Attendance } from "./routes.js"
 * @import { Somebody } from "./types.js"
 */

const PAGE = 500;
// Of so many who have gone the last version is kept, since the same may be told twice.
const GONE_KEPT = 500;

export class Presence {
  #ask;
  #onChange;
  #onCome;
  #onGo;
  /**
   * By id.
   *
   * @type {Map<string, { version: number, isHere: boolean }>}
   */
  #people = new Map();

  /**
   * `ask` asks the server for members.
   *
   * @param {{
   *   ask: (page: { after: number | undefined, limit: number }) => ReturnType<Room["members"]>,
   *   onChange: () => void,
   *   onCome: (who: Somebody) => void,
   *   onGo: (who: Somebody) => void,
   * }} options
   */
  constructor({ ask, onChange, onCome, onGo }) {
    this.#ask = ask;
    this.#onChange = onChange;
    this.#onCome = onCome;
    this.#onGo = onGo;
  }

  /** Who is here. */
  people() {
    return [...this.#people].filter(([, { isHere }]) => isHere).map(([id]) => somebody(id));
  }

  /**
   * The server tells who came and who has gone.
   *
   * @param {Attendance} attendance
   */
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
    /** @type {number | undefined} */
    let after;
    do {
      const page = await this.#ask({ after, limit: PAGE });
      for (const { id, version } of page.members) {
        named.add(id);
        this.#note(id, version, true);
      }
      after = page.after;
    } while (after !== undefined);
    for (const [id, { version, isHere }] of before) {
      // Of whom something was told meanwhile, that is newer.
      if (isHere && !named.has(id) && this.#people.get(id)?.version === version) this.#people.delete(id);
    }
    this.#onChange();
  }

  /**
   * Somebody was removed: they are shown no longer, and won't be said to have left.
   *
   * @param {string} id
   */
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

  /**
   * True if that changes whether they are here.
   *
   * @param {string} id
   * @param {number} version
   * @param {boolean} isHere
   */
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

/**
 * An id is "PERSON NAME".
 *
 * @param {string} id
 * @returns {Somebody}
 */
export function somebody(id) {
  const end = id.indexOf(" ");
  return { id, person: id.slice(0, end), name: id.slice(end + 1) };
}
