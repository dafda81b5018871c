// The faces of people: initials on a colour of their own. Decoration; the name stands beside it.

// Hues that the eye tells apart; even steps would be mostly greens and blues.
const HUES = [10, 35, 58, 82, 110, 140, 172, 215, 250, 280, 308, 340];

/** @param {string} name */
export function avatar(name) {
  const face = document.createElement("span");
  face.className = "avatar";
  face.setAttribute("aria-hidden", "true");
  face.style.setProperty("--hue", String(hue(name)));
  face.textContent = initials(name);
  return face;
}

/**
 * The same name has the same colour, on every page and every day (FNV-1a of the name).
 *
 * @param {string} name
 */
function hue(name) {
  let hash = 0x811c9dc5;
  for (const char of name) hash = Math.imul(hash ^ /** @type {number} */ (char.codePointAt(0)), 0x01000193);
  return HUES[(hash >>> 8) % HUES.length];
}

/** @param {string} name */
function initials(name) {
  const words = name.trim().split(/\s+/);
  const ends = words.length > 1 ? [words[0], words[words.length - 1]] : [words[0]];
  return ends.map(firstCharacter).join("").toLocaleUpperCase();
}

/**
 * What a reader takes for one character, which may be several code points (a flag, a family).
 *
 * @param {string} word
 */
function firstCharacter(word) {
  if (typeof Intl.Segmenter !== "function") return [...word][0] ?? "";
  for (const { segment } of new Intl.Segmenter().segment(word)) return segment;
  return "";
}
