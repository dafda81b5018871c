// The door: where one says one's name.

/** @import { Visitor } from "./types.js" */

import { byId } from "./element.js";
import * as login from "./login.js";

const NAME_LIMIT = 32;

const door = byId("door");
const field = byId("name", HTMLInputElement);
const error = byId("name-error");
const button = byId("enter", HTMLButtonElement);
const moderator = byId("moderator");
const opener = byId("be-moderator");
const password = byId("password", HTMLInputElement);
const passwordError = byId("password-error");

/**
 * `onEnter` is called with who has come in.
 *
 * @param {(person: Visitor) => void} onEnter
 */
export function setUpDoor(onEnter) {
  /** @param {Visitor} person */
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

  byId("join").addEventListener("submit", async (event) => {
    event.preventDefault();
    const name = field.value.trim().replace(/\s+/g, " ");
    const fault = faultOf(name);
    if (fault) return refuse(fault);
    button.disabled = true;
    try {
      const person = await login.enter(name, moderator.hidden ? undefined : password.value || undefined);
      password.value = "";
      pass(person);
    } catch (failed) {
      const isName = failed instanceof login.BadName;
      if (failed instanceof login.BadPassword) refuse(failed.message, password, passwordError);
      else refuse(isName ? failed.message : "The server can't be reached. Please try again.");
    } finally {
      button.disabled = false;
    }
  });

  for (const { input, message } of [{ input: field, message: error }, { input: password, message: passwordError }]) {
    input.addEventListener("input", () => {
      message.textContent = "";
      input.removeAttribute("aria-invalid");
    });
  }

  opener.addEventListener("click", () => {
    moderator.hidden = !moderator.hidden;
    opener.setAttribute("aria-expanded", String(!moderator.hidden));
    opener.textContent = moderator.hidden ? "I am a moderator" : "I am no moderator";
    (moderator.hidden ? field : password).focus();
  });

  return { pass, show };
}

/** @param {string} fault */
function refuse(fault, input = field, message = error) {
  message.textContent = fault;
  input.setAttribute("aria-invalid", "true");
  input.focus();
}

/**
 * The server's own rules, so that a person hears of them before the server refuses.
 *
 * @param {string} name
 */
function faultOf(name) {
  if (name === "") return "Please give a name, so that the others know who speaks.";
  if (/\p{Cc}/u.test(name)) return "A name can't contain control characters.";
  const length = [...name].length;
  if (length > NAME_LIMIT) return `A name has at most ${NAME_LIMIT} characters; this one has ${length}.`;
  return "";
}
