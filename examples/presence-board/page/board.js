// What the page knows: who is in which group, where a group is a place, or "online".
//
// Each change of somebody in a group has a higher version than the one before it. What isn't higher
// was told twice, or was overtaken, and is dropped.

/** Of so many who have gone from a group the last version is kept. */
const GONE_KEPT = 500;

export const ONLINE = "online";

export class Board {
  /** By group and id: `{ version, isHere }`. */
  #groups = new Map();
  /** The place that somebody has gone to last. They may be said to be in the former one for a while. */
  #went = new Map();

  /** Somebody came into a group or has gone from it. Returns whether that is news. */
  change({ group, id, version, is_here: isHere }) {
    const isNews = this.#note(group, id, version, isHere);
    const gone = [...this.#group(group)].filter(([, { isHere }]) => !isHere);
    for (const [id] of gone.slice(0, -GONE_KEPT)) this.#group(group).delete(id);
    if (isNews && isHere && group !== ONLINE) this.#went.set(id, group);
    if (group === ONLINE && !this.#isIn(ONLINE, id)) this.#went.delete(id);
    return isNews;
  }

  /** Somebody has gone to a place. */
  went(id, place) {
    this.#went.set(id, place);
  }

  /** What is known, for `merge`. */
  copy() {
    return new Map([...this.#groups].map(([group, people]) => [group, new Map(people)]));
  }

  /** The server's answer: who is in each group. `before` is what was known when it was asked. */
  merge(answer, before) {
    for (const [group, people] of Object.entries(answer)) {
      for (const { id, version } of people) this.#note(group, id, version, true);
      const named = new Set(people.map(({ id }) => id));
      for (const [id, { version, isHere }] of before.get(group) ?? []) {
        // Of whom something was told meanwhile, that is newer.
        const isSame = this.#group(group).get(id)?.version === version;
        if (isHere && !named.has(id) && isSame) this.#group(group).set(id, { version, isHere: false });
      }
    }
  }

  online() {
    return [...this.#group(ONLINE)].filter(([, { isHere }]) => isHere).map(([id]) => id).sort();
  }

  /** Where somebody is: in one place, though they may be on their way out of another. */
  placeOf(id) {
    const went = this.#went.get(id);
    if (went && this.#isIn(went, id)) return went;
    const places = [...this.#groups.keys()].filter((group) => group !== ONLINE && this.#isIn(group, id));
    const version = (place) => this.#group(place).get(id).version;
    return places.sort((one, other) => version(other) - version(one))[0] ?? null;
  }

  #note(group, id, version, isHere) {
    const known = this.#group(group).get(id);
    if (known && version <= known.version) return false;
    this.#group(group).delete(id); // The latest stand last.
    this.#group(group).set(id, { version, isHere });
    return (known?.isHere ?? false) !== isHere;
  }

  #isIn(group, id) {
    return this.#group(group).get(id)?.isHere ?? false;
  }

  #group(name) {
    if (!this.#groups.has(name)) this.#groups.set(name, new Map());
    return this.#groups.get(name);
  }
}
