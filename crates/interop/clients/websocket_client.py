"""The package `websocket-client`, which is synchronous."""

import json
import struct
from time import monotonic

from websocket import ABNF, WebSocketBadStatusException, WebSocketException, create_connection

import report


def connect(url, protocols=("realtime.json",), **options):
    return create_connection(url, subprotocols=protocols, timeout=30, **options)


def request(socket, route, data=None):
    socket.send(report.message(route, data, id="1"))
    return json.loads(socket.recv())["data"]


def ended(socket):
    """It answers a close frame by itself, and shows what was in it."""
    opcode, payload = socket.recv_data()
    while opcode != ABNF.OPCODE_CLOSE:
        opcode, payload = socket.recv_data()
    return {"code": struct.unpack("!H", payload[:2])[0], "reason": payload[2:].decode()}


def identity(url, protocols=("realtime.json",), **options):
    try:
        socket = connect(url, protocols, **options)
    except WebSocketBadStatusException as error:
        return error.status_code
    who = request(socket, "who")["identity"]
    socket.close()
    return who


def with_socket(case):
    def connected(url):
        socket = connect(url)
        try:
            return case(socket)
        finally:
            socket.close()
    return connected


@with_socket
def upgrade(socket):
    return {"protocol": socket.subprotocol, "echo": request(socket, "echo", "hello ☃")}


@with_socket
def large(socket):
    return [len(request(socket, "echo", "x" * n)) for n in (1_000_000, 16_000_000)]


@with_socket
def too_large(socket):
    try:
        socket.send(report.message("echo", "x" * 18_000_000))
    except (ConnectionError, WebSocketException):
        pass
    return ended(socket)


@with_socket
def fragments(socket):
    first, last = '{"id":"1","route":"echo",', 'ree parts"}'
    socket.send_frame(ABNF.create_frame(first, ABNF.OPCODE_TEXT, fin=0))
    socket.send_frame(ABNF.create_frame('"data":"in th', ABNF.OPCODE_CONT, fin=0))
    socket.ping()
    socket.send_frame(ABNF.create_frame(last, ABNF.OPCODE_CONT, fin=1))
    return json.loads(socket.recv())["data"]


@with_socket
def pushes(socket):
    socket.send(report.message("push", 100))
    numbers = [json.loads(socket.recv())["data"] for _ in range(100)]
    return len(numbers) if numbers == list(range(100)) else numbers


@with_socket
def idle(socket):
    # It answers pings only while somebody receives.
    end = monotonic() + 4
    while (left := end - monotonic()) > 0:
        socket.settimeout(left)
        try:
            socket.recv_data(control_frame=True)
        except TimeoutError:
            break
        except Exception as error:
            if "timed out" not in str(error):
                raise
    socket.settimeout(30)
    return request(socket, "echo", "still here")


@with_socket
def ping(socket):
    socket.ping("are you there")
    while True:
        opcode, payload = socket.recv_data(control_frame=True)
        if opcode == ABNF.OPCODE_PONG:
            return payload.decode()


@with_socket
def server_close(socket):
    socket.send(report.message("close", {"code": 4003, "reason": "not today"}))
    return ended(socket)


def client_close(url):
    ends = []
    for code, reason in ((1000, b""), (4001, b"bye")):
        socket = connect(url)
        socket.send_close(code, reason)
        ends.append(ended(socket))
        socket.shutdown()
    return ends


@with_socket
def last_words(socket):
    for number in range(40):
        socket.send(report.message("note", number))
    socket.send_close(1000)
    return ended(socket)


def tokens(url):
    at, protocols = url + "/private", ("realtime.json", "token.let-me-in")
    return {
        "wrong": identity(at + "?token=wrong"),
        "query": identity(at + "?token=let-me-in"),
        "subprotocol": identity(at, protocols),
        "header": identity(at, header={"Authorization": "Bearer let-me-in"}),
        "cookie": identity(at, cookie="token=let-me-in"),
    }


@with_socket
def address(socket):
    return request(socket, "who")["address"]


@with_socket
def shutdown(socket):
    report.line(ready="shutdown")
    return ended(socket)


report.run(report.functions(__name__))
