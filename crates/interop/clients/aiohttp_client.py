"""The client of `aiohttp`."""

import asyncio
import sys
from contextlib import asynccontextmanager

import aiohttp

import report

# The window that is offered, where it is tried with compression.
COMPRESS = 15 if "deflate" in sys.argv else 0


@asynccontextmanager
async def connect(url, protocols=("realtime.json",), headers=None):
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(
            url, protocols=protocols, headers=headers, max_msg_size=2**25, compress=COMPRESS
        ) as socket,
    ):
        yield socket


async def request(socket, route, data=None):
    await socket.send_str(report.message(route, data, id="1"))
    return (await socket.receive_json())["data"]


async def identity(url, protocols=("realtime.json",), headers=None):
    try:
        async with connect(url, protocols, headers) as socket:
            return (await request(socket, "who"))["identity"]
    except aiohttp.WSServerHandshakeError as error:
        return error.status


async def upgrade(url):
    async with connect(url) as socket:
        return {"protocol": socket.protocol, "echo": await request(socket, "echo", "hello ☃")}


async def deflate(url):
    async with connect(url) as socket:
        text = " ".join(map(str, range(150_000)))
        echo = await request(socket, "echo", text)
        extension = "permessage-deflate" if socket.compress else None
        return {"extension": extension, "echoed": echo == text and len(echo)}


async def large(url):
    async with connect(url) as socket:
        return [len(await request(socket, "echo", "x" * n)) for n in (1_000_000, 16_000_000)]


async def too_large(url):
    async with connect(url) as socket:
        try:
            await socket.send_str(report.message("echo", "x" * 18_000_000))
        except ConnectionError:
            pass
        received = await socket.receive()
        return {"code": socket.close_code, "reason": received.extra}


async def pushes(url):
    async with connect(url) as socket:
        await socket.send_str(report.message("push", 100))
        numbers = [(await socket.receive_json())["data"] for _ in range(100)]
        return len(numbers) if numbers == list(range(100)) else numbers


async def idle(url):
    async with connect(url) as socket:
        # aiohttp answers pings only while somebody receives.
        reply = asyncio.create_task(socket.receive_json())
        await asyncio.sleep(4)
        await socket.send_str(report.message("echo", "still here", id="1"))
        return (await reply)["data"]


async def ping(url):
    # Pongs are shown only to those who answer pings themselves.
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(url, autoping=False) as socket:
            await socket.ping(b"are you there")
            while (received := await socket.receive(timeout=5)).type != aiohttp.WSMsgType.PONG:
                await socket.pong(received.data)
            return bytes(received.data).decode()


async def server_close(url):
    async with connect(url) as socket:
        await socket.send_str(report.message("close", {"code": 4003, "reason": "not today"}))
        received = await socket.receive()
        return {"code": socket.close_code, "reason": received.extra}


async def client_close(url):
    ends = []
    for code, reason in ((1000, b""), (4001, b"bye")):
        async with connect(url) as socket:
            await socket.close(code=code, message=reason)
            ends.append({"code": socket.close_code})
    return ends


async def last_words(url):
    async with connect(url) as socket:
        for number in range(40):
            await socket.send_str(report.message("note", number))
        await socket.close(code=1000)
        return {"code": socket.close_code}


async def tokens(url):
    at, protocols = url + "/private", ("realtime.json", "token.let-me-in")
    return {
        "wrong": await identity(at + "?token=wrong"),
        "query": await identity(at + "?token=let-me-in"),
        "subprotocol": await identity(at, protocols),
        "header": await identity(at, headers={"Authorization": "Bearer let-me-in"}),
        "cookie": await identity(at, headers={"Cookie": "token=let-me-in"}),
    }


async def address(url):
    async with connect(url) as socket:
        return (await request(socket, "who"))["address"]


async def shutdown(url):
    async with connect(url) as socket:
        report.line(ready="shutdown")
        received = await socket.receive()
        return {"code": socket.close_code, "reason": received.extra}


report.run({
    name: lambda url, case=case: asyncio.run(case(url))
    for name, case in report.functions(__name__).items()
})
