// The hooks in a page with React.

import { createElement as h, StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";
import { useConnection, useRequest, useRoom } from "../src/react.ts";
import { equal, ok, unique, until } from "./harness.mjs";

/** Renders it, as strict as development does, until the scenario has ended. */
function render(context, element) {
  const place = document.createElement("div");
  document.body.append(place);
  const root = createRoot(place);
  root.render(h(StrictMode, null, element));
  context.undo.push(() => root.unmount(), () => place.remove());
  return { place, root };
}
const shows = ({ place }, text) => until(`${text}, not ${place.textContent}`, () => place.textContent === text);

export default {
  async "react: useConnection shows the state"(context) {
    const client = context.client();
    const Pill = () => useConnection(client).status;
    const page = render(context, h(Pill));
    await shows(page, "idle");
    client.connect();
    await shows(page, "online");
  },

  async "react: useRoom is in a room as long as somebody wants it"(context) {
    const [client, home] = [await context.online(), await context.online()];
    const name = unique("kept:1");
    let loads = 0;
    const Lines = () => {
      const [lines, setLines] = useState([]);
      const { state } = useRoom(client, name, { line: (line) => setLines([...lines, line]) }, () => (loads += 1));
      return `${state.status} ${lines};`;
    };
    const { root, ...page } = render(context, [h(Lines, { key: 1 }), h(Lines, { key: 2 })]);
    await shows(page, "joined ;joined ;");
    for (const data of ["a", "b"]) {
      await home.request("say", { room: name, data });
      await until(data, () => page.place.textContent.includes(data));
    }
    await shows(page, "joined a,b;joined a,b;");
    ok(loads >= 2, "that both load what they show");
    root.render(h(StrictMode, null, h(Lines, { key: 1 })));
    await client.request("echo");
    equal(client.room(name).state.get().status, "joined");
    root.render(null);
    await until("it left", () => client.room(name).state.get().status === "left");
  },

  async "react: useRequest asks, asks anew, and says what went wrong"(context) {
    const network = await context.network();
    const client = await context.online({ network });
    let again;
    const Answer = ({ route = "echo", value }) => {
      const asked = useRequest(client, route, value);
      again = asked.again;
      const { data, error, isLoading } = asked;
      return `${data?.session ? "somebody" : (data ?? "")} ${error?.code ?? ""} ${isLoading}`;
    };
    const { root, ...page } = render(context, h(Answer, { value: 1 }));
    await shows(page, "1  false");
    root.render(h(StrictMode, null, h(Answer, { value: 2 })));
    await shows(page, "2  false");
    const echoes = () => client.sockets.flatMap(({ sent }) => sent).filter(({ route }) => route === "echo").length;
    let before = echoes();
    again();
    await until("one more", () => echoes() > before);
    before = echoes();
    await network("reset");
    await until("one after the connection", () => echoes() > before);
    await shows(page, "2  false");
    root.render(h(StrictMode, null, h(Answer, { route: "nowhere", value: 2 })));
    await shows(page, " unknown_route false");
  },

  async "react: useRequest waits for a connection, but not where nobody wants one"(context) {
    const client = context.client();
    const Answer = () => {
      const { data, isLoading } = useRequest(client, "echo", 1);
      return `${data ?? "nothing"} ${isLoading}`;
    };
    const page = render(context, h(Answer));
    await shows(page, "nothing false");
    client.connect();
    await shows(page, "1 false");
  },
};
