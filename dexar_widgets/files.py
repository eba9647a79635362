"""Explanations on disk: arrays as safetensors, everything else as JSON in its header. Never pickle."""

import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from dexar_widgets.attribution import Attribution, Cost
from dexar_widgets.explanation import Explanation
from dexar_widgets.summary import LayerMaps, Statistics, Summary
from dexar_widgets.types import Example, Generation, GradientTensor, Grid, Lens, TokenLayout, Word

__all__ = ["VERSION", "read", "save", "whole", "write_first", "write_whole"]

FORMAT = "dexar_widgets.explanation"
VERSION = 2
_KEY = "dexar_widgets"  # the one entry of the metadata: JSON
_TYPES = {
    kind.__name__: kind
    for kind in (
        *(Attribution, Cost, Example, Generation, GradientTensor, Grid, LayerMaps, Lens, Statistics, Summary),
        TokenLayout,
    )
}
_PLAIN = {"provenance", "options", "notes"}  # fields that hold JSON values


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A place beside ``path`` to write to; what stands there in the end moves to ``path`` at once."""
    target = Path(os.path.realpath(path))  # a link stays a link
    if not target.parent.is_dir():
        raise ValueError(f"There is no folder {str(target.parent)!r} to write {target.name!r} into; make it first.")
    place = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        place.touch()
        mode = place.stat().st_mode
        yield place
        place.chmod(mode)  # safetensors writes files for the owner alone
        with place.open("rb+") as file:
            os.fsync(file.fileno())
        place.replace(target)
    except OSError as error:
        raise _named(error, place, target) from error
    finally:
        with suppress(OSError):
            place.unlink(missing_ok=True)


def _named(error: OSError, place: Path, target: Path) -> OSError:
    """The error of the file as people know it; pyarrow tells no name, and the number in its text alone."""
    if error.filename not in (None, str(place)):
        return error
    told = re.search(r"\[errno (\d+)\]", str(error), re.IGNORECASE)
    number = error.errno or (int(told[1]) if told else None)
    return error if number is None else OSError(number, os.strerror(number), str(target))


def write_first(path: Path, content: bytes) -> bool:
    """Write a file whole, unless there is one already; whether it was written. Of many that try at once, one does."""
    place = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        place.write_bytes(content)
        try:
            os.link(place, path)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links
            with path.open("xb") as file:
                file.write(content)
    except FileExistsError:
        return False
    finally:
        place.unlink(missing_ok=True)
    return True


def write_whole(path: str | Path, content: bytes) -> Path:
    """Write a file whole or not at all."""
    with whole(Path(path)) as place:
        place.write_bytes(content)
    return Path(path)


def save(explanation: Explanation, path: str | Path) -> Path:
    """Write an explanation to one safetensors file, whole or not at all."""
    arrays: dict[str, np.ndarray] = {}
    header = {"format": FORMAT, "version": VERSION, "explanation": _pack(explanation, "", arrays)}
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    with whole(Path(path)) as place:
        save_file(arrays, place, {_KEY: json.dumps(header, allow_nan=False)})
    return Path(path)


def read(path: str | Path) -> Explanation:
    """Read an explanation that `save` wrote.

    Raises
    ------
    ValueError
        If the file is missing, cut short, of a newer version, or something else.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"There is no file {str(path)!r}.")
    try:
        with safe_open(path, "numpy") as file:
            header = _header(file.metadata(), path)
            arrays = {name: file.get_tensor(name) for name in file.keys()}
    except SafetensorError as error:
        raise ValueError(f"{str(path)!r} is cut short or no safetensors file ({error}).") from error
    try:
        return Explanation(**_unpack_fields(Explanation, header["explanation"], arrays))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{str(path)!r} is damaged: {error!r}.") from error


def _header(metadata: Mapping[str, str] | None, path: Path) -> dict[str, Any]:
    try:
        header = json.loads((metadata or {})[_KEY])
        name, version = header["format"], int(header["version"])
    except (KeyError, TypeError, ValueError):
        name, version = None, 0
    if name != FORMAT:
        raise ValueError(f"{str(path)!r} is no explanation written by dexar_widgets (its header does not say so).")
    if version > VERSION:
        raise ValueError(
            f"{str(path)!r} has format version {version}, this dexar_widgets reads up to {VERSION}; update it."
        )
    return dict(header)


def _pack(value: Any, name: str, arrays: dict[str, np.ndarray]) -> Any:
    """A JSON value; arrays go into ``arrays`` under their dotted path, one that several parts share only once."""
    if isinstance(value, np.ndarray):
        name = next((known for known, array in arrays.items() if array is value), name)
        arrays[name] = value
        return {"array": name}
    if is_dataclass(value):
        parts = {
            item.name: _pack(getattr(value, item.name), f"{name}.{item.name}".lstrip("."), arrays)
            for item in fields(value)
            if item.compare
        }
        return {"type": type(value).__name__, "fields": parts}
    if isinstance(value, tuple):
        return [_pack(item, f"{name}.{index}", arrays) for index, item in enumerate(value)]
    if isinstance(value, Mapping) and any(is_dataclass(item) for item in value.values()):
        return {"mapping": {key: _pack(item, f"{name}.{key}", arrays) for key, item in value.items()}}
    return value


def _unpack(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    if isinstance(value, list):
        return tuple(_unpack(item, arrays) for item in value)
    if not isinstance(value, dict) or not value:
        return value
    if "array" in value:
        return arrays[value["array"]]
    if "mapping" in value:
        return {name: _unpack(item, arrays) for name, item in value["mapping"].items()}
    kind = _TYPES[value["type"]]
    return kind(**_unpack_fields(kind, value, arrays))


def _unpack_fields(kind: type, value: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    parts = {name: part if name in _PLAIN else _unpack(part, arrays) for name, part in value["fields"].items()}
    if kind is Generation:
        parts["words"] = tuple(Word(*word) for word in parts["words"])
    return parts
