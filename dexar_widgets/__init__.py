"""Why did this vision-language model say that?

Every name below is loaded on first use, so that ``import dexar_widgets`` needs neither torch
nor transformers:

>>> import dexar_widgets as dx
>>> vlm = dx.load()
>>> e = dx.explain(vlm, dx.lab.scene(7).image, "what do you see?")
>>> e.heatmap(step=0)
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dexar_widgets import failures, lab
    from dexar_widgets.attribution import Attribution
    from dexar_widgets.causal import Check, Checks, Deletion, Knockout, check, checks
    from dexar_widgets.explanation import Explanation
    from dexar_widgets.files import read
    from dexar_widgets.verbs import attribute, compare, explain
    from dexar_widgets.vlm import VLM, load, models
    from dexar_widgets.widgets.builder import SceneBuilder
    from dexar_widgets.widgets.explorer import Explorer

    __version__: str

_HOME = {
    "Attribution": "attribution",
    "attribute": "verbs",
    "compare": "verbs",
    "Check": "causal",
    "Checks": "causal",
    "Deletion": "causal",
    "Knockout": "causal",
    "check": "causal",
    "checks": "causal",
    "explain": "verbs",
    "Explanation": "explanation",
    "read": "files",
    "VLM": "vlm",
    "load": "vlm",
    "models": "vlm",
    "Explorer": "widgets.explorer",
    "SceneBuilder": "widgets.builder",
}

__all__ = ["VLM", "Attribution", "Check", "Checks", "Deletion", "Explanation", "Explorer", "Knockout", "SceneBuilder"]
__all__ += ["attribute", "check", "checks", "compare", "explain", "failures", "lab", "load", "models", "read"]


def __getattr__(name: str) -> object:
    if name in ("failures", "lab"):
        return import_module(f"dexar_widgets.{name}")
    if name == "__version__":
        return import_module("importlib.metadata").version("dexar-widgets")
    if name in _HOME:
        found = getattr(import_module(f"dexar_widgets.{_HOME[name]}"), name)
        globals()[name] = found
        return found
    raise AttributeError(f"module 'dexar_widgets' has no attribute {name!r}; it has {', '.join(__all__)}.")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
