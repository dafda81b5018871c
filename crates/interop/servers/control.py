"""The other side of the bench: the package `websockets` does what `src/main.rs` does.

What fails against both is the client or the proxy; what fails against one of them is that one.
"""

import argparse
import asyncio
import http
import json
import signal
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Response

TOKEN = "let-me-in"
CLIENTS = Path(__file__).parent.parent / "clients"
PAGES = {"/page.html": "text/html; charset=utf-8", "/browser-api.mjs": "text/javascript"}


def tokens(request):
    """What a request shows as tokens, in each of the four places."""
    cookie = SimpleCookie(request.headers.get("Cookie", "")).get("token")
    offered = request.headers.get("Sec-WebSocket-Protocol", "").split(",")
    return [
        *parse_qs(urlsplit(request.path).query).get("token", []),
        *([cookie.value] if cookie else []),
        *(name.strip().removeprefix("token.") for name in offered if ".let" in name),
        request.headers.get("Authorization", "").removeprefix("Bearer "),
    ]


def admit(connection, request):
    path = urlsplit(request.path).path
    if path in PAGES:
        headers = Headers({"Content-Type": PAGES[path], "Connection": "close"})
        body = (CLIENTS / path[1:]).read_bytes()
        headers["Content-Length"] = str(len(body))
        return Response(200, "OK", headers, body)
    if path == "/ws/private" and TOKEN not in tokens(request):
        return connection.respond(http.HTTPStatus.UNAUTHORIZED, "no token\n")
    return None


def who(socket):
    # Each proxy appends to the line that came, or adds one.
    forwarded = ",".join(socket.request.headers.get_all("X-Forwarded-For"))
    address = forwarded.split(",")[-1].strip() or socket.remote_address[0]
    private = urlsplit(socket.request.path).path == "/ws/private"
    return {"address": address, "identity": "ann" if private else "anonymous"}


async def session(socket):
    try:
        async for text in socket:
            message = json.loads(text)
            route, data = message["route"], message.get("data")
            if route == "close":
                await socket.close(data["code"], data["reason"])
            elif route == "note":
                print(f"noted {data}.", flush=True)
            elif route == "push":
                for number in range(data):
                    await socket.send(json.dumps({"route": "pushed", "data": number}))
            else:
                reply = data if route == "echo" else who(socket)
                await socket.send(json.dumps({"id": "1", "route": route, "data": reply}))
    except ConnectionClosed:
        pass
    print(f"closed {socket.close_code} {json.dumps(socket.close_reason)}", flush=True)


def select_subprotocol(_, offered):
    return "realtime.json" if "realtime.json" in offered else None


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", default="127.0.0.1:0")
    host, port = parser.parse_known_args()[0].listen.rsplit(":", 1)
    async with serve(
        session, host.strip("[]"), int(port), process_request=admit,
        select_subprotocol=select_subprotocol, compression=None, max_size=17 << 20,
        ping_interval=0.5, ping_timeout=2,
    ) as server:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.close)
        print(f"listening on http://{host}:{server.sockets[0].getsockname()[1]}", flush=True)
        await server.wait_closed()


asyncio.run(main())
