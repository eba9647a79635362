"""T5: two objects of one class, or of one colour. Does the k-th "cat" light up the k-th cat?

Source: DEX-AR, appendix K and figure 8. TAM's maps before its causal step are made of the image's states alone, so that
the same word gives the same map wherever it stands.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

import dexar_widgets as dx
from dexar_widgets.explanation import Explanation
from dexar_widgets.lab.chance import specification
from dexar_widgets.lab.scenes import Scene, render
from dexar_widgets.lab.specifications import Specification
from dexar_widgets.lab.trust.gates import by_method, result, table
from dexar_widgets.lab.trust.observe import ORACLES, Sight, energy, sights
from dexar_widgets.lab.trust.truth import explained, marks_of
from dexar_widgets.maps import coverage
from dexar_widgets.statistics import mean, rate

if TYPE_CHECKING:
    from dexar_widgets.vlm import VLM

__all__ = ["RAW", "observe_repeats", "repeats", "scene_with_repeat"]

RAW = "tam, before its causal step"
KINDS = ("class", "colour")


def scene_with_repeat(seed: int) -> Scene:
    """Two or three objects, the first two of one class (even seeds) or of one colour (odd seeds)."""
    drawn = random.Random(f"repeats {seed}")
    spec = specification(seed, objects=drawn.choice((2, 3)), same_class=0.0)
    first, second, *rest = spec.objects
    if seed % 2 == 0:
        second = replace(second, name=first.name)
        if second.colour == first.colour:
            second = replace(second, colour="red" if first.colour != "red" else "blue")
    else:
        second = replace(second, colour=first.colour)
        if second.name == first.name:
            second = replace(second, name="star" if first.name != "star" else "cat")
    return replace(render(Specification(spec.background, (first, second, *rest))), prompt="Describe the image.")


def observe_repeats(vlm: "VLM", scene: Scene, methods: Sequence[str], *, number: int = 0) -> pd.DataFrame:
    """A row per method and occurrence: the energy on its own object, on the other, and how alike the two maps are."""
    e = explained(vlm, scene, methods)
    seen = sights(e, methods)
    if "tam" in methods:
        raw = dx.attribute(e, method="tam", stage="raw")
        seen[RAW] = Sight(raw.maps.astype(float), raw.weights, raw.weights)
    return pd.DataFrame(list(_rows(e, scene, seen))).assign(scene=number)


def _rows(e: Explanation, scene: Scene, seen: dict[str, Sight]) -> Iterator[dict[str, Any]]:
    things = scene.spec.objects
    kind = "class" if things[0].name == things[1].name else "colour"
    marks = marks_of(e, scene.marks)
    # a word of several pieces stands for its first: what follows from it need not be looked for
    places = [
        next(place for place, mark in enumerate(marks) if mark.role == kind and mark.objects == (thing,))
        for thing in (0, 1)
    ]
    grid, masks = e.layout.grids[0], scene.visible[:2]
    best = np.stack([coverage(mask, grid) for mask in masks])
    maps = {method: sight.maps[places] for method, sight in seen.items()} | dict(
        zip(ORACLES, (best, 1 - best), strict=True)
    )
    said = [float(np.exp(e.generation.log_probs[e.steps[place]])) for place in places]
    for method, pair in maps.items():
        found = [energy(values, grid, masks) for values in pair]
        likeness = _correlation(pair[0], pair[1])
        for thing in (0, 1):
            own, other = found[thing].shares[thing], found[thing].shares[1 - thing]
            told = {"method": method, "kind": kind, "occurrence": thing, "said": said[thing]}
            yield told | {"own": own, "other": other, "empty": found[thing].total == 0, "likeness": likeness}


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    one, other = first.ravel() - first.mean(), second.ravel() - second.mean()
    scale = np.sqrt((one @ one) * (other @ other))
    return float(one @ other / scale) if scale > 0 else float("nan")


def repeats(seen: pd.DataFrame) -> pd.DataFrame:
    """How often the own object has more energy than its twin (ties and empty maps: half), and the maps' likeness."""
    cases = seen[seen["said"] >= 0.5]
    rows = []
    every = [(kind, *one) for kind in KINDS for one in by_method(cases[cases["kind"] == kind], seen)]
    for kind, method, some in every:
        own, other = some["own"].to_numpy(float), some["other"].to_numpy(float)
        wins = np.where(some["empty"].astype(bool) | (own == other), 0.5, own > other)
        dexar = method.startswith("dexar")
        found = rate(wins.astype(float), some["scene"].to_numpy())
        gate = "T5 own" if dexar else None
        rows.append(
            result("T5", f"own object before its twin, one {kind}", found, method=method, chance=0.5, gate=gate)
        )
        pairs = some[some.duplicated("scene")]  # of scenes where the model says both words
        alike = mean(pairs["likeness"].to_numpy(float), pairs["scene"].to_numpy())
        raw, what = method == RAW, f"correlation of the two maps, one {kind}"
        gate = "T5 tam raw" if raw else "T5 likeness" if dexar else None
        rows.append(result("T5", what, alike, method=method, gate=gate, by_construction=raw))
    return table(rows)
