"""The folder to hand out: every wheel for every laptop in the room, the notebooks, and one line that installs them.

uv (Astral) resolves what each platform and Python needs, with the versions that run here; pip downloads it.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from json import loads
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlparse
from urllib.request import url2pathname

from dexar_widgets.files import write_whole

__all__ = ["INSTALL", "PLATFORMS", "PYTHONS", "notebooks", "pack"]

NAME = "dexar-widgets"
PYTHONS = ("3.11", "3.12", "3.13")
_TOLD = 800
"""Characters of another program's error."""
INSTALL = f'python -m pip install --no-index --find-links wheels "{NAME}[jupyter,eval]"'
"""What is typed in the folder that was handed out."""
_PATCH = 9
"""Of each Python: some packages refuse its first releases."""
CPU_TORCH = "https://download.pytorch.org/whl/cpu"
"""PyTorch's own index of builds without CUDA, which PyPI lacks for Linux."""


@dataclass(frozen=True)
class _Platform:
    """A kind of laptop as uv names it, and the tags of wheels that run on it, as pip wants them."""

    uv: str
    tags: tuple[str, ...]


def _linux(machine: str) -> tuple[str, ...]:
    versions = (*(f"_2_{minor}" for minor in range(28, 4, -1)), "2014", "2010", "1")
    return (*(f"manylinux{version}_{machine}" for version in versions), f"linux_{machine}")


PLATFORMS: Mapping[str, _Platform] = {
    "linux_x86_64": _Platform("x86_64-manylinux_2_28", _linux("x86_64")),
    "linux_aarch64": _Platform("aarch64-manylinux_2_28", _linux("aarch64")),
    "macosx_arm64": _Platform("aarch64-apple-darwin", ("macosx_14_0_arm64", "macosx_14_0_universal2")),
    "win_amd64": _Platform("x86_64-pc-windows-msvc", ("win_amd64",)),
}
"""By the name that the command line takes. macOS on Intel has no recent PyTorch."""


def pack(
    folder: Path,
    platforms: Sequence[str],
    pythons: Sequence[str] = PYTHONS,
    *,
    find_links: Sequence[Path] = (),
    on_target: Callable[[str], None] = lambda _: None,
) -> Path:
    """Put wheels, notebooks and a README into the folder, and return the folder of the wheels.

    Parameters
    ----------
    platforms, pythons
        Names of `PLATFORMS`; versions such as "3.12".
    find_links
        Folders with further wheels, such as a build of PyTorch without CUDA for Linux; without one it comes from
        PyTorch's own index.
    on_target
        Called with a sentence before each step.

    Raises
    ------
    ValueError
        If a platform is unknown, uv is missing, or a package cannot be had for one of the targets; it says which.
    """
    unknown = [name for name in platforms if name not in PLATFORMS]
    if unknown:
        raise ValueError(f"The platform {unknown[0]!r} is unknown; known: {', '.join(PLATFORMS)}.")
    wheels = folder / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    on_target(f"the wheel of {NAME}")
    _own_wheel(wheels)
    links = [str(place) for place in (wheels, *find_links)]
    for platform in platforms:
        for python in pythons:
            on_target(f"{platform}, Python {python}")
            _download(wheels, PLATFORMS[platform], python, links, alone=not find_links)
    shutil.copytree(notebooks(), folder / "notebooks", dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*"))
    write_whole(folder / "README.txt", _README.format(install=INSTALL, pythons=", ".join(pythons)).encode())
    return wheels


_README = """Why did this model say that?

1. One of Python {pythons} is needed (its newest release), nothing else; no internet.
2. Copy this folder to the laptop. In it, in a terminal, make an environment and install:

       python -m venv venv
       venv\\Scripts\\activate         (Windows)
       source venv/bin/activate      (macOS, Linux)
       {install}

3. Open the first notebook:

       jupyter lab notebooks/01_first_look.ipynb

Where nothing can be installed: pages/index.html in a browser.
"""


def notebooks() -> Path:
    """The folder of the notebooks: inside the package where it was installed, beside it where it is worked on.

    Raises
    ------
    ValueError
        If neither is there.
    """
    package = Path(__file__).parents[1]
    for found in (package / "notebooks", package.parent / "notebooks"):
        if (found / "01_first_look.ipynb").is_file():
            return found
    raise ValueError(f"The notebooks are not where they should be, in {package / 'notebooks'}; install {NAME} again.")


def _own_wheel(wheels: Path) -> None:
    """The package's own wheel: built from the sources that it runs from, else downloaded."""
    own = distribution(NAME)
    for before in wheels.glob(f"{NAME.replace('-', '_')}-*.whl"):
        before.unlink()
    source = _source(own)
    what = ["wheel", str(source)] if source else ["download", "--only-binary=:all:", f"{NAME}=={own.version}"]
    _run([sys.executable, "-m", "pip", *what[:1], "--no-deps", "--quiet", *_into(what[0], wheels), *what[1:]])


def _into(command: str, wheels: Path) -> list[str]:
    return ["--wheel-dir" if command == "wheel" else "--dest", str(wheels)]


def _source(own: Distribution) -> Path | None:
    """The folder that it was installed from, if it was."""
    told = loads(own.read_text("direct_url.json") or "{}").get("url", "")
    found = Path(url2pathname(urlparse(told).path)) if told.startswith("file:") else None
    return found if found is not None and found.is_dir() else None


def _download(wheels: Path, platform: _Platform, python: str, links: Sequence[str], *, alone: bool) -> None:
    """All that JupyterLab with this package needs on one platform and Python."""
    with TemporaryDirectory() as name:
        wanted, here, found = (Path(name, part) for part in ("wanted.txt", "here.txt", "found.txt"))
        wanted.write_text(f"{NAME}[jupyter,eval]=={distribution(NAME).version}\n", "utf-8")
        here.write_text("\n".join(_plain(line) for line in _installed().splitlines()), "utf-8")
        linked = [part for link in links for part in ("--find-links", link)]
        patch = f"{python}.{_PATCH}"
        linux = platform.uv.endswith("manylinux_2_28")
        _run([
            _uv(), "pip", "compile", "--quiet", str(wanted), "--constraint", str(here), "--output-file", str(found),
            "--python-platform", platform.uv, "--python-version", patch, "--only-binary", ":all:",
            "--no-header", "--no-annotate", *linked, *(["--torch-backend", "cpu"] if linux and alone else []),
        ])  # fmt: skip
        tags = [part for tag in platform.tags for part in ("--platform", tag)]
        _run([
            sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:",
            "--requirement", str(found), "--dest", str(wheels), "--python-version", patch, *tags, *linked,
            *(["--extra-index-url", CPU_TORCH] if linux and alone else []),
        ])  # fmt: skip


def _installed() -> str:
    """Names and versions, asked of another process: Ray, once imported, puts packages onto this one's path."""
    return _run([sys.executable, "-m", "pip", "list", "--format", "freeze", "--exclude", NAME])


def _plain(pinned: str) -> str:
    """A version without what it says of the build ("+cpu"), which another platform has not."""
    return pinned.partition("+")[0]


def _uv() -> str:
    try:
        from uv import find_uv_bin
    except ImportError as error:
        raise ValueError(f"uv is needed to find out what each laptop needs: pip install '{NAME}[workshop]'.") from error
    return str(find_uv_bin())


def _run(command: Sequence[str]) -> str:
    """What a command says; where it fails, that is the error."""
    environment = os.environ | {"MACOSX_DEPLOYMENT_TARGET": "14.0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False, env=environment)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        errors = [text.strip() for text in said if text.strip().startswith(("ERROR", "error", "cause"))] or said[-3:]
        more = (
            " Where an index is out of reach, --find-links takes a folder of wheels." if "etch" in str(errors) else ""
        )
        raise ValueError(f"{Path(command[0]).name} could not do its part: {' '.join(errors)[:_TOLD]}{more}")
    return done.stdout
