"""Browsers without a screen: they open a page, which sends what it sees by HTTP.

Nothing but the bench is reached: every other name and address is cut off.
"""

import queue
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlencode

import tools
from process import Deadline, Process

CHROMIUM = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]

# A proxy that isn't there for everything that isn't the bench.
FIREFOX = """
user_pref("network.proxy.type", 1);
user_pref("network.proxy.http", "127.0.0.1");
user_pref("network.proxy.http_port", 9);
user_pref("network.proxy.ssl", "127.0.0.1");
user_pref("network.proxy.ssl_port", 9);
user_pref("network.proxy.no_proxies_on", "127.0.0.1");
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("toolkit.telemetry.enabled", false);
user_pref("app.update.enabled", false);
user_pref("app.normandy.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("browser.aboutwelcome.enabled", false);
user_pref("termsofuse.bypassNotification", true);
"""


class Browser:
    def __init__(self, names, command, prepare=lambda profile: None):
        self.names, self.command, self.prepare = names, command, prepare

    def find(self):
        return [tools.program(*self.names)]

    def version(self):
        return tools.first_version(self.names)()

    def lines(self, folder, page, cases, seconds):
        """Opens the page, and yields what it reports."""
        reports = Reports()
        query = urlencode({"report": reports.url, "cases": ",".join(cases)})
        profile = folder / "profile"
        profile.mkdir(parents=True)
        self.prepare(profile)
        browser = Process([*self.find(), *self.command(profile), f"{page}?{query}"], folder)
        try:
            yield from reports.lines(seconds)
        finally:
            browser.stop()
            reports.server.shutdown()
            reports.server.server_close()


class Reports:
    """A port to which a page posts its lines."""

    def __init__(self):
        lines = self.received = queue.Queue()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                lines.put(self.rfile.read(int(self.headers["Content-Length"])).decode())
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        Thread(target=self.server.serve_forever, daemon=True).start()

    def lines(self, seconds):
        end = time.monotonic() + seconds
        while True:
            try:
                line = self.received.get(timeout=max(0, end - time.monotonic()))
            except queue.Empty:
                raise Deadline(f"the page wasn't done within {seconds} s") from None
            yield line
            if '"done"' in line:
                return


chromium = Browser(
    ("chromium", "chromium-browser", "google-chrome"),
    lambda profile: [*CHROMIUM, f"--user-data-dir={profile}"],
)
firefox = Browser(
    ("firefox-esr", "firefox"),
    lambda profile: ["--headless", "--no-remote", "--profile", profile],
    lambda profile: (profile / "user.js").write_text(FIREFOX),
)
