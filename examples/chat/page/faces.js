// The faces of people: initials on a colour of their own. Decoration; the name stands beside it.

// Hues that the eye tells apart; even steps would be mostly greens and blues.
const HUES = [10, 35, 58, 82, 110, 140, 172, 215, 250, 280, 308, 340];

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
