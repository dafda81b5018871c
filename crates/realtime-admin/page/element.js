// What the page is made of. Text is put in as text and nothing else: it comes from peers.

const byId = (id) => document.getElementById(id);

function make(tag, { text, className, ...attributes } = {}, ...children) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// What isn't seen, or changes the order in which the rest is read.
const UNSEEN = /[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Zl}\p{Zp}\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0\ufe00-\ufe0f]/gu;

/** What a peer has chosen, as it is: nothing in it stays unseen. */
const seen = (text) => text.replace(UNSEEN, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);

/** The same within a sentence: in quotes, and on its own whatever it is written in. */
const quoted = (text) => `\u2068"${seen(text).replaceAll('"', '\\"')}"\u2069`;

/** Writes only what has changed: a screen reader reads live regions again that are written. */
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Makes the children of a list those of these items, and leaves those that stay where they are: what has
 * the focus keeps it. `draw` makes an element or changes the one that there is.
 */
function list(parent, items, keyOf, draw) {
  const stays = new Set(items.map((item) => String(keyOf(item))));
  for (const gone of [...parent.children].filter((child) => !stays.has(child.dataset.key))) {
    // The focus isn't to be lost with what goes.
    if (gone.contains(document.activeElement)) focusTitle(parent);
    gone.remove();
  }
  const before = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let at = parent.firstElementChild;
  for (const item of items) {
    const key = String(keyOf(item));
    let child = before.get(key);
    if (child) draw(item, child);
    else {
      child = draw(item);
      child.dataset.key = key;
    }
    if (child === at) at = at.nextElementSibling;
    else parent.insertBefore(child, at);
  }
}

/** Puts the focus on the title of what an element is part of. */
function focusTitle(element) {
  const title = element.closest("section").querySelector("h2");
  title.tabIndex = -1;
  title.focus();
}

/** A line of a table: a cell for each column, of text or of elements that stay. */
function row(columns, existing) {
  const line = existing ?? make("tr", { role: "row" });
  columns.forEach(([label, content, mono], n) => {
    let cell = line.children[n];
    if (!cell) {
      cell = make("td", { role: "cell", "data-label": label });
      cell.append(make("bdi", { className: mono ? "mono" : "" }));
      line.append(cell);
    }
    const inner = cell.firstElementChild;
    if (typeof content === "function") {
      if (!inner.childElementCount) inner.append(content());
    } else write(inner, content);
  });
  return line;
}

const number = new Intl.NumberFormat("en");
const count = (n) => number.format(n);

function bytes(n) {
  if (n < 1024) return `${n} B`;
  if (n < 1024 ** 2) return `${(n / 1024).toFixed(1)} KiB`;
  return `${(n / 1024 ** 2).toFixed(1)} MiB`;
}

function lasted(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3600)} h`;
}

const since = (time) => lasted((Date.now() - new Date(time)) / 1000);
const clock = (ms) => new Date(ms).toLocaleTimeString("en-GB");
// Apart, since joined they may read as somebody else's.
const named = ({ id, tenant }) => (tenant ? `${quoted(id)} of the tenant ${quoted(tenant)}` : quoted(id));
const plural = (n, one) => `${count(n)} ${one}${n === 1 ? "" : "s"}`;
