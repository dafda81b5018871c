// The cards of the nodes: which one this tab is on, and which is silent.

/** Each says something once a second. */
const SILENT_MS = 3_500;

const cards = [...document.querySelectorAll("#nodes li")];
/** What was heard of each last, and when. */
const heard = new Map();

export function hear(beat) {
  heard.set(beat.node, { ...beat, at: performance.now() });
}

/** `here` is the node that this tab is on, if it is on any. */
export function show(here) {
  for (const card of cards) {
    const { node } = card.dataset;
    const last = heard.get(node);
    const isHere = node === here;
    card.classList.toggle("here", isHere);
    if (!last) continue;
    const isDown = performance.now() - last.at > SILENT_MS;
    card.dataset.state = isDown ? "down" : "up";
    write(card, "how", isDown ? "down" : isHere ? "this tab is here" : "up");
    write(card, "tabs", isDown ? "" : `${last.tabs} ${last.tabs === 1 ? "tab" : "tabs"}`);
  }
}

/** What is the same isn't written: it would be read out again. */
function write(card, part, text) {
  const element = card.querySelector(`.${part}`);
  if (element.textContent !== text) element.textContent = text;
}
