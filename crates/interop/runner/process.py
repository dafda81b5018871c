"""Programs that the bench starts: what they print, with deadlines, and their end."""

import os
import queue
import signal
import socket
import subprocess
import threading
import time


class Deadline(Exception):
    """Something didn't happen in its time."""


class Process:
    """A program in a group of its own, so that its children end with it."""

    running = set()

    def __init__(self, command, folder, environment=None):
        folder.mkdir(parents=True, exist_ok=True)
        self.name = os.path.basename(str(command[0]))
        self.log = folder / f"{self.name}.log"
        self.printed, self.unread = [], queue.Queue()
        self.child = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log.open("w"),
            text=True, start_new_session=True, cwd=folder,
            env=os.environ | {"HOME": str(folder)} | (environment or {}),
        )
        Process.running.add(self)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.child.stdout:
            self.printed.append(line.rstrip("\n"))
            self.unread.put(line)
        self.unread.put(None)

    def lines(self, seconds):
        """What it prints, until it ends; fails when that takes too long."""
        end = time.monotonic() + seconds
        while True:
            try:
                line = self.unread.get(timeout=max(0, end - time.monotonic()))
            except queue.Empty:
                raise Deadline(f"{self.name} wasn't done within {seconds} s") from None
            if line is None:
                return
            yield line

    def wait_for(self, text, seconds=15):
        """Waits until it has printed a line with this."""
        until(lambda: any(text in line for line in self.printed), seconds,
              f"{self.name} to print {text!r}; it printed {self.printed[-5:]} ({self.log})",
              self.child)

    def terminate(self):
        self.child.send_signal(signal.SIGTERM)

    def wait(self, seconds=15):
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Deadline(f"{self.name} ran on for {seconds} s after SIGTERM") from None

    def stop(self):
        """Ends it and its children, whatever they do."""
        for each in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.child.pid, each)
                self.child.wait(5)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue
        Process.running.discard(self)


def end_with_us(number, _frame):
    """On a signal: nothing that was started runs on."""
    for process in list(Process.running):
        try:
            os.killpg(process.child.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    os._exit(128 + number)


def until(condition, seconds, what, child=None):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise Deadline(f"waited {seconds} s for {what}")
        if child is not None and child.poll() is not None and not condition():
            raise Deadline(f"ended with {child.returncode} before {what}")
        time.sleep(0.02)


def free_port(host="127.0.0.1"):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


def wait_for_port(port, process, host="127.0.0.1"):
    def listens():
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex((host, port)) == 0
    until(listens, 30, f"{process.name} to listen on {port} ({process.log})", process.child)
