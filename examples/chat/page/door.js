// The door: where one says one's name.

import * as login from "./login.js";

const NAME_LIMIT = 32;

const door = document.getElementById("door");
const field = document.getElementById("name");
const error = document.getElementById("name-error");
const button = document.getElementById("enter");

/** `onEnter` is called with who has come in. */
export function setUpDoor(onEnter) {
  function pass(person) {
    door.hidden = true;
    onEnter(person);
  }

  function show() {
    door.hidden = false;
    field.value = login.lastName();
    field.focus();
    field.select();
  }

  document.getElementById("join").addEventListener("submit", async (event) => {
    event.preventDefault();
    const name = field.value.trim().replace(/\s+/g, " ");
    const fault = faultOf(name);
    if (fault) return refuse(fault);
    button.disabled = true;
    try {
      pass(await login.enter(name));
    } catch (failed) {
      const isName = failed instanceof login.BadName;
      refuse(isName ? failed.message : "The server can't be reached. Please try again.");
    } finally {
      button.disabled = false;
    }
  });

  field.addEventListener("input", () => {
    error.textContent = "";
    field.removeAttribute("aria-invalid");
  });

  return { pass, show };
}

function refuse(fault) {
  error.textContent = fault;
  field.setAttribute("aria-invalid", "true");
  field.focus();
}

/** The server's own rules, so that a person hears of them before the server refuses. */
function faultOf(name) {
  if (name === "") return "Please give a name, so that the others know who speaks.";
  if (/\p{Cc}/u.test(name)) return "A name can't contain control characters.";
  const length = [...name].length;
  if (length > NAME_LIMIT) return `A name has at most ${NAME_LIMIT} characters; this one has ${length}.`;
  return "";
}
