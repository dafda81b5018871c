// The elements that index.html has. One that is missing, or of another kind, is a mistake there.

/**
 * The element with this id.
 *
 * @template {HTMLElement} [E=HTMLElement]
 * @param {string} id
 * @param {new () => E} kind
 */
export function byId(id, kind = /** @type {any} */ (HTMLElement)) {
  return checked(document.getElementById(id), `#${id}`, kind);
}

/**
 * The first element in another one that fits.
 *
 * @template {HTMLElement} [E=HTMLElement]
 * @param {ParentNode} parent
 * @param {string} selector
 * @param {new () => E} kind
 */
export function find(parent, selector, kind = /** @type {any} */ (HTMLElement)) {
  return checked(parent.querySelector(selector), selector, kind);
}

/**
 * A copy of what a template has.
 *
 * @param {string} id
 */
export function copyOf(id) {
  const template = byId(id, HTMLTemplateElement).content;
  return find(/** @type {DocumentFragment} */ (template.cloneNode(true)), "*");
}

/**
 * @template {HTMLElement} E
 * @param {Element | null} element
 * @param {string} what
 * @param {new () => E} kind
 */
function checked(element, what, kind) {
  if (element instanceof kind) return element;
  throw new TypeError(`expected ${what} to be an ${kind.name}; got ${element}`);
}
