// A moderator removes somebody from a room: asked once more before it is done.

const dialog = document.getElementById("removal");
const title = document.getElementById("removal-title");
const text = document.getElementById("removal-text");
const error = document.getElementById("removal-error");
const confirm = document.getElementById("removal-confirm");
const cancel = document.getElementById("removal-cancel");

/** `remove` asks the server, `onDone` is called when it has answered. Returns what opens the dialog. */
export function setUpRemoval({ remove, onDone }) {
  let asked = null;

  function open(somebody, room) {
    asked = { somebody, room };
    title.textContent = `Remove ${somebody.name}?`;
    text.textContent =
      `${somebody.name} has to leave ${room.title} at once, and can't come back to it for 10 minutes.`;
    error.textContent = "";
    dialog.showModal();
  }

  confirm.addEventListener("click", async () => {
    confirm.disabled = true;
    error.textContent = "";
    const { somebody, room } = asked;
    try {
      await remove(somebody, room);
      if (dialog.open) dialog.close();
      onDone();
    } catch (failed) {
      error.textContent = `${somebody.name} could not be removed: ${failed.message}`;
    } finally {
      confirm.disabled = false;
      if (dialog.open) confirm.focus();
    }
  });
  cancel.addEventListener("click", () => dialog.close());
  return open;
}
