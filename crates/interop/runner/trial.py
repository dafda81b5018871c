"""One client against one server, directly or behind a proxy: a dict of what failed and what not."""

import json
import shutil
from dataclasses import dataclass

import tools
from clients import Client
from process import Deadline, Process, free_port
from proxies import Proxy
from verdict import CASES, DEFLATE_CASES, HEARD, judge

OK, UNABLE = "ok", "unable"


@dataclass(frozen=True)
class Trial:
    server: str  # "ours" or "control"
    client: Client
    proxy: Proxy | None = None
    # Whether the proxy shows the server another `Host`, and the server lets these pages in.
    rewritten: bool = False
    patterns: bool = False
    # Whether the server compresses, and the client offers it.
    deflate: bool = False

    @property
    def name(self):
        parts = [self.server, self.client.name]
        parts += [f"behind {self.proxy.name}"] if self.proxy else []
        parts += ["host rewritten"] if self.rewritten else []
        parts += ["with origin_patterns"] if self.patterns else []
        parts += ["with deflate"] if self.deflate else []
        return ", ".join(parts)

    @property
    def cases(self):
        if self.rewritten:
            return ["upgrade"]
        if self.deflate:
            return DEFLATE_CASES
        if self.proxy and not self.client.browser:
            return [*CASES[:-1], "forged", CASES[-1]]
        return CASES

    def run(self):
        """What became of each case: OK, UNABLE, or what is wrong."""
        folder = tools.TARGET / "run" / "".join(c if c.isalnum() else "-" for c in self.name)
        shutil.rmtree(folder, ignore_errors=True)
        host = "[::1]" if self.proxy else "127.0.0.1"
        port = free_port(host.strip("[]"))
        public = free_port() if self.proxy else port
        running, results = [], {}
        try:
            server = start_server(self, folder / "server", f"{host}:{port}", public)
            running.append(server)
            server.wait_for("listening")
            if self.proxy:
                at = folder.parent / (folder.name + "-proxy")
                shutil.rmtree(at, ignore_errors=True)
                proxy = self.proxy.start(at, f"{host}:{port}", public, self.rewritten)
                running.append(proxy)
            for text in client_lines(self, folder / "client", public):
                line = json.loads(text)
                if "ready" in line:
                    server.terminate()
                elif "case" in line:
                    results[line["case"]] = self.outcome(line, server)
            if "shutdown" in self.cases and self.ended(server):
                results.setdefault("shutdown", self.ended(server))
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            return {case: results.get(case, why) for case in self.cases}
        finally:
            for process in reversed(running):
                process.stop()
        return {case: results.get(case, "the client didn't report it") for case in self.cases}

    def outcome(self, line, server):
        if line.get("unable"):
            return UNABLE
        if wrong := judge(line):
            return wrong
        try:
            for text in HEARD.get(line["case"], []):
                server.wait_for(text, 5)
        except Deadline as error:
            return f"the server didn't see it: {error}"
        return OK

    def ended(self, server):
        """None if the server ended by itself and well, else what is wrong."""
        code = server.wait()
        return None if code == 0 else f"the server ended with {code}"


def start_server(trial, folder, listen, public):
    if trial.server == "control":
        command = [tools.python(), tools.CRATE / "servers/control.py", "--listen", listen]
        return Process(command, folder)
    command = [tools.server(), "--listen", listen]
    command += ["--trusted-proxy", "::1"] if trial.proxy else []
    command += ["--origin-pattern", f"http://127.0.0.1:{public}"] if trial.patterns else []
    command += ["--deflate"] if trial.deflate else []
    return Process(command, folder)


def client_lines(trial, folder, port, seconds=90):
    client, at = trial.client, f"127.0.0.1:{port}"
    if client.browser:
        yield from client.browser(folder, f"http://{at}/page.html", trial.cases, seconds)
        return
    process = Process([*client.command(), f"ws://{at}/ws", *trial.cases], folder)
    try:
        for line in process.lines(seconds):
            if line.startswith("{"):
                yield line
            if '"done"' in line:
                return
    finally:
        process.stop()
