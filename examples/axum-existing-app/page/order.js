// One order: its steps, and for the staff the next one.

import { follow } from "./live.js"; // realtime
import { api, at, greet, me, title } from "./shop.js";

const STEPS = ["placed", "packed", "shipped", "delivered"];
const VERBS = { packed: "Mark as packed", shipped: "Mark as shipped", delivered: "Mark as delivered" };

const id = Number(location.pathname.split("/").at(-1));
let user = null;
let shown = null;
let isMoving = false;

/** An order with fewer steps than the one that is shown was on its way for longer. */
function show(order) {
  if (shown && order.steps.length < shown.steps.length) return;
  const isNews = shown && order.steps.length > shown.steps.length;
  shown = order;
  document.title = `${order.item} · ${title(order.status)}`;
  at("item").textContent = order.item;
  at("number").textContent = `Order ${order.id}, for ${order.customer}`;
  at("steps").replaceChildren(...STEPS.map((status) => step(status, order.steps)));
  if (isNews) at("spoken").textContent = `The order is ${order.status}.`;
  const next = STEPS[order.steps.length];
  at("next").hidden = !user.is_staff || !next;
  at("next").textContent = VERBS[next] ?? "";
  at("order").hidden = false;
}

function step(status, steps) {
  const done = steps.find((step) => step.status === status);
  const [entry, name, note] = ["li", "span", "span"].map((element) => document.createElement(element));
  name.textContent = title(status);
  note.className = "soft";
  const time = done && new Date(done.at).toLocaleTimeString([], { timeStyle: "short" });
  note.textContent = done ? `${time}, by ${done.by}` : "not yet";
  entry.dataset.done = Boolean(done);
  entry.append(name, note);
  return entry;
}

async function load() {
  show(await api(`orders/${id}`));
}

/** What a button does, and why it didn't. */
async function attempt(act) {
  at("fault").textContent = "";
  try {
    await act();
  } catch (error) {
    at("fault").textContent = error.status ? error.message : "The shop can't be reached.";
  }
}

at("next").addEventListener("click", () =>
  attempt(async () => {
    if (isMoving) return;
    isMoving = true;
    try {
      show(await api(`orders/${id}`, { method: "PATCH", body: { to: STEPS[shown.steps.length] } }));
    } finally {
      isMoving = false;
    }
  }),
);

attempt(async () => {
  user = await me();
  if (!user) return location.replace("/");
  greet(user);
  await load();
  follow(id, { show, load: () => attempt(load), say: (words) => (at("live").textContent = words) }); // realtime
});
