// A moderator removes somebody from a room: asked once more before it is done.

/**
 * @import { Room } from "./room.js"
 * @import { Somebody } from "./types.js"
 */

import { byId } from "./element.js";

const dialog = byId("removal", HTMLDialogElement);
const title = byId("removal-title");
const text = byId("removal-text");
const error = byId("removal-error");
const confirm = byId("removal-confirm", HTMLButtonElement);
const cancel = byId("removal-cancel");

/**
 * `remove` asks the server, `onDone` is called when it has answered. Returns what opens the dialog.
 *
 * @param {{
 *   remove: (somebody: Somebody, room: Room) => Promise<unknown>,
 *   onDone: () => void,
 * }} options
 */
export function setUpRemoval({ remove, onDone }) {
  /** @type {{ somebody: Somebody, room: Room } | null} */
  let asked = null;

  /**
   * @param {Somebody} somebody
   * @param {Room} room
   */
  function open(somebody, room) {
    asked = { somebody, room };
    title.textContent = `Remove ${somebody.name}?`;
    text.textContent =
      `${somebody.name} has to leave ${room.title} at once, and can't come back to it for 10 minutes.`;
    error.textContent = "";
    dialog.showModal();
  }

  confirm.addEventListener("click", async () => {
    if (!asked) return;
    confirm.disabled = true;
    error.textContent = "";
    const { somebody, room } = asked;
    try {
      await remove(somebody, room);
      if (dialog.open) dialog.close();
      onDone();
    } catch (failed) {
      error.textContent = `${somebody.name} could not be removed: ${failed instanceof Error ? failed.message : failed}`;
    } finally {
      confirm.disabled = false;
      if (dialog.open) confirm.focus();
    }
  });
  cancel.addEventListener("click", () => dialog.close());
  return open;
}
