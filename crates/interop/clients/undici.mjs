// undici, the WebSocket that is built into Node: the browser's API, and more of its own.
import { WebSocket, ping } from "undici";
import diagnostics from "node:diagnostics_channel";
import { run } from "./browser-api.mjs";

const [url, ...cases] = process.argv.slice(2);
const report = (line) => console.log(JSON.stringify(line));

const more = {
    async ping(peer, { url }, connect) {
        const socket = await connect(peer, url);
        const pong = new Promise((resolve) =>
            diagnostics.channel("undici:websocket:pong").subscribe(({ payload }) =>
                resolve(payload.toString()),
            ),
        );
        ping(socket, Buffer.from("are you there"));
        const saw = await pong;
        socket.close();
        return saw;
    },
};

await run({
    WebSocket,
    url,
    cases,
    report,
    more,
    withHeader: (token) => ({ headers: { authorization: `Bearer ${token}` } }),
    withCookie: (token) => ({ headers: { cookie: `token=${token}` } }),
});
