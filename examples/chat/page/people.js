// Who is here: the roster, kept from what the server tells, and the faces of people.
//
// The server stores no list. A newcomer is told by everybody who is there ("here"), changes come
// as "joined" and "left", and a question to presence ("online") finds those who went without a
// word, because their node died.

// Missing from two answers in a row: a person who is just reconnecting isn't shown as gone.
const MISSES_ALLOWED = 1;
const FACES_SHOWN = 3;
// Hues that the eye tells apart; even steps would be mostly greens and blues.
const HUES = [10, 35, 58, 82, 110, 140, 172, 215, 250, 280, 308, 340];

class Roster {
  #me;
  #people = new Map();
  #list = document.getElementById("roster");
  #counts = [document.getElementById("people-count"), document.getElementById("faces-count")];
  #faces = document.getElementById("faces");
  #facesLabel = document.getElementById("faces-label");

  /** Starts over, with oneself as the only person. */
  begin({ person, name }) {
    this.#me = { person, name };
    const me = this.#me;
    this.#people.clear();
    this.#people.set(me.person, { name: me.name, misses: 0 });
    this.#render();
  }

  isOf({ person, name }) {
    return this.#me?.person === person && this.#me.name === name;
  }

  get size() {
    return this.#people.size;
  }

  name(person) {
    return this.#people.get(person)?.name;
  }

  /** Everybody but oneself. */
  others() {
    return [...this.#people.keys()].filter((person) => person !== this.#me.person);
  }

  /** Notes that a person is there. True if that is news. */
  add(person, name) {
    const known = this.#people.get(person);
    if (known?.name === name && known.misses === 0) return false;
    this.#people.set(person, { name, misses: 0 });
    this.#render();
    return known === undefined;
  }

  /** True if the person was there. */
  remove(person) {
    if (person === this.#me.person || !this.#people.delete(person)) return false;
    this.#render();
    return true;
  }

  /** Compares with the answer of presence to a question about `asked`; returns who is gone. */
  reconcile(asked, online) {
    const there = new Set(online);
    const gone = [];
    for (const person of asked) {
      const known = this.#people.get(person);
      if (!known) continue;
      known.misses = there.has(person) ? 0 : known.misses + 1;
      if (known.misses <= MISSES_ALLOWED) continue;
      gone.push({ person, name: known.name });
      this.#people.delete(person);
    }
    this.#render();
    return gone;
  }

  #render() {
    const others = this.others().map((person) => ({ person, ...this.#people.get(person) }));
    others.sort((a, b) => a.name.localeCompare(b.name) || (a.person < b.person ? -1 : 1));
    const me = { ...this.#me, misses: 0 };

    this.#list.replaceChildren(...[me, ...others].map((entry) => this.#item(entry)));
    for (const count of this.#counts) count.textContent = this.size;
    const faces = [...others, me].slice(0, FACES_SHOWN);
    this.#faces.replaceChildren(...faces.map(({ name }) => avatar(name)));
    this.#facesLabel.textContent = `${this.size} online. Show who.`;
  }

  #item({ person, name, misses }) {
    const item = document.createElement("li");
    item.dataset.person = person;
    if (misses > 0) item.dataset.fading = "";
    const label = document.createElement("span");
    label.className = "name";
    label.dir = "auto";
    label.textContent = name;
    item.append(avatar(name), label);
    const note = person === this.#me.person ? "you" : misses > 0 ? "reconnecting" : "";
    if (note) {
      const mark = document.createElement("span");
      mark.className = "mark";
      mark.textContent = note;
      item.append(mark);
    }
    return item;
  }
}

export const roster = new Roster();

export function nameOf(person) {
  return roster.name(person);
}

/** A person's face: initials on a colour of their own. Decoration; the name stands beside it. */
export function avatar(name) {
  const face = document.createElement("span");
  face.className = "avatar";
  face.setAttribute("aria-hidden", "true");
  face.style.setProperty("--hue", hue(name));
  face.textContent = initials(name);
  return face;
}

/** The same name has the same colour, on every page and every day (FNV-1a of the name). */
function hue(name) {
  let hash = 0x811c9dc5;
  for (const char of name) hash = Math.imul(hash ^ char.codePointAt(0), 0x01000193);
  return HUES[(hash >>> 8) % HUES.length];
}

function initials(name) {
  const words = name.trim().split(/\s+/);
  const ends = words.length > 1 ? [words[0], words.at(-1)] : [words[0]];
  return ends.map(firstCharacter).join("").toLocaleUpperCase();
}

/** What a reader takes for one character, which may be several code points (a flag, a family). */
function firstCharacter(word) {
  if (typeof Intl.Segmenter !== "function") return [...word][0] ?? "";
  for (const { segment } of new Intl.Segmenter().segment(word)) return segment;
  return "";
}
