"""T15: what must hold of any method's arithmetic. Integrated gradients add up; the same question gives the same map.

Of float16 it is told how many of DEX-AR's gradients underflow: in a float16 model, whose gradients the engine scales
and keeps in float32, and if they were kept in float16 too.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

import dexar_widgets as dx
from dexar_widgets.explanation import Explanation
from dexar_widgets.lab.scenes import Scene
from dexar_widgets.lab.trust.gates import result, table
from dexar_widgets.lab.trust.observe import CONTROLS
from dexar_widgets.lab.trust.truth import OPTIONS, explained
from dexar_widgets.statistics import Estimate, mean, spearman

if TYPE_CHECKING:
    from dexar_widgets.vlm import VLM

__all__ = ["POINTS", "numerics", "observe_numerics"]

POINTS = 128
"""Of the path that integrated gradients are judged on."""
MORE = 1024
"""Where so many are not enough, these tell a steep path, whose sum converges late, from a wrong one."""
_BATCHES = {"rise": (16, 5), "integrated_gradients": (4, 3), "iia": (2, 1)}
"""Two sizes of a batch for each method that has batches."""
_WORST = ("completeness", "completeness, more", "repeat", "batch", "float16", "float16 kept")
"""Checks of which the worst scene is told."""
_SMALLER: dict[str, dict[str, Any]] = {"rise": {"n_masks": 40}}
"""Few masks do to compare one batch with another."""


def observe_numerics(vlm: "VLM", scene: Scene, methods: Sequence[str], *, number: int = 0) -> pd.DataFrame:
    """A row per method and check; ``value`` is a relative difference, or a rank correlation."""
    options = {name: {**OPTIONS.get(name, {}), **_SMALLER.get(name, {})} for name in methods}
    found: list[dict[str, Any]] = []

    def tell(method: str, check: str, value: float) -> None:
        found.append({"method": method, "check": check, "value": value, "scene": number})

    e = explained(vlm, scene, methods, options=options)
    again = explained(vlm, scene, methods, options=options)
    for name in methods:
        tell(name, "repeat", _apart(_maps(again, name), _maps(e, name)))
    if "integrated_gradients" in methods:
        tell("integrated_gradients", "completeness", _completeness(e, POINTS))
        tell("integrated_gradients", "completeness, 20 points", _completeness(e, 20))
        tell("integrated_gradients", "completeness, more", _completeness(e, MORE))
    for name in set(methods) & set(_BATCHES):
        one, other = (
            dx.attribute(e, method=name, **{**options[name], "batch_size": size}).maps for size in _BATCHES[name]
        )
        tell(name, "batch", _apart(other, one))
    rough = explained(_in(torch.bfloat16, vlm), scene, methods, options=options)
    for name in methods:
        tell(name, "bfloat16", _alike(_maps(rough, name), _maps(e, name)))
    if "dexar" in methods:
        for check, value in _underflow(vlm, scene):
            tell("dexar", check, value)
    return pd.DataFrame(found)


def _in(dtype: torch.dtype, vlm: "VLM") -> "VLM":
    return replace(vlm, model=copy.deepcopy(vlm.model).to(dtype))


def _underflow(vlm: "VLM", scene: Scene) -> Iterator[tuple[str, float]]:
    """Shares of the gradients' entries that are 0 with float16, among those that are not 0 in float32."""
    exact, small = _gradients(vlm, scene), _gradients(_in(torch.float16, vlm), scene)
    there = exact != 0
    yield "float16", float((small[there] == 0).mean())
    yield "float16 kept", float((exact[there].astype(np.float16) == 0).mean())


def _gradients(vlm: "VLM", scene: Scene) -> Float[np.ndarray, "step layer head token"]:
    tensor = dx.explain(vlm, scene.image, scene.prompt, answer=scene.caption, keep="full").gradients
    assert tensor is not None, "asked for"
    return tensor.values


def _completeness(e: Explanation, points: int) -> float:
    found = dx.attribute(e, method="integrated_gradients", n_steps=points)
    return float(found.notes["completeness_error"])


def _maps(e: Explanation, method: str) -> Float[np.ndarray, "step row col"]:
    return e.attributions[method].maps.astype(float)


def _apart(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, over the largest value."""
    most = float(np.abs(expected).max())
    return float(np.abs(found.astype(float) - expected).max()) / most if most else 0.0


def _alike(found: Float[np.ndarray, "step row col"], expected: Float[np.ndarray, "step row col"]) -> float:
    """Mean over steps of the cells' rank correlation; steps whose maps are empty in both agree, in one do not."""
    each = []
    for one, other in zip(found, expected, strict=True):
        correlation = spearman(one.ravel(), other.ravel())
        each.append(float((one == other).all()) if not np.isfinite(correlation) else correlation)
    return float(np.mean(each))


_WHAT = {
    "completeness": (f"completeness error, {POINTS} points", "T15 completeness"),
    "completeness, 20 points": ("completeness error, 20 points (the default)", None),
    "completeness, more": (f"completeness error, {MORE} points", None),
    "repeat": ("difference of the same question twice", "T15 repeat"),
    "batch": ("difference between two sizes of a batch", "T15 batch"),
    "bfloat16": ("rank correlation of bfloat16 with float32", "T15 bfloat16"),
    "float16": ("share of the gradients that are 0 in a float16 model, not in a float32 one", None),
    "float16 kept": ("share of the gradients that float16 would keep as 0 (they are kept in float32)", None),
}


def numerics(seen: pd.DataFrame) -> pd.DataFrame:
    """The mean over scenes of every check of every method; of those of `_WORST` the worst scene."""
    rows = []
    for check, (what, gate) in _WHAT.items():
        for method, some in seen[seen["check"] == check].groupby("method", sort=False):
            values, scenes = some["value"].to_numpy(float), some["scene"].to_numpy()
            found, note = mean(values, scenes), ""
            if check in _WORST:
                worst = float(values.max())
                found = Estimate(worst, float(values.min()), worst, len(values))
                note = "the worst scene; from the least to the largest"
            blind = method in CONTROLS  # their maps have nothing to do with the model
            rows.append(result("T15", what, found, method=str(method), gate=gate, by_construction=blind, note=note))
    return table(rows)
