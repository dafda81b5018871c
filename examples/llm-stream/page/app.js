// The page: asks questions, shows a card for each answer, and begins again after a reload with what
// the tab has stored.

import { Card } from "./card.js";
import { Connection } from "./connection.js";
import { Follower } from "./follower.js";
import * as store from "./store.js";

const CUT_MS = 2_000;

const answers = document.getElementById("answers");
const pill = document.getElementById("pill");
const pillText = document.getElementById("pill-text");
const question = document.getElementById("question");
const followers = new Map();

const connection = new Connection(new URL("ws", location.href.replace(/^http/, "ws")));

connection.addEventListener("state", () => {
  const labels = { online: "Connected", connecting: "Connecting", waiting: "Reconnecting" };
  pill.dataset.state = connection.state;
  pillText.textContent = labels[connection.state];
  if (connection.state === "online") for (const follower of followers.values()) follower.resume();
});

connection.addEventListener("message", ({ detail }) => {
  // The server dropped something, or was cut off from others: each room knows what it lacks.
  if (detail.route === "gap") for (const follower of followers.values()) follower.resume();
  else followers.get(detail.room)?.receive(detail);
});

/** Shows an answer and follows it to its end. */
function show(record) {
  document.getElementById("welcome").hidden = true;
  const card = new Card(record, { onRetry: () => askAgain(record) });
  answers.append(card.element);
  const follower = new Follower(connection, record, (news) => {
    store.save(record);
    card.update(news);
    if (news.grew && atEnd) toEnd();
  });
  followers.set(store.room(record), follower);
  if (connection.state === "online") follower.resume();
}

function ask(text) {
  const record = store.create(text);
  store.tooMany().forEach(forget);
  show(record);
  toEnd();
}

/** The server has lost the answer: it is another one, in another room. */
function askAgain(record) {
  forget(record);
  ask(record.question);
  question.focus();
}

function forget(record) {
  store.remove(record);
  followers.get(store.room(record))?.stop();
  followers.delete(store.room(record));
  document.getElementById(record.id)?.remove();
}

document.getElementById("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = question.value.trim();
  question.value = "";
  question.focus();
  if (text) ask(text);
});

document.getElementById("ideas").addEventListener("click", ({ target }) => {
  if (target.id === "all") {
    for (const idea of document.querySelectorAll("#ideas button:not(.all)")) ask(idea.textContent);
  } else if (target.matches("button")) {
    ask(target.textContent);
  }
});

document.getElementById("reload").addEventListener("click", () => location.reload());
document.getElementById("cut").addEventListener("click", () => connection.cut(CUT_MS));

// ---- Stay at the end while it grows, unless the reader has scrolled away ----------------------

let atEnd = true;
answers.addEventListener("scroll", () => {
  atEnd = answers.scrollHeight - answers.scrollTop - answers.clientHeight < 60;
});

function toEnd() {
  answers.scrollTop = answers.scrollHeight;
  atEnd = true;
}

for (const record of store.all()) show(record);
toEnd();
connection.open();
