// The state of the connection, for the eye (a pill that counts down, a notice with a button) and
// for the ear (a status that speaks once per change, not once per second).

/**
 * @import { State } from "./realtime-client.js"
 * @import { Client } from "./types.js"
 *
 * @typedef {State["status"]} Status
 */

import { byId } from "./element.js";

const pill = byId("pill");
const pillText = byId("pill-text");
const spoken = byId("status");
const notice = byId("notice");
const noticeText = byId("notice-text");
const retry = byId("retry");

// A short interruption isn't worth a notice: it would only make the page jump.
const NOTICE_AFTER_MS = 1_500;

/** @param {Client} client */
export function showConnection(client) {
  let ticking = 0;
  let brokenSince = 0;
  let said = "";

  function show() {
    clearTimeout(ticking);
    const { status: state, retryAt = 0, reason } = client.state.get();
    const seconds = Math.ceil((retryAt - Date.now()) / 1000);
    const broken = state === "waiting" || state === "offline" || (state === "connecting" && brokenSince > 0);

    if (!broken) brokenSince = 0;
    else brokenSince ||= Date.now();
    const long = broken && Date.now() - brokenSince >= NOTICE_AFTER_MS;

    pill.dataset.state = state;
    pillText.textContent = label(state, seconds, broken);
    say(announcement(state, reason, broken));

    notice.hidden = !(long || state === "ended");
    noticeText.textContent = explanation(state, reason);
    retry.textContent = state === "ended" ? "Join again" : "Try now";
    retry.hidden = state === "connecting";

    if (broken) ticking = setTimeout(show, 250);
  }

  /** @param {string} text */
  function say(text) {
    if (text === said) return;
    said = text;
    spoken.textContent = text;
  }

  retry.addEventListener("click", () => {
    client.connect();
    client.retry();
    byId("text").focus();
  });
  client.state.subscribe(show);
}

/**
 * @param {Status} state
 * @param {number} seconds
 * @param {boolean} broken
 */
function label(state, seconds, broken) {
  switch (state) {
    case "online":
      return "Online";
    case "waiting":
      return seconds > 0 ? `Reconnecting in ${seconds} s` : "Reconnecting";
    case "offline":
      return "Offline";
    case "ended":
      return "Ended";
    default:
      return broken ? "Reconnecting" : "Connecting";
  }
}

/**
 * @param {Status} state
 * @param {string | undefined} reason
 * @param {boolean} broken
 */
function announcement(state, reason, broken) {
  if (state === "online") return "Online";
  if (state === "ended") return explanation(state, reason);
  if (broken) return "Connection lost. Reconnecting.";
  return "";
}

/**
 * @param {Status} state
 * @param {string | undefined} reason
 */
function explanation(state, reason) {
  if (state === "ended") {
    return reason || "The server ended the session.";
  }
  if (state === "offline") return "This device is offline. What you write is sent when it is back.";
  return "The connection is lost. What you write is sent when it is back.";
}
