// The package `ws` of Node.
import { once } from "node:events";
import { WebSocket } from "ws";

const [url, ...names] = process.argv.slice(2);
const report = (line) => console.log(JSON.stringify(line));

async function connect(at = url, protocols = ["realtime.json"], headers = {}) {
    const socket = new WebSocket(at, protocols, { headers, maxPayload: 2 ** 25 });
    const received = [];
    let wake = () => {};
    socket.on("message", (data) => {
        received.push(JSON.parse(data));
        wake();
    });
    socket.ended = new Promise((resolve) =>
        socket.on("close", (code, reason) => {
            resolve({ code, reason: reason.toString() });
            wake();
        }),
    );
    socket.next = async () => {
        while (!received.length) {
            if (socket.readyState === WebSocket.CLOSED) throw new Error("closed");
            await new Promise((resolve) => (wake = resolve));
        }
        return received.shift();
    };
    socket.tell = (route, data) => socket.send(JSON.stringify({ route, data }));
    socket.request = async (route, data) => {
        socket.send(JSON.stringify({ id: "1", route, data }));
        return (await socket.next()).data;
    };
    await new Promise((resolve, reject) => {
        socket.once("open", resolve);
        socket.once("error", reject);
        socket.once("unexpected-response", (request, { statusCode }) => {
            request.destroy();
            reject({ status: statusCode });
        });
    });
    return socket;
}

async function identity(at, protocols, headers) {
    try {
        const socket = await connect(at, protocols, headers);
        const { identity } = await socket.request("who");
        socket.close();
        return identity;
    } catch (error) {
        return error.status ?? String(error);
    }
}

const cases = {
    async upgrade(socket) {
        return { protocol: socket.protocol, echo: await socket.request("echo", "hello ☃") };
    },
    async deflate(socket) {
        const text = Array.from({ length: 150_000 }, (_, number) => number).join(" ");
        const echo = await socket.request("echo", text);
        return { extension: socket.extensions, echoed: echo === text && echo.length };
    },
    async large(socket) {
        const sizes = [];
        for (const size of [1_000_000, 16_000_000]) {
            sizes.push((await socket.request("echo", "x".repeat(size))).length);
        }
        return sizes;
    },
    async "too-large"(socket) {
        socket.tell("echo", "x".repeat(18_000_000));
        return await socket.ended;
    },
    async fragments(socket) {
        socket.send('{"id":"1","route":"echo",', { fin: false });
        socket.send('"data":"in th', { fin: false });
        socket.ping();
        socket.send('ree parts"}', { fin: true });
        return (await socket.next()).data;
    },
    async pushes(socket) {
        socket.tell("push", 100);
        let inOrder = 0;
        while (inOrder < 100 && (await socket.next()).data === inOrder) inOrder++;
        return inOrder;
    },
    async idle(socket) {
        await new Promise((resolve) => setTimeout(resolve, 4000));
        return await socket.request("echo", "still here");
    },
    async ping(socket) {
        const pong = once(socket, "pong");
        socket.ping("are you there");
        return (await pong)[0].toString();
    },
    async "server-close"(socket) {
        socket.tell("close", { code: 4003, reason: "not today" });
        return await socket.ended;
    },
    async "client-close"(first) {
        first.close(1000);
        const ends = [await first.ended];
        const second = await connect();
        second.close(4001, "bye");
        return [...ends, await second.ended];
    },
    async "last-words"(socket) {
        for (let number = 0; number < 40; number++) socket.tell("note", number);
        socket.close(1000);
        return await socket.ended;
    },
    async tokens() {
        const at = `${url}/private`;
        return {
            wrong: await identity(`${at}?token=wrong`),
            query: await identity(`${at}?token=let-me-in`),
            subprotocol: await identity(at, ["realtime.json", "token.let-me-in"]),
            header: await identity(at, undefined, { authorization: "Bearer let-me-in" }),
            cookie: await identity(at, undefined, { cookie: "token=let-me-in" }),
        };
    },
    async address(socket) {
        return (await socket.request("who")).address;
    },
    async forged() {
        const socket = await connect(url, undefined, { "x-forwarded-for": "203.0.113.9" });
        const { address } = await socket.request("who");
        socket.close();
        return address;
    },
    async shutdown(socket) {
        report({ ready: "shutdown" });
        return await socket.ended;
    },
};

for (const name of names) {
    if (!cases[name]) {
        report({ case: name, unable: true });
        continue;
    }
    try {
        const socket = await connect();
        report({ case: name, saw: await cases[name](socket) });
        socket.close();
    } catch (error) {
        report({ case: name, error: error.message ?? JSON.stringify(error) });
    }
}
report({ done: true });
