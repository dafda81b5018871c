// The door, and the orders that one may see.

import { api, at, greet, me, Refused, title } from "./shop.js";

async function show() {
  const user = await me();
  at("door").hidden = Boolean(user);
  at("shop").hidden = at("out").hidden = !user;
  at("who").textContent = "";
  if (!user) return at("sign-in").querySelector("input").focus();
  greet(user);
  at("place").hidden = user.is_staff;
  const orders = await api("orders");
  at("orders").replaceChildren(...orders.map(line));
}

function line({ id, item, customer, status }) {
  const [entry, link, note] = ["li", "a", "span"].map((name) => document.createElement(name));
  link.href = `/orders/${id}`;
  link.textContent = item;
  note.textContent = `${customer} · ${title(status)}`;
  entry.append(link, note);
  return entry;
}

const fields = (form) => Object.fromEntries(new FormData(form));

/** What a form or a button does, and why it didn't. */
async function attempt(act) {
  at("fault").textContent = "";
  try {
    await act();
    await show();
  } catch (error) {
    at("fault").textContent = error instanceof Refused ? error.message : "The shop can't be reached.";
  }
}

at("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.target;
  attempt(async () => {
    try {
      await api("login", { method: "POST", body: fields(form) });
    } catch (error) {
      if (error.status === 401) throw new Refused(401, "Wrong name or password.");
      throw error;
    }
    form.reset();
  });
});

at("place").addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.target;
  attempt(async () => {
    await api("orders", { method: "POST", body: fields(form) });
    form.reset();
  });
});

at("out").addEventListener("click", () => attempt(() => api("login", { method: "DELETE" })));

attempt(async () => {});
