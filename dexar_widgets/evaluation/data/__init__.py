"""Data sets: one reader per file, found by scanning this folder.

A reader is a plain module that has the names of `Reader`. It lists its samples without opening an image and reads each
when it is asked for; nothing is downloaded, so a reader says which files it expects, and where they come from.
"""

import importlib
from dataclasses import fields
from pathlib import Path
from typing import Any, Protocol, cast

from dexar_widgets.evaluation.data._reading import BadFilesError
from dexar_widgets.evaluation.samples import Dataset

__all__ = ["Reader", "get", "names", "open"]


class Reader(Protocol):
    """What a reader module provides."""

    TITLE: str
    """The data set's name as people write it."""
    EXPECTS: str
    """Which files lie where below the root; empty for one that reads no files."""
    SOURCE: str
    """How to get them."""
    Options: type[Any]
    """A frozen dataclass of its options, each with a default; it raises `ValueError` for values that mean nothing."""

    def read(self, root: Path, options: Any) -> Dataset:
        """The data set of a folder. Raises `BadFilesError` for one that is missing or broken."""


def names() -> tuple[str, ...]:
    """The readers there are, sorted; none is imported."""
    return tuple(sorted(file.stem for file in Path(__file__).parent.glob("*.py") if not file.stem.startswith("_")))


def get(name: str) -> Reader:
    """One reader.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    if name not in names():
        raise ValueError(f"There is no data set {name!r}; there are {', '.join(names())}.")
    return cast(Reader, importlib.import_module(f"{__name__}.{name}"))


def open(name: str = "lab", root: str | Path | None = None, **options: object) -> Dataset:
    """A data set by its reader's name.

    Parameters
    ----------
    root
        Folder with its files, laid out as the reader expects; none for the lab, whose scenes are drawn.
    options
        The reader's own (`Reader.Options`).

    Raises
    ------
    ValueError
        If the name or an option is unknown, or the files are missing or broken: then the message says what is expected
        where, and how to get it.
    """
    reader = get(name)
    known = [field.name for field in fields(reader.Options)]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ValueError(f"The data set {name!r} has no option {unknown[0]!r}; it has {', '.join(known)}.")
    chosen = reader.Options(**options)
    if not reader.EXPECTS:
        if root is not None:
            raise ValueError(f"The data set {name!r} reads no files; leave root={str(root)!r} out.")
        return reader.read(Path(), chosen)
    try:
        return reader.read(_folder(root), chosen)
    except (BadFilesError, OSError) as error:
        raise ValueError(f"{error} {reader.TITLE} expects below its root: {reader.EXPECTS} {reader.SOURCE}") from error


def _folder(root: str | Path | None) -> Path:
    if root is None:
        raise BadFilesError("No root was given, the folder of its files.")
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise BadFilesError(f"{str(root)!r} is not a folder.")
    return folder.absolute()  # a worker may run elsewhere
