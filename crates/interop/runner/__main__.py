"""Real clients and real proxies against our server and, as a control, another one.

usage: python3 crates/interop/runner [--require] [--write] [--only TEXT]
"""

import argparse
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import report
import tools
from clients import CLIENTS
from proxies import PROXIES
from process import end_with_us, free_port
from trial import OK, UNABLE, Trial

# Who is tried behind each proxy.
BEHIND = ["Chromium", "Firefox", "ws"]
# Who offers compression.
DEFLATING = ["Chromium", "Firefox", "ws", "undici", "websockets", "aiohttp"]
INSTALL = "on Debian: apt-get install $(cat crates/interop/packages.txt)"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--require", action="store_true", help="fail where something is missing")
    parser.add_argument("--write", action="store_true", help="write docs/interop.md")
    parser.add_argument("--only", default="", help="only trials with this in their names")
    parser.add_argument("--jobs", type=int, default=3, help="how many trials at once")
    options = parser.parse_args()
    if options.write and options.only:
        parser.error("expected --write alone: the table is of all trials; got --only as well")
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, end_with_us)
    began = time.monotonic()
    tools.server(), tools.python()
    clients, proxies, missing = available()
    trials = [trial for trial in plan(clients, proxies) if options.only in trial.name]
    with ThreadPoolExecutor(options.jobs) as pool:
        results = dict(zip(trials, pool.map(run, trials)))
    for name, what in missing.items():
        print(f"skipped: {name}: {what} is not installed ({INSTALL})")
    failed = sum(not passed(trial, result) for trial, result in results.items())
    print(f"{len(trials)} trials, {failed} failed, {time.monotonic() - began:.0f} s")
    if options.write:
        print(f"written: {report.write(results, missing, clients, proxies)}")
    return bool(failed or not trials or (options.require and missing))


def available():
    """The clients and proxies that can run, and what the others miss."""
    missing, found = {}, []
    for each in CLIENTS:
        try:
            each.command()
            found.append(each)
        except tools.Missing as what:
            missing[each.name] = str(what)
    fronts = []
    for each in PROXIES:
        try:
            free_port("::1")
            each.need()
            fronts.append(each)
        except tools.Missing as what:
            missing[each.name] = str(what)
        except OSError:
            missing[each.name] = "IPv6 on loopback, which tells the proxy from the client,"
    return found, fronts, missing


def plan(clients, proxies):
    by_name = {client.name: client for client in clients}
    for proxy in proxies:
        for client in (by_name[name] for name in BEHIND if name in by_name):
            yield Trial("ours", client, proxy)
            yield Trial("control", client, proxy)
        if "Chromium" in by_name:
            chromium = by_name["Chromium"]
            yield Trial("ours", chromium, proxy, rewritten=True)
            yield Trial("ours", chromium, proxy, rewritten=True, patterns=True)
    for client in clients:
        yield Trial("ours", client)
        yield Trial("control", client)
        if client.name in DEFLATING:
            yield Trial("ours", client, deflate=True)


def passed(trial, result):
    """The control's failures say something about a client, and nothing about us."""
    if trial.rewritten and not trial.patterns:
        return result["upgrade"].startswith("refused")
    return trial.server == "control" or all(each in (OK, UNABLE) for each in result.values())


def run(trial):
    began = time.monotonic()
    result = trial.run()
    verdict = "ok" if passed(trial, result) else "FAILED"
    bad = [f"\n    {case}: {what}" for case, what in result.items() if what not in (OK, UNABLE)]
    print(f"{verdict:6} {trial.name} ({time.monotonic() - began:.0f} s)" + "".join(bad), flush=True)
    return result


sys.exit(main())
