"""Evaluation: any methods on any data by any metrics, unit by unit, so that a run can stop anywhere and go on.

``samples`` says what is shown to a model and what is known about it, ``data`` reads data sets, ``configuration`` holds
everything that decides a number, ``runs`` carries it out, ``results`` and ``report`` read what came of it. The names
below are loaded on first use:

>>> from dexar_widgets.evaluation import configuration_of, data, evaluate
>>> scenes = data.open("lab")
>>> evaluate(configuration_of(scenes, ["lab/llava"], ["dexar", "random"], ["iou"]), scenes, Path("results"), limit=10)
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dexar_widgets.evaluation import data
    from dexar_widgets.evaluation.configuration import Configuration, Variant, configuration_of, variants_of
    from dexar_widgets.evaluation.report import numbers_of
    from dexar_widgets.evaluation.results import Results, read
    from dexar_widgets.evaluation.runs import evaluate, plan
    from dexar_widgets.evaluation.samples import Given, Sample, Target

_HOME = {
    **dict.fromkeys(("Configuration", "Variant", "configuration_of", "variants_of"), "configuration"),
    "numbers_of": "report",
    **dict.fromkeys(("Results", "read"), "results"),
    **dict.fromkeys(("evaluate", "plan"), "runs"),
    **dict.fromkeys(("Given", "Sample", "Target"), "samples"),
}

__all__ = ["Configuration", "Given", "Results", "Sample", "Target", "Variant", "configuration_of", "data", "evaluate"]
__all__ += ["numbers_of", "plan", "read", "variants_of"]


def __getattr__(name: str) -> object:
    if name in _HOME:
        return getattr(import_module(f"dexar_widgets.evaluation.{_HOME[name]}"), name)
    if name == "data":
        return import_module("dexar_widgets.evaluation.data")
    raise AttributeError(f"module 'dexar_widgets.evaluation' has no attribute {name!r}.")
