"""What a plug-in must keep to, as checks that its author can run: ``dexar plugin check MODULE``.

Nothing is downloaded: families bring tiny models made from configuration, and methods are tried on those of every
family.
"""

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args

from dexar_widgets import plugins
from dexar_widgets.conformance import families, methods, metrics
from dexar_widgets.conformance.findings import Attempt, Finding, attempts

__all__ = ["KINDS", "Finding", "Kind", "check", "kind_of", "load"]

Kind = Literal["families", "methods", "metrics"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_OTHERS: dict[str, Callable[[ModuleType], Iterator[Attempt]]] = {
    "families": families.checks,
    "metrics": metrics.checks,
}


def load(name: str) -> ModuleType:
    """A plug-in by its dotted name, the path of its file, or the name of one that is installed.

    Raises
    ------
    ValueError
        If there is none, or it cannot be imported.
    """
    path = Path(name)
    try:
        if path.suffix == ".py":
            if not path.is_file():
                raise ValueError(f"There is no file {name!r}.")
            return _from_file(path)
        for kind in KINDS:
            if name in plugins.names(kind):
                return plugins.get(kind, name)
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        there = "; ".join(f"{kind}: {', '.join(plugins.names(kind))}" for kind in KINDS)
        raise ValueError(
            f"{name!r} cannot be imported ({error}); give a module, a .py file or one of {there}."
        ) from error
    except (ImportError, SyntaxError, AttributeError, TypeError, NameError) as error:
        raise ValueError(f"{name!r} cannot be imported: {type(error).__name__}: {error}.") from error


def _from_file(path: Path) -> ModuleType:
    """A module under a name of its own: a file ``random.py`` must not replace the standard module."""
    name = f"checked_plugin.{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None, "a .py file has a loader"
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def kind_of(module: ModuleType) -> Kind:
    """The kind of plug-in whose names a module has most of; `ValueError` if it has none."""
    have = {kind: len(plugins.members(kind)) - len(plugins.missing(kind, module)) for kind in KINDS}
    best = max(KINDS, key=lambda kind: have[kind] / len(plugins.members(kind)))
    if not have[best]:
        names = "; ".join(f"{kind}: {', '.join(sorted(plugins.members(kind)))}" for kind in KINDS)
        raise ValueError(f"{module.__name__} has none of the names of a plug-in ({names}).")
    return best


def check(module: ModuleType, kind: Kind | None = None, options: Mapping[str, Any] | None = None) -> Iterator[Finding]:
    """Try one thing after the other; a plug-in that lacks names is tried no further.

    ``options``: a method's, for those that would take long (fewer masks, say); by default its own defaults.
    """
    kind = kind or kind_of(module)
    missing = plugins.missing(kind, module)
    names = ", ".join(sorted(plugins.members(kind)))
    yield Finding(
        f"has the names of a plug-in ({names})", not missing, f"missing: {', '.join(missing)}" if missing else ""
    )
    if options and kind != "methods":
        raise ValueError(f"Options are for methods; {module.__name__} is one of the {kind}.")
    if missing:
        return
    yield from attempts(methods.checks(module, options or {}) if kind == "methods" else _OTHERS[kind](module))
