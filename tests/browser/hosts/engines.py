"""Firefox and WebKit started and ended; ``python -m tests.browser.hosts.engines`` lists the packages that lack."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.error
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from dexar_widgets.doctor import browser
from tests.browser.engines import Engine, Firefox, WebKit
from tests.browser.hosts.servers import STARTING, free_port

Driven = TypeVar("Driven", bound=Engine)
PREFERENCES = {
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
}


@contextlib.contextmanager
def process(
    command: Sequence[str], home: Path, *, pass_fds: Sequence[int] = (), **variables: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A program with a home of its own, ended whatever happens."""
    with (home / "said.log").open("ab") as log:
        environment = os.environ | {"HOME": str(home)} | variables
        started = subprocess.Popen(command, env=environment, stdout=log, stderr=log, pass_fds=pass_fds)
        try:
            yield started
        finally:
            started.terminate()
            try:
                started.wait(20)
            except subprocess.TimeoutExpired:
                started.kill()


def firefox_program() -> str | None:
    """Firefox, the one that ``FIREFOX=…`` names first."""
    if chosen := os.environ.get("FIREFOX"):
        return shutil.which(chosen)
    names = ("firefox", "firefox-esr", "/Applications/Firefox.app/Contents/MacOS/firefox")
    return next((path for path in map(shutil.which, names) if path), None)


@contextlib.contextmanager
def firefox(program: str) -> Iterator[Firefox]:
    """Firefox without a window, with a new profile."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as own:
        home, port = Path(own), free_port()
        chosen = PREFERENCES | {"marionette.port": port}
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in chosen.items()]
        (home / "user.js").write_text("".join(lines), "utf-8")
        command = [program, "--headless", "--marionette", "-remote-allow-system-access", "--no-remote"]
        with process([*command, "--profile", own], home) as started:
            yield patiently(lambda: Firefox(port), started, home)


@contextlib.contextmanager
def webkit() -> Iterator[WebKit]:
    """WebKit's own small browser, in a display that nobody sees."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as own, contextlib.ExitStack() as ends:
        home, port = Path(own), free_port()
        reads, writes = os.pipe()
        screen = ["Xvfb", "-displayfd", str(writes), "-screen", "0", "1400x1100x24", "-nolisten", "tcp"]
        ends.enter_context(process(screen, home, pass_fds=(writes,)))
        os.close(writes)
        with os.fdopen(reads) as told:
            display = f":{told.readline().strip()}"
        command = ["WebKitWebDriver", f"--port={port}", "--host=127.0.0.1"]
        settings = {"DISPLAY": display, "GDK_BACKEND": "x11", "LIBGL_ALWAYS_SOFTWARE": "1", "NO_AT_BRIDGE": "1"}
        driver = ends.enter_context(process(command, home, **settings))
        engine = patiently(lambda: WebKit(f"http://127.0.0.1:{port}"), driver, home)
        ends.callback(engine.end)
        yield engine


def patiently(connect: Callable[[], Driven], started: subprocess.Popen[bytes], home: Path) -> Driven:
    """Connect as soon as the program listens."""
    end = time.monotonic() + STARTING
    while time.monotonic() < end and started.poll() is None:
        with contextlib.suppress(ConnectionRefusedError, urllib.error.URLError):
            return connect()
        time.sleep(0.1)
    raise RuntimeError(f"{started.args} does not answer; it said:\n{(home / 'said.log').read_text('utf-8')[-2000:]}")


def lacking() -> list[str]:
    """Debian's names of the packages that the browser tests need and that are not here."""
    there = {
        "chromium": browser(),
        "firefox-esr": firefox_program(),
        "webkit2gtk-driver": shutil.which("WebKitWebDriver"),
        "xvfb": shutil.which("Xvfb"),
    }
    return [package for package, found in there.items() if not found]


if __name__ == "__main__":
    print(*lacking())
