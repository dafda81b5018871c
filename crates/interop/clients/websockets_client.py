"""The package `websockets`, its asyncio client."""

import asyncio
import json

import websockets
from websockets.asyncio.client import connect as dial

import report


def connect(url, protocols=("realtime.json",), headers=None):
    return dial(url, subprotocols=list(protocols), additional_headers=headers, max_size=2**25)


async def request(socket, route, data=None):
    await socket.send(report.message(route, data, id="1"))
    return json.loads(await socket.recv())["data"]


async def ended(socket):
    await socket.wait_closed()
    return {"code": socket.close_code, "reason": socket.close_reason}


async def identity(url, protocols=("realtime.json",), headers=None):
    try:
        async with connect(url, protocols, headers) as socket:
            return (await request(socket, "who"))["identity"]
    except websockets.InvalidStatus as error:
        return error.response.status_code


async def upgrade(url):
    async with connect(url) as socket:
        return {"protocol": socket.subprotocol, "echo": await request(socket, "echo", "hello ☃")}


async def deflate(url):
    async with connect(url) as socket:
        text = " ".join(map(str, range(150_000)))
        echo = await request(socket, "echo", text)
        [extension] = socket.protocol.extensions
        return {"extension": extension.name, "echoed": echo == text and len(echo)}


async def large(url):
    async with connect(url) as socket:
        return [len(await request(socket, "echo", "x" * n)) for n in (1_000_000, 16_000_000)]


async def too_large(url):
    async with connect(url) as socket:
        try:
            await socket.send(report.message("echo", "x" * 18_000_000))
        except websockets.ConnectionClosed:
            pass
        return await ended(socket)


async def fragments(url):
    async with connect(url) as socket:
        await socket.send(['{"id":"1","route":"echo",', '"data":"in th', 'ree parts"}'])
        return json.loads(await socket.recv())["data"]


async def pushes(url):
    async with connect(url) as socket:
        await socket.send(report.message("push", 100))
        numbers = [json.loads(await socket.recv())["data"] for _ in range(100)]
        return len(numbers) if numbers == list(range(100)) else numbers


async def idle(url):
    async with connect(url) as socket:
        await asyncio.sleep(4)
        return await request(socket, "echo", "still here")


async def ping(url):
    async with connect(url) as socket:
        await (await socket.ping("are you there"))
        return "are you there"


async def server_close(url):
    async with connect(url) as socket:
        await socket.send(report.message("close", {"code": 4003, "reason": "not today"}))
        return await ended(socket)


async def client_close(url):
    ends = []
    for code, reason in ((1000, ""), (4001, "bye")):
        async with connect(url) as socket:
            await socket.close(code, reason)
            ends.append(await ended(socket))
    return ends


async def last_words(url):
    async with connect(url) as socket:
        for number in range(40):
            await socket.send(report.message("note", number))
        await socket.close(1000)
        return await ended(socket)


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


async def forged(url):
    async with connect(url, headers={"X-Forwarded-For": "203.0.113.9"}) as socket:
        return (await request(socket, "who"))["address"]


async def shutdown(url):
    async with connect(url) as socket:
        report.line(ready="shutdown")
        return await ended(socket)


report.run({
    name: lambda url, case=case: asyncio.run(case(url))
    for name, case in report.functions(__name__).items()
})
