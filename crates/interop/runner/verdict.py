"""What a client must see in each case. The clients only say what they saw."""

# With compression: what is as large as `large` and nothing but one letter would be taken for a bomb.
DEFLATE_CASES = [
    "upgrade", "deflate", "fragments", "pushes", "ping",
    "server-close", "client-close", "last-words", "shutdown",
]

# Every case, in the order in which a client runs them; `shutdown` ends the server.
CASES = [
    "upgrade", "large", "too-large", "fragments", "pushes", "idle", "ping",
    "server-close", "client-close", "last-words", "tokens", "address", "shutdown",
]

EXPECTED = {
    "upgrade": {"protocol": "realtime.json", "echo": "hello ☃"},
    "large": [1_000_000, 16_000_000],
    "too-large": {"code": 1009},
    "deflate": {"extension": "permessage-deflate", "echoed": 938_889},
    "fragments": "in three parts",
    "pushes": 100,
    "idle": "still here",
    "ping": "are you there",
    "server-close": {"code": 4003, "reason": "not today"},
    "client-close": [{"code": 1000}, {"code": 4001}],
    "last-words": {"code": 1000},
    "address": "127.0.0.1",
    "forged": "127.0.0.1",
    "shutdown": {"code": 1001},
}

# What the server must have heard in a case.
HEARD = {
    # The first message that was long enough to be compressed.
    "deflate": ["compressed 1"],
    "last-words": [f"noted {number}." for number in range(40)],
    "client-close": ['closed 1000 ""', 'closed 4001 "bye"'],
}


def judge(line):
    """None where the client saw what it must, else what is wrong."""
    if "error" in line:
        return line["error"]
    case, saw = line["case"], line["saw"]
    if case == "tokens":
        wrong = saw.get("wrong")
        bad = {place: who for place, who in saw.items() if place != "wrong" and who != "ann"}
        if wrong not in (401, "refused") or bad:
            return f"saw {saw}"
        return None
    if not matches(EXPECTED[case], saw):
        return f"saw {saw}, expected {EXPECTED[case]}"
    return None


def matches(expected, saw):
    """Everything that is expected is in what was seen, and nobody calls a close unclean."""
    if isinstance(expected, dict):
        named = isinstance(saw, dict) and all(saw.get(k) == v for k, v in expected.items())
        return named and saw.get("clean", True)
    if isinstance(expected, list) and isinstance(saw, list):
        return len(expected) == len(saw) and all(map(matches, expected, saw))
    return expected == saw
