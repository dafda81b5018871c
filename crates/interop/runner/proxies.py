"""Proxies, run with the recipes of docs/proxies.md.

A recipe is the file itself. For the bench only its addresses and its idle timeout are replaced,
and each replacement must find something: `90s` becomes 2 s, so that the pings of a quiet client
have something to do.
"""

import os
from dataclasses import dataclass, field
from typing import Callable

import tools
from process import Process, wait_for_port
from tools import CRATE

UPSTREAM = "127.0.0.1:8080"


@dataclass(frozen=True)
class Proxy:
    name: str
    recipe: str
    # (folder, recipe's path, port): the command.
    command: Callable
    version: Callable[[], str]
    port: Callable[[int], tuple]
    # What makes it show the server another `Host`, as many do by default.
    rewrite: tuple
    idle: tuple | None = ("90s", "2s")
    # What is found or installed first.
    need: Callable = field(default=lambda: None)

    def start(self, folder, upstream, port, rewritten=False):
        folder.mkdir(parents=True, exist_ok=True)
        text = (CRATE / "proxies" / self.recipe).read_text()
        changes = [(UPSTREAM, upstream), self.port(port)]
        changes += [self.idle] if self.idle else []
        changes += [self.rewrite] if rewritten else []
        for old, new in changes:
            if old not in text:
                raise ValueError(f"{self.recipe}: expected {old!r} in it")
            text = text.replace(old, new)
        command = self.command(folder, text, port)
        process = Process(command, folder, {"XDG_DATA_HOME": str(folder), "NO_COLOR": "1"})
        try:
            wait_for_port(port, process)
        except Exception:
            process.stop()
            raise
        return process


def write(path, text):
    path.write_text(text)
    return path


def nginx(folder, recipe, _):
    paths = "".join(
        f"    {name}_temp_path {folder}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;\n" if os.getuid() == 0 else ""
    recipe = write(folder / "recipe", recipe)
    main = (
        f"{user}daemon off;\npid {folder}/pid;\nevents {{}}\n"
        f"http {{\n    access_log off;\n{paths}    include {recipe};\n}}\n"
    )
    main = write(folder / "nginx.conf", main)
    return [tools.program("nginx"), "-e", folder / "error.log", "-c", main]


def haproxy(folder, recipe, _):
    return [tools.program("haproxy"), "-db", "-f", write(folder / "haproxy.cfg", recipe)]


def caddy(folder, recipe, _):
    recipe = write(folder / "recipe", recipe)
    options = "{\n\tadmin off\n\tauto_https off\n}\n"
    main = write(folder / "Caddyfile", f"{options}import {recipe}\n")
    return [tools.program("caddy"), "run", "--config", main, "--adapter", "caddyfile"]


def apache(folder, recipe, port):
    modules = "".join(
        f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"
        for name in ("mpm_event", "authz_core", "proxy", "proxy_http")
    )
    user = "User www-data\nGroup www-data\n" if os.getuid() == 0 else ""
    main = (
        f"{modules}{user}ServerName localhost\nListen 127.0.0.1:{port}\nPidFile {folder}/pid\n"
        f"DefaultRuntimeDir {folder}\nErrorLog {folder}/error.log\n{recipe}"
    )
    main = write(folder / "apache2.conf", main)
    return [tools.program("apache2"), "-DFOREGROUND", "-f", main]


def vite(folder, recipe, _):
    # Beside the packages, where the recipe finds `vite`, and the page, which Vite serves.
    config = write(tools.node() / f"{folder.name}.config.mjs", recipe)
    program = tools.node() / "node_modules/vite/bin/vite.js"
    return [tools.program("node"), program, tools.node(), "--config", config, "--strictPort",
            "--host", "127.0.0.1"]


PROXIES = [
    Proxy(
        "nginx", "nginx.conf", nginx, tools.first_version(["nginx"], "-v"),
        lambda port: ("listen 80", f"listen 127.0.0.1:{port}"),
        ("proxy_set_header Host $http_host;", ""), need=lambda: tools.program("nginx"),
    ),
    Proxy(
        "HAProxy", "haproxy.cfg", haproxy, tools.first_version(["haproxy"], "-v"),
        lambda port: ("bind :80", f"bind 127.0.0.1:{port}"),
        ("    option forwardfor",
         "    option forwardfor\n    http-request set-header Host internal"),
        need=lambda: tools.program("haproxy"),
    ),
    Proxy(
        "Caddy", "Caddyfile", caddy, tools.first_version(["caddy"], "version"),
        lambda port: ("http://:80 {", f"http://:{port} {{\n\tbind 127.0.0.1"),
        ("\treverse_proxy", "\trequest_header Host internal\n\treverse_proxy"),
        idle=None, need=lambda: tools.program("caddy"),
    ),
    Proxy(
        "Apache", "apache.conf", apache, tools.first_version(["apache2"], "-v"),
        lambda port: ("*:80>", f"*:{port}>"),
        ("ProxyPreserveHost On", ""), idle=("timeout=90", "timeout=2"),
        need=lambda: tools.program("apache2"),
    ),
    Proxy(
        "Vite", "vite.config.mjs", vite, lambda: tools.pinned("vite"),
        lambda port: ("port: 5173", f"port: {port}"),
        ("ws: true", "ws: true, changeOrigin: true"), idle=None, need=tools.node,
    ),
]
