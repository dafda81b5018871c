"""What a client or a proxy needs: found, installed into the target folder, or named as missing."""

import functools
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

CRATE = Path(__file__).resolve().parent.parent
ROOT = CRATE.parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve() / "interop"
GOPATH = Path("/usr/share/gocode")


class Missing(Exception):
    """Something that isn't installed; its text says what."""


def program(*names):
    """The first of these programs that is there."""
    for name in names:
        found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
        if found:
            return found
    raise Missing(names[0])


def run(command, folder=None, **environment):
    """Runs it to its end, and returns what it printed."""
    done = subprocess.run(
        [str(part) for part in command], cwd=folder, env=os.environ | environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600,
    )
    if done.returncode:
        raise Missing(f"a working {Path(str(command[0])).name}: {done.stdout.strip()[-300:]}")
    return done.stdout.strip()


@functools.cache
def node():
    """A folder with the npm packages and the clients beside them, where Node finds them."""
    folder = TARGET / "node"
    folder.mkdir(parents=True, exist_ok=True)
    program("node")
    lock = (CRATE / "package-lock.json").read_bytes()
    # Copied last: what is there is complete.
    mark = folder / "installed.json"
    if not mark.exists() or mark.read_bytes() != lock:
        npm = program("npm")
        for name in ("package.json", "package-lock.json"):
            shutil.copy(CRATE / name, folder)
        run([npm, "ci", "--no-audit", "--no-fund"], folder)
        mark.write_bytes(lock)
    for path in [*(CRATE / "clients").glob("*.mjs"), CRATE / "clients/page.html"]:
        shutil.copy(path, folder)
    return folder


@functools.cache
def python():
    """A Python with the packages of requirements.txt."""
    folder = TARGET / "python"
    wanted = (CRATE / "requirements.txt").read_text()
    mark = folder / "installed.txt"
    if not mark.exists() or mark.read_text() != wanted:
        run([program("python3"), "-m", "venv", folder])
        run([folder / "bin/pip", "install", "-q", "-r", CRATE / "requirements.txt"])
        mark.write_text(wanted)
    return folder / "bin/python"


@functools.cache
def go(name, package):
    """A client in Go, built with Debian's libraries."""
    compiler = program("go")
    if not (GOPATH / "src" / package).exists():
        raise Missing(f"{package} from Debian's packages")
    sources = [CRATE / "clients" / file for file in (f"{name}.go", "cases.go")]
    built = TARGET / name
    run([compiler, "build", "-o", built, *sources], GO111MODULE="off", GOPATH=str(GOPATH))
    return built


@functools.cache
def java():
    """The folder with the compiled client."""
    folder = TARGET / "java"
    run([program("javac"), "-d", folder, CRATE / "clients/Java.java"])
    return folder


@functools.cache
def soup():
    """The distribution's Python, whose packages know libsoup."""
    check = "import gi; gi.require_version('Soup', '3.0'); from gi.repository import Soup"
    try:
        run(["/usr/bin/python3", "-c", check])
    except (Missing, FileNotFoundError):
        raise Missing("python3-gi and gir1.2-soup-3.0") from None
    return "/usr/bin/python3"


@functools.cache
def server():
    """The server under test, freshly built."""
    cargo = ["cargo", "build", "--locked", "-p", "realtime-interop"]
    subprocess.run(cargo, cwd=ROOT, check=True)
    return TARGET.parent / "debug/realtime-interop"


def first_version(programs, option="--version"):
    """The first thing in a program's own words that looks like a version."""
    return lambda: re.search(r"\d+(\.\d+)+", run([program(*programs), option]))[0]


def pinned(name):
    """The version of a package that the bench installs itself."""
    for line in (CRATE / "requirements.txt").read_text().splitlines():
        if line.startswith(f"{name}=="):
            return line.split("==")[1]
    return json.loads((CRATE / "package.json").read_text())["dependencies"][name]


def debian(package):
    """The version of one of the distribution's packages."""
    return run([program("dpkg-query"), "-W", "-f", "${Version}", package])
