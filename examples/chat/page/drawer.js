// On a narrow screen the list of people is a drawer over the house. While it is open it is all
// that there is: the rest is inert, Escape closes it, and the focus goes in and comes back.

import { byId } from "./element.js";

export function setUpDrawer() {
  const narrow = window.matchMedia("(max-width: 47.99rem)");
  const drawer = byId("people");
  const rest = ["rooms", "bar", "talk"].map((id) => byId(id));
  const opener = byId("people-open");
  const closer = byId("people-close");
  const scrim = byId("scrim");
  let isOpen = false;

  function apply() {
    const covers = narrow.matches && isOpen;
    drawer.inert = narrow.matches && !isOpen;
    for (const part of rest) part.inert = covers;
    drawer.toggleAttribute("data-open", covers);
    scrim.toggleAttribute("data-open", covers);
    opener.setAttribute("aria-expanded", String(covers));
  }

  function open() {
    isOpen = true;
    apply();
    closer.focus();
  }

  function close() {
    if (!isOpen) return;
    isOpen = false;
    apply();
    opener.focus();
  }

  opener.addEventListener("click", open);
  closer.addEventListener("click", close);
  scrim.addEventListener("click", close);
  document.addEventListener("keydown", (event) => {
    // A dialog over it is closed first.
    if (event.key === "Escape" && !document.querySelector("dialog[open]")) close();
  });
  narrow.addEventListener("change", () => {
    isOpen = false;
    apply();
  });
  apply();
  return { close };
}
