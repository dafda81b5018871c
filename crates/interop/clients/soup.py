"""libsoup, the client of GNOME, with the distribution's Python."""

import json

import gi

gi.require_version("Soup", "3.0")
from gi.repository import GLib, Soup

import report


class Socket:
    """A connection that is awaited by turning GLib's loop."""

    def __init__(self, url, protocols=("realtime.json",), headers=()):
        self.status, self.received, self.connection, self.error = None, [], None, None
        request = Soup.Message.new("GET", url)
        for name, value in headers:
            request.get_request_headers().append(name, value)
        self.session = Soup.Session()
        self.session.websocket_connect_async(
            request, None, list(protocols), GLib.PRIORITY_DEFAULT, None, self.connected
        )
        until(lambda: self.connection or self.error)
        self.status = int(request.get_status())
        if self.error:
            raise ConnectionError(f"{self.status} {self.error}")

    def connected(self, session, result):
        try:
            self.connection = session.websocket_connect_finish(result)
        except GLib.Error as error:
            self.error = error.message
            return
        self.connection.set_max_incoming_payload_size(2**25)
        self.connection.connect("message", lambda _, kind, data: self.received.append(data))

    def tell(self, route, data=None, id=None):
        self.connection.send_text(report.message(route, data, id))

    def next(self):
        until(lambda: self.received or self.is_closed())
        return json.loads(self.received.pop(0).get_data())["data"]

    def request(self, route, data=None):
        self.tell(route, data, id="1")
        return self.next()

    def is_closed(self):
        return self.connection.get_state() == Soup.WebsocketState.CLOSED

    def ended(self):
        until(self.is_closed)
        return {
            "code": int(self.connection.get_close_code()),
            "reason": self.connection.get_close_data() or "",
        }


def until(condition, seconds=30):
    over = []
    GLib.timeout_add_seconds(seconds, lambda: over.append(True))
    while not condition():
        if over:
            raise TimeoutError(f"nothing for {seconds} s")
        GLib.MainContext.default().iteration(True)


def identity(url, protocols=("realtime.json",), headers=()):
    try:
        return Socket(url, protocols, headers).request("who")["identity"]
    except ConnectionError as error:
        return int(str(error).split()[0])


def upgrade(url):
    socket = Socket(url)
    echo = socket.request("echo", "hello ☃")
    return {"protocol": socket.connection.get_protocol(), "echo": echo}


def large(url):
    return [len(Socket(url).request("echo", "x" * n)) for n in (1_000_000, 16_000_000)]


def too_large(url):
    socket = Socket(url)
    socket.tell("echo", "x" * 18_000_000)
    return socket.ended()


def pushes(url):
    socket = Socket(url)
    socket.tell("push", 100)
    numbers = [socket.next() for _ in range(100)]
    return len(numbers) if numbers == list(range(100)) else numbers


def idle(url):
    socket, over = Socket(url), []
    GLib.timeout_add(4000, lambda: over.append(True))
    until(lambda: over or socket.is_closed())
    return socket.request("echo", "still here")


def server_close(url):
    socket = Socket(url)
    socket.tell("close", {"code": 4003, "reason": "not today"})
    return socket.ended()


def client_close(url):
    ends = []
    for code, reason in ((1000, None), (4001, "bye")):
        socket = Socket(url)
        socket.connection.close(code, reason)
        ends.append(socket.ended())
    return ends


def last_words(url):
    socket = Socket(url)
    for number in range(40):
        socket.tell("note", number)
    socket.connection.close(1000, None)
    return socket.ended()


def tokens(url):
    at, protocols = url + "/private", ("realtime.json", "token.let-me-in")
    return {
        "wrong": identity(at + "?token=wrong"),
        "query": identity(at + "?token=let-me-in"),
        "subprotocol": identity(at, protocols),
        "header": identity(at, headers=[("Authorization", "Bearer let-me-in")]),
        "cookie": identity(at, headers=[("Cookie", "token=let-me-in")]),
    }


def address(url):
    return Socket(url).request("who")["address"]


def shutdown(url):
    socket = Socket(url)
    report.line(ready="shutdown")
    return socket.ended()


report.run(report.functions(__name__))
