"""docs/interop.md, as the last run saw it."""

import platform
from datetime import date

import tools
from trial import OK, UNABLE, Trial
from verdict import CASES, DEFLATE_CASES

HEAD = """\
# Real clients and proxies

Written by `just interop --write` on {date}, {system}. Do not edit it.

Each client did the same things against our server and, as a control, against another one (Python's `websockets` {control}). `✓ ✓` is ours, then the control; `–` is what a client can't do or doesn't show. What fails against both is the client or the proxy.

| case | what happens, and what the client must see |
| --- | --- |
| upgrade | subprotocol `realtime.json`; a text that isn't ASCII comes back |
| large | 1 MB and 16 MB come back |
| too-large | 18 MB where 17 MiB are allowed: closed with 1009, which is seen in the middle of the upload |
| fragments | one message in several frames, with a ping between them where the client can |
| pushes | 100 messages come by themselves, in order |
| idle | quiet for 4 s where the server pings every 0.5 s and gives up after 2 s more without an answer; a proxy's idle timeout is 2 s |
| ping | the client's own ping is answered |
| server-close | 4003 with a reason; where the client says so (browsers: `wasClean`) the close is clean |
| client-close | 1000, and 4001 with a reason: the server has them, and echoes the code |
| last-words | 40 messages and a close at once: the server handles all of them |
| tokens | in query, subprotocol, cookie and header; a wrong one is refused, with 401 where the client shows it |
| address | the client's own address, behind a proxy by `X-Forwarded-For`; where the client can send headers, one that it made up isn't believed |
| shutdown | SIGTERM: 1001, a clean close, and the server ends with 0 |
"""

DEFLATE = """
## With compression

Our server compresses, and the client offers it (permessage-deflate). In `deflate` it shows that it was agreed on, and 940 KB that shrink come back as they were sent; the server counts the answer as compressed.

"""

BEHIND = """
## Behind proxies

Only these are tried behind proxies: {clients}. What a proxy changes, it changes for all of them.

"""

REWRITTEN = """
## A proxy that rewrites `Host`

The recipes of [proxies](proxies.md) with the one line changed that this depends on, and a page in Chromium. Without `origin_patterns` it is refused, as a page of another origin; with the page's origin in it the session opens.

| proxy | without | with |
| --- | --- | --- |
"""


def write(results, missing, clients, proxies):
    """Writes it, and returns its path."""
    system = platform.freedesktop_os_release()["PRETTY_NAME"]
    text = HEAD.format(date=date.today(), system=system, control=tools.pinned("websockets"))
    text += "\n## Clients, directly\n\n" + header("client")
    for client in clients:
        cells = row(results, client, None)
        text += f"| {client.name} {client.version()} | {' | '.join(cells)} |\n"
    text += DEFLATE + header("client", DEFLATE_CASES)
    for client in clients:
        if result := results.get(Trial("ours", client, deflate=True)):
            cells = [mark(result[case]) for case in DEFLATE_CASES]
            text += f"| {client.name} {client.version()} | {' | '.join(cells)} |\n"
    text += BEHIND.format(clients=", ".join(behind(results, clients, proxies)))
    text += header("proxy | client")
    for proxy in proxies:
        for client in clients:
            if Trial("ours", client, proxy) in results:
                cells = row(results, client, proxy)
                text += f"| {proxy.name} {proxy.version()} | {client.name} | {' | '.join(cells)} |\n"
    text += REWRITTEN
    for trial, result in results.items():
        if trial.rewritten and not trial.patterns:
            let_in = Trial("ours", trial.client, trial.proxy, rewritten=True, patterns=True)
            with_patterns = mark(results[let_in]["upgrade"])
            text += f"| {trial.proxy.name} | {result['upgrade']} | {with_patterns} |\n"
    text += notes(results, missing)
    path = tools.ROOT / "docs/interop.md"
    path.write_text(text)
    return path


def behind(results, clients, proxies):
    """The names of those that were tried behind proxies."""
    def was_tried(client):
        return any(Trial("ours", client, proxy) in results for proxy in proxies)

    return [client.name for client in clients if was_tried(client)]


def header(first, cases=CASES):
    columns = first.split(" | ") + cases
    return f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}\n"


def row(results, client, proxy):
    """Ours and the control's, for each case."""
    pair = [results.get(Trial(server, client, proxy), {}) for server in ("ours", "control")]
    cells = []
    for case in CASES:
        marks = [mark(worst(result, case)) for result in pair]
        cells.append("–" if marks == ["–", "–"] else " ".join(marks))
    return cells


def worst(result, case):
    """A header that was made up is a part of the address."""
    if case == "address" and result.get("forged", OK) != OK:
        return result["forged"]
    return result.get(case, UNABLE)


def mark(outcome):
    return {OK: "✓", UNABLE: "–"}.get(outcome, "✗")


def notes(results, missing):
    lines = [f"- {name} wasn't tried: {what} is not installed." for name, what in missing.items()]
    for trial, result in results.items():
        if not trial.rewritten:
            lines += [
                f"- {trial.name}, {case}: {what.replace(str(tools.ROOT) + '/', '')}"
                for case, what in result.items() if what not in (OK, UNABLE)
            ]
    return "\n## What did not hold\n\n" + ("\n".join(lines) or "Nothing.") + "\n"
