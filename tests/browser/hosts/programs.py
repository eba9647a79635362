"""Programs that the tests start: waited for until they answer, and ended whatever happens."""

import contextlib
import socket
import subprocess
import time
import urllib.error
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

Answer = TypeVar("Answer")
STARTING = 60  # seconds, on a machine that is busy with other tests


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return asked.getsockname()[1]


@contextlib.contextmanager
def started(command: Sequence[str], log: Path, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A program that runs until it is left; what it says goes to the end of a file. Options are those of `Popen`."""
    with log.open("ab") as said:
        program = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, **options)
        try:
            yield program
        finally:
            program.terminate()
            try:
                program.wait(20)
            except subprocess.TimeoutExpired:
                program.kill()


def patiently(connect: Callable[[], Answer], program: subprocess.Popen[bytes], log: Path) -> Answer:
    """Connect as soon as the program listens."""
    end = time.monotonic() + STARTING
    while time.monotonic() < end and program.poll() is None:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            return connect()
        time.sleep(0.1)
    raise RuntimeError(f"{program.args} does not answer; it said:\n{log.read_text('utf-8', 'replace')[-4000:]}")
