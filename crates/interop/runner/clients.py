"""Who connects: how each client is started, and its version."""

from dataclasses import dataclass
from typing import Callable

import tools
from browsers import chromium, firefox
from tools import CRATE, pinned

SCRIPTS = CRATE / "clients"


@dataclass(frozen=True)
class Client:
    name: str
    # Prepares it and returns the command, to which the URL and the cases are appended.
    command: Callable[[], list]
    version: Callable[[], str]
    # Starts it with (folder, url, cases, page) and yields its lines; None: the command does.
    browser: Callable | None = None


def node(script):
    return lambda: [tools.program("node"), tools.node() / script]


def python(script):
    return lambda: [tools.python(), SCRIPTS / script]


def soup_version():
    code = (
        "import gi; gi.require_version('Soup', '3.0'); from gi.repository import Soup as s; "
        "print(s.get_major_version(), s.get_minor_version(), s.get_micro_version(), sep='.')"
    )
    return tools.run([tools.soup(), "-c", code])


def go_library(package):
    return lambda: tools.debian(package).split("-")[0]


GORILLA, NHOOYR = "github.com/gorilla/websocket", "nhooyr.io/websocket"

CLIENTS = [
    Client("Chromium", chromium.find, chromium.version, chromium.lines),
    Client("Firefox", firefox.find, firefox.version, firefox.lines),
    Client("ws", node("ws.mjs"), lambda: pinned("ws")),
    Client("undici", node("undici.mjs"), lambda: pinned("undici")),
    Client("websockets", python("websockets_client.py"), lambda: pinned("websockets")),
    Client("aiohttp", python("aiohttp_client.py"), lambda: pinned("aiohttp")),
    Client("websocket-client", python("websocket_client.py"), lambda: pinned("websocket-client")),
    Client("Java HttpClient", lambda: [tools.program("java"), "-cp", tools.java(), "Java"],
           tools.first_version(["java"])),
    Client("gorilla", lambda: [tools.go("gorilla", GORILLA)],
           go_library("golang-github-gorilla-websocket-dev")),
    Client("nhooyr", lambda: [tools.go("nhooyr", NHOOYR)],
           go_library("golang-nhooyr-websocket-dev")),
    Client("libsoup", lambda: [tools.soup(), SCRIPTS / "soup.py"], soup_version),
]
