"""DEX-AR and TAM where it is hard: crowds, objects behind objects, and questions that fit more than one object.

Source: DEX-AR, appendices J and K. Localisation stands beside what it took: passes, seconds and memory.
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
from dexar_widgets.lab.evaluate import answers_to
from dexar_widgets.lab.language import Answer, Turn
from dexar_widgets.lab.scenes import Scene, render
from dexar_widgets.lab.stories import crowd
from dexar_widgets.lab.trust.gates import by_method, result, table
from dexar_widgets.lab.trust.localisation import normalised_grounding
from dexar_widgets.lab.trust.observe import energy
from dexar_widgets.lab.trust.truth import beginning, explained, marks_of
from dexar_widgets.maps import coverage
from dexar_widgets.statistics import mean
from dexar_widgets.types import Grid

if TYPE_CHECKING:
    from dexar_widgets.vlm import VLM

__all__ = ["KINDS", "complexity", "hard_scene", "observe_complexity"]

KINDS = ("crowded", "occluded", "ambiguous prompt")
_PROMPT = "Describe the image."
_SAID = 0.5


def hard_scene(seed: int) -> Scene:
    """A crowd of six, four that hide each other, or two objects of a colour and a question about that colour."""
    kind = KINDS[seed % len(KINDS)]
    if kind == "crowded":
        return crowd(seed, objects=6, overlap=0.0, sizes=(0.15, 0.4), prompt=_PROMPT)
    if kind == "occluded":
        return crowd(seed, objects=3, overlap=0.5, sizes=(0.3, 0.5), prompt=_PROMPT)
    spec = specification(seed, objects=random.Random(seed).choice((2, 3)), same_class=0.0)
    first, second, *rest = spec.objects
    if second.name == first.name:
        second = replace(second, name="star" if first.name != "star" else "cat")
    spec = replace(spec, objects=(first, replace(second, colour=first.colour), *rest))
    return replace(render(spec), prompt=f"Which object is {first.colour}?")


def observe_complexity(vlm: "VLM", scene: Scene, methods: Sequence[str], *, number: int = 0) -> pd.DataFrame:
    """A row per method and class word of the caption; of an ambiguous question the class word the model chose."""
    kind = KINDS[number % len(KINDS)]
    if kind == KINDS[-1]:
        rows = list(_ambiguous(vlm, scene, methods))
    else:
        e = explained(vlm, scene, methods)
        rows = []
        for step, mark in zip(e.steps, marks_of(e, scene.marks), strict=True):
            if mark.role == "class":
                rows += _rows(e, [step], scene, mark.objects[0], methods)
    return pd.DataFrame(rows or [{"method": method} for method in methods]).assign(scene=number, kind=kind)


def _ambiguous(vlm: "VLM", scene: Scene, methods: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The model chooses; its word's map should lie on the object of that class, not on the other of that colour."""
    (answer,) = answers_to(vlm, [(scene.spec, Turn(scene.prompt, Answer("", ()), "which"))])
    chosen = [index for index in (0, 1) if scene.spec.objects[index].name in answer]
    if len(chosen) != 1:
        return
    e = dx.compare(vlm, scene.image, scene.prompt, methods=list(methods), answer=beginning(vlm) + answer)
    name = scene.spec.objects[chosen[0]].name
    steps = next((list(word.steps) for word in e.generation.words if word.text.strip(" .,") == name), None)
    if steps is not None:
        yield from _rows(e, steps, scene, chosen[0], methods)


def _rows(
    e: Explanation, steps: Sequence[int], scene: Scene, index: int, methods: Sequence[str]
) -> Iterator[dict[str, Any]]:
    grid: Grid = e.layout.grids[0]
    masks = scene.visible
    if not masks[index].any():
        return
    best = coverage(masks[index], grid)
    even, ideal = (energy(one, grid, masks).shares for one in (np.ones_like(best), best))
    for method in methods:
        attribution = e.attributions[method]
        found, cost = energy(attribution.heatmap(list(steps)).values.astype(float), grid, masks), attribution.cost
        others = np.delete(found.shares / even, index)
        yield {
            "method": method,
            "step": steps[0],
            "probability": float(np.exp(e.generation.log_probs[list(steps)].sum())),
            "own": found.shares[index],
            "area": even[index],
            "oracle": ideal[index],
            "empty": found.total == 0,
            "first": bool(found.shares[index] / even[index] > others.max(initial=0.0)),
            "forwards": cost.forwards,
            "backwards": cost.backwards,
            "seconds": cost.shared + cost.own,
            "peak_bytes": np.nan if cost.peak_bytes is None else cost.peak_bytes,
        }


def complexity(seen: pd.DataFrame) -> pd.DataFrame:
    """NG and how often the named object is the brightest, per kind of scene; passes, seconds and memory."""
    rows: list[dict[str, Any]] = []
    if "own" not in seen:
        return table(rows)
    cases = seen[seen["probability"] >= _SAID]
    for kind in KINDS:
        for name, some in by_method(cases[cases["kind"] == kind], seen):
            scenes = some["scene"].to_numpy()
            note = f"{int(some['empty'].sum())} empty maps count as chance"
            rows.append(
                result(
                    "complex",
                    f"NG, {kind}",
                    mean(normalised_grounding(some), scenes),
                    chance=0.0,
                    note=note,
                    method=name,
                )
            )
            found = mean(some["first"].to_numpy(float), scenes)
            rows.append(result("complex", f"the named object is the brightest, {kind}", found, method=name))
    for method, some in seen.dropna(subset="own").groupby("method", sort=False):
        scenes = some["scene"].to_numpy()
        for column, what, unit in (
            ("forwards", "passes after the answer", 1.0),
            ("backwards", "backward passes", 1.0),
            ("seconds", "seconds after the answer", 1.0),
            ("peak_bytes", "peak memory, MB", 1e-6),
        ):
            found = mean(some[column].to_numpy(float) * unit, scenes)
            rows.append(result("complex", what, found, method=str(method)))
    return table(rows)
