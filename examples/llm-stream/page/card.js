// One question and its answer, as a card. Text comes in as text nodes, never as HTML.

export class Card {
  element = document.createElement("article");
  #record;
  #text = document.createElement("p");
  #note = document.createElement("span");
  #retry = document.createElement("button");
  #recovered = 0;
  #fresh = false;

  constructor(record, { onRetry }) {
    this.#record = record;
    const title = document.createElement("h2");
    title.id = `title-${record.id}`;
    title.dir = "auto";
    title.textContent = record.question;
    this.#text.className = "text";
    this.#text.dir = "auto";
    this.#text.append(record.text);
    this.#retry.type = "button";
    this.#retry.textContent = "Ask again";
    this.#retry.addEventListener("click", onRetry);
    const foot = document.createElement("p");
    foot.className = "foot";
    foot.append(this.#note, this.#retry);
    this.element.id = record.id;
    this.element.className = "card";
    this.element.setAttribute("aria-labelledby", title.id);
    this.element.append(title, this.#text, foot);
    this.update({});
  }

  /** Shows what the record has become. `recovered` and `fresh` say how it came there. */
  update({ recovered = 0, fresh = false, why = "" }) {
    const { state, text, next } = this.#record;
    this.#recovered += recovered;
    this.#fresh ||= fresh && next > 0;
    this.#show(text);
    if (this.element.dataset.state !== state) {
      this.element.dataset.state = state;
      // A reader of the screen gets the answer when it is whole, not word by word.
      this.#text.setAttribute("aria-busy", String(state === "asking" || state === "streaming"));
      if (state === "done") {
        document.getElementById("spoken").textContent = `Answered: ${this.#record.question}`;
      }
    }
    this.#retry.hidden = state !== "lost";
    if (why) this.#note.textContent = why;
    else if (state !== "lost") this.#note.textContent = this.#summary();
    else this.#note.textContent ||= "The server doesn't have this answer any more.";
  }

  /** Adds what is new, so that a selection in what was there survives. */
  #show(text) {
    const shown = this.#text.textContent;
    if (text === shown) return;
    if (text.startsWith(shown)) this.#text.append(text.slice(shown.length));
    else this.#text.textContent = text;
    this.#text.normalize();
  }

  #summary() {
    const { state, next } = this.#record;
    const parts = [state === "asking" ? "Asking" : `${next} tokens`];
    if (this.#recovered > 0) parts.push(`${this.#recovered} recovered`);
    if (this.#fresh) parts.push("loaded afresh");
    if (state === "done") parts.push("complete");
    return parts.join(" · ");
  }
}
