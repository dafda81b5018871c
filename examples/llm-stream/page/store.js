// What the tab remembers of its answers, in sessionStorage: text and position in one item, so that
// a reload between two tokens finds both as they were at the same moment.

const PREFIX = "answer.";
const MOST = 20;

/** A record: the answer as far as it has come, and where that is in its room. */
export function create(question) {
  const record = {
    id: randomId(),
    question,
    begun: Date.now(),
    epoch: "", // of the room's history; empty before it was joined
    offset: 0, // of the last message that came
    next: 0, // the number of the next token
    text: "",
    state: "asking", // then "streaming", and "done" or "lost"
  };
  save(record);
  return record;
}

export function save(record) {
  try {
    sessionStorage.setItem(PREFIX + record.id, JSON.stringify(record));
  } catch {
    // Full or forbidden: the answer is shown, and a reload forgets it.
  }
}

/** All records, the oldest first. */
export function all() {
  const keys = Object.keys(sessionStorage).filter((key) => key.startsWith(PREFIX));
  const records = keys.map((key) => JSON.parse(sessionStorage.getItem(key)));
  return records.sort((a, b) => a.begun - b.begun);
}

/** The oldest beyond the bound. */
export function tooMany() {
  return all().slice(0, -MOST);
}

export function remove({ id }) {
  sessionStorage.removeItem(PREFIX + id);
}

export function room({ id }) {
  return `answer:${id}`;
}

/** A random UUID. `crypto.randomUUID` is missing where the page isn't served over TLS. */
function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
