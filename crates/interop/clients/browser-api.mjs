// The cases for everything that has a browser's `WebSocket`: Chromium, Firefox, and undici in Node.
// README.md says what each of them sees.

/** A socket with what came, to be awaited in order. */
function connect({ WebSocket }, url, protocols = ["realtime.json"], options = {}) {
    const socket = Object.keys(options).length
        ? new WebSocket(url, { protocols, ...options })
        : new WebSocket(url, protocols);
    const waiting = [];
    const received = [];
    socket.onmessage = ({ data }) => {
        const message = JSON.parse(data);
        waiting.length ? waiting.shift().resolve(message) : received.push(message);
    };
    socket.ended = new Promise((resolve) => {
        socket.onclose = ({ code, reason, wasClean }) => {
            resolve({ code, reason, clean: wasClean });
            for (const { reject } of waiting) reject(new Error(`closed with ${code} ${reason}`));
        };
    });
    socket.next = () =>
        received.length
            ? Promise.resolve(received.shift())
            : new Promise((resolve, reject) => waiting.push({ resolve, reject }));
    socket.tell = (route, data) => socket.send(JSON.stringify({ route, data }));
    socket.request = async (route, data) => {
        socket.send(JSON.stringify({ id: "1", route, data }));
        return (await socket.next()).data;
    };
    return new Promise((resolve, reject) => {
        socket.onopen = () => resolve(socket);
        socket.ended.then(({ code }) => reject(new Error(`refused with ${code}`)));
    });
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Who the server says that one is, or what became of the wrong token. */
async function identity(peer, url, protocols, options) {
    try {
        const socket = await connect(peer, url, protocols, options);
        const { identity } = await socket.request("who");
        socket.close();
        return identity;
    } catch {
        return "refused";
    }
}

const cases = {
    async upgrade(peer, { url }) {
        const socket = await connect(peer, url);
        const echo = await socket.request("echo", "hello ☃");
        socket.close();
        return { protocol: socket.protocol, echo };
    },

    async deflate(peer, { url }) {
        const socket = await connect(peer, url);
        const text = Array.from({ length: 150_000 }, (_, number) => number).join(" ");
        const echo = await socket.request("echo", text);
        socket.close();
        const [extension] = socket.extensions.split(";");
        return { extension, echoed: echo === text && echo.length };
    },

    async large(peer, { url }) {
        const socket = await connect(peer, url);
        const sizes = [];
        for (const size of [1_000_000, 16_000_000]) {
            sizes.push((await socket.request("echo", "x".repeat(size))).length);
        }
        socket.close();
        return sizes;
    },

    async "too-large"(peer, { url }) {
        const socket = await connect(peer, url);
        socket.tell("echo", "x".repeat(18_000_000));
        return await socket.ended;
    },

    async pushes(peer, { url }) {
        const socket = await connect(peer, url);
        socket.tell("push", 100);
        let inOrder = 0;
        while (inOrder < 100 && (await socket.next()).data === inOrder) inOrder++;
        socket.close();
        return inOrder;
    },

    async idle(peer, { url }) {
        const socket = await connect(peer, url);
        await sleep(4000);
        const echo = await socket.request("echo", "still here");
        socket.close();
        return echo;
    },

    async "server-close"(peer, { url }) {
        const socket = await connect(peer, url);
        socket.tell("close", { code: 4003, reason: "not today" });
        return await socket.ended;
    },

    async "client-close"(peer, { url }) {
        const ends = [];
        for (const [code, reason] of [[1000, ""], [4001, "bye"]]) {
            const socket = await connect(peer, url);
            socket.close(code, reason);
            ends.push(await socket.ended);
        }
        return ends;
    },

    async "last-words"(peer, { url }) {
        const socket = await connect(peer, url);
        for (let number = 0; number < 40; number++) socket.tell("note", number);
        socket.close(1000);
        return await socket.ended;
    },

    async tokens(peer, { url, withCookie, withHeader }) {
        const at = `${url}/private`;
        const saw = { wrong: await identity(peer, `${at}?token=wrong`) };
        saw.query = await identity(peer, `${at}?token=let-me-in`);
        saw.subprotocol = await identity(peer, at, ["realtime.json", "token.let-me-in"]);
        if (withHeader) saw.header = await identity(peer, at, undefined, withHeader("let-me-in"));
        saw.cookie = await identity(peer, at, undefined, withCookie("let-me-in"));
        return saw;
    },

    async address(peer, { url }) {
        const socket = await connect(peer, url);
        const { address } = await socket.request("who");
        socket.close();
        return address;
    },

    async shutdown(peer, { url, report }) {
        const socket = await connect(peer, url);
        await report({ ready: "shutdown" });
        return await socket.ended;
    },
};

/** Runs these cases, and reports what each saw. `more` are those that not every peer can run. */
export async function run({ cases: names, report, more = {}, ...how }) {
    const all = { ...cases, ...more };
    for (const name of names) {
        if (!all[name]) {
            await report({ case: name, unable: true });
            continue;
        }
        try {
            await report({ case: name, saw: await all[name](how, { ...how, report }, connect) });
        } catch (error) {
            await report({ case: name, error: String(error.message ?? error) });
        }
    }
    await report({ done: true });
}
