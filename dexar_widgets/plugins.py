"""Finds families, methods and metrics: modules in their folder, and third parties' entry points.

A plug-in is a plain module with the names of its kind's Protocol. Listing names imports none of
them; third parties register modules under the entry point group ``dexar_widgets.<kind>``.
"""

import hashlib
import importlib
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

__all__ = ["code", "get", "members", "missing", "names"]

_PROTOCOLS = {"families": "Family", "methods": "Method", "metrics": "Metric"}


def names(kind: str) -> tuple[str, ...]:
    """The plug-ins of a kind ("families", "methods" or "metrics"), sorted; nothing is imported."""
    if kind not in _PROTOCOLS:
        raise ValueError(f"Unknown kind of plug-in {kind!r}; expected one of {', '.join(_PROTOCOLS)}.")
    return tuple(sorted({*_own(kind), *(point.name for point in entry_points(group=f"dexar_widgets.{kind}"))}))


def get(kind: str, name: str) -> ModuleType:
    """One plug-in, imported and checked against its kind's Protocol; the package's own wins over an entry point."""
    if kind in _PROTOCOLS and name in _own(kind):  # the usual case; looking for entry points takes 30 ms
        module = importlib.import_module(f"dexar_widgets.{kind}.{name}")
    elif name not in names(kind):
        raise ValueError(f"No {_PROTOCOLS[kind].lower()} named {name!r}; there are {', '.join(names(kind)) or 'none'}.")
    else:
        (point, *_) = entry_points(group=f"dexar_widgets.{kind}", name=name)
        try:
            module = point.load()
        except (ImportError, AttributeError) as error:
            raise ValueError(f"The entry point {point.value!r} for {kind} cannot be imported: {error}.") from error
    lacking = missing(kind, module)
    if lacking:
        raise ValueError(
            f"{module.__name__} is no {_PROTOCOLS[kind].lower()}: it lacks {', '.join(lacking)}; "
            f"dexar_widgets.{kind}.{_PROTOCOLS[kind]} says what each must be."
        )
    return module


def code(kind: str, name: str) -> str | None:
    """What a third party's plug-in is: a hash of its file, or of all files of its package; nothing is imported.

    None for the package's own, which its version tells, and for one that is of no file.
    """
    if name in _own(kind):
        return None
    (point, *_) = entry_points(group=f"dexar_widgets.{kind}", name=name)
    try:
        spec = find_spec(point.module)
    except (ImportError, ValueError):  # it is not there, or was made in memory; to get it says so
        return None
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        return None
    origin = Path(spec.origin)
    files = sorted(origin.parent.rglob("*.py")) if spec.submodule_search_locations else [origin]
    seen = hashlib.sha256()
    for file in files:
        seen.update(f"{file.relative_to(origin.parent)}".encode() + file.read_bytes())
    return seen.hexdigest()[:16]


def members(kind: str) -> set[str]:
    """The names that a plug-in of a kind must have."""
    protocol = getattr(importlib.import_module(f"dexar_widgets.{kind}"), _PROTOCOLS[kind])
    return {*protocol.__annotations__, *(name for name in vars(protocol) if not name.startswith("_"))}


def missing(kind: str, module: ModuleType) -> list[str]:
    """Those of them that a module lacks."""
    return sorted(name for name in members(kind) if not hasattr(module, name))


@cache
def _own(kind: str) -> frozenset[str]:
    folder = Path(__file__).parent / kind
    return frozenset(file.stem for file in folder.glob("*.py") if not file.stem.startswith("_"))
