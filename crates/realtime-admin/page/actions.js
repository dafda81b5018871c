// Somebody is found on all nodes, and sessions are closed.

let found = null;

function say(text, state = "said") {
  byId("toast").dataset.state = state;
  byId("dismiss").hidden = false;
  write(byId("receipt"), text);
}

function dismiss() {
  delete byId("toast").dataset.state;
  byId("dismiss").hidden = true;
  write(byId("receipt"), "");
  byId("find-id").focus();
}

async function find(identity) {
  byId("find-id").value = identity.id;
  byId("find-tenant").value = identity.tenant;
  try {
    const { sessions, total, nodes } = await client.request("find", identity);
    found = identity;
    byId("found").hidden = false;
    const on = nodes.map(({ node_id: node, sessions: there }) => `${node}: ${count(there)}`).join(", ");
    const none = sessions.length ? `of which ${sessions.length} are shown` : `too many to show (${on})`;
    const rest = total > sessions.length ? `, ${none}` : "";
    const said = total ? `${plural(total, "session")} on ${plural(nodes.length, "node")}${rest}` : "not online";
    write(byId("found-count"), `${named(identity)}: ${said}`);
    byId("disconnect-all").disabled = !total;
    list(byId("found-rows"), sessions, (session) => session.session_id, (session, existing) => row([
      ["Session", session.session_id, true],
      ["Node", session.node_id, true],
      ["Address", session.remote_addr ?? "not known"],
      ["Connected", since(session.connected_at)],
      ["Actions", () => button("Disconnect", `Disconnect the session ${session.session_id}`, () => disconnect({ session_id: session.session_id }, `one session of ${named(identity)}`), "bad")],
    ], existing));
    byId("find-title").scrollIntoView({ block: "nearest" });
  } catch (error) {
    say(wrong(error), "bad");
  }
}

/** What became of it, node by node: nothing is left unsaid. */
function receiptOf(done) {
  const each = done.nodes.map((node) => (node.answer === "done" ? `${node.node_id}: ${node.sessions}` : `${node.node_id}: ${node.answer.replace("_", " ")}`));
  let said = `Disconnected ${plural(done.sessions, "session")} in ${done.elapsed_ms} ms (${each.join(", ") || "no node has answered"}).`;
  if (done.missing.length) said += ` No answer from ${done.missing.join(", ")}: it may be done there, or not.`;
  if (done.not_asked) said += " Other nodes could not be asked.";
  return said;
}

/** Asks whether that is meant; Escape and the button that has the focus are a no. */
function sure(title) {
  const dialog = byId("sure");
  byId("sure-title").textContent = title;
  byId("sure-text").textContent = "Clients that aren't kept out come back by themselves.";
  byId("sure-reason").value = "";
  dialog.returnValue = "";
  dialog.showModal();
  byId("sure-cancel").focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "do"), { once: true });
  });
}

async function disconnect(whom, called) {
  if (!(await sure(`Disconnect ${called}?`))) return;
  say("Disconnecting …");
  try {
    const done = await client.request("disconnect", { ...whom, reason: byId("sure-reason").value });
    say(receiptOf(done), done.is_complete ? "said" : "bad");
  } catch (error) {
    say(wrong(error), "bad");
  }
  void refresh();
  if (found) void find(found);
}
