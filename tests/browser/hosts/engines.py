"""Firefox and WebKit started and ended; ``python -m tests.browser.hosts.engines`` lists the packages that lack."""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from dexar_widgets.doctor import browser
from tests.browser.engines import Firefox, WebKit
from tests.browser.hosts.programs import free_port, patiently, started

PREFERENCES = {
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
}


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
        log = home / "said.log"
        with started([*command, "--profile", own], log, env=os.environ | {"HOME": own}) as running:
            yield patiently(lambda: Firefox(port), running, log)


@contextlib.contextmanager
def webkit() -> Iterator[WebKit]:
    """WebKit's own small browser, in a display that nobody sees."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as own, contextlib.ExitStack() as ends:
        port, log = free_port(), Path(own) / "said.log"
        reads, writes = os.pipe()
        screen = ["Xvfb", "-displayfd", str(writes), "-screen", "0", "1400x1100x24", "-nolisten", "tcp"]
        ends.enter_context(started(screen, log, env=os.environ | {"HOME": own}, pass_fds=(writes,)))
        os.close(writes)
        with os.fdopen(reads) as told:
            display = f":{told.readline().strip()}"
        command = ["WebKitWebDriver", f"--port={port}", "--host=127.0.0.1"]
        settings = {"DISPLAY": display, "GDK_BACKEND": "x11", "LIBGL_ALWAYS_SOFTWARE": "1", "NO_AT_BRIDGE": "1"}
        driver = ends.enter_context(started(command, log, env=os.environ | {"HOME": own} | settings))
        engine = patiently(lambda: WebKit(f"http://127.0.0.1:{port}"), driver, log)
        ends.callback(engine.end)
        yield engine


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
