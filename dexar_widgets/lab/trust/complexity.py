"""DEX-AR and TAM where it is hard: crowds, objects behind objects, and questions that fit more than one object.

Source: DEX-AR, appendices J and K. Localisation stands beside what it took: passes, seconds and memory.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import Float

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
from dexar_widgets.lab.trust.truth import SAID, decided, explained
from dexar_widgets.lab.world import CROWD
from dexar_widgets.maps import coverage
from dexar_widgets.statistics import mean, rate
from dexar_widgets.types import Grid

if TYPE_CHECKING:
    from dexar_widgets.vlm import VLM

__all__ = ["COUNTS", "HIDDEN", "KINDS", "complexity", "hard_scene", "hidden", "observe_complexity"]

KINDS = ("crowded", "occluded", "ambiguous prompt")
_PROMPT = "Describe the image."
HIDDEN = {"seen whole": (0.0, 0.05), "hidden by 5 to 20 %": (0.05, 0.2), "hidden by 20 % and more": (0.2, 1.0)}
"""By the share of the object that others hide."""
COUNTS = {"up to 4 objects": (1, 5), "5 or 6 objects": (5, 7), "7 or 8 objects": (7, CROWD + 1)}


def hard_scene(seed: int) -> Scene:
    """A crowd, four of which one is half hidden, or two objects of a colour and a question about that colour."""
    kind, drawn = KINDS[seed % len(KINDS)], random.Random(f"hard scene {seed}")
    if kind == "crowded":
        return crowd(seed, objects=drawn.randint(3, CROWD), overlap=drawn.uniform(0, 0.6), prompt=_PROMPT)
    if kind == "occluded":
        while True:
            found = crowd(drawn.getrandbits(30), objects=4, overlap=0.6, sizes=(0.25, 0.5), prompt=_PROMPT)
            if ((hidden(found) >= 0.2) & (hidden(found) <= 0.6)).any():
                return found
    spec = specification(seed, objects=drawn.choice((2, 3)), same_class=0.0)
    first, second, *rest = spec.objects
    if second.name == first.name:
        second = replace(second, name="star" if first.name != "star" else "cat")
    spec = replace(spec, objects=(first, replace(second, colour=first.colour), *rest))
    return replace(render(spec), prompt=f"Which object is {first.colour}?")


def hidden(scene: Scene) -> Float[np.ndarray, " object"]:
    """The share of each object that others hide."""
    return np.asarray(1 - scene.visible.sum((1, 2)) / np.maximum(scene.masks.sum((1, 2)), 1))


def observe_complexity(vlm: "VLM", scene: Scene, methods: Sequence[str], *, number: int = 0) -> pd.DataFrame:
    """A row per method and class word of the caption; of an ambiguous question the class word the model chose."""
    told: dict[str, Any] = {"scene": number, "kind": KINDS[number % len(KINDS)], "kept": np.nan}
    if told["kind"] == KINDS[-1]:
        rows = list(_ambiguous(vlm, scene, methods))
    else:
        e = explained(vlm, scene, methods)
        places, words = decided(vlm, e, scene, seed=number, roles=("class",)), len(scene.spec.objects)
        rows = [row for place, index in places for row in _rows(e, [e.steps[place]], scene, index, methods)]
        told["kept"] = len({index for _, index in places}) / words
    return pd.DataFrame(rows or [{"method": method} for method in methods]).assign(**told)


def _ambiguous(vlm: "VLM", scene: Scene, methods: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The model chooses; its word's map should lie on the object of that class, not on the other of that colour."""
    (answer,) = answers_to(vlm, [(scene.spec, Turn(scene.prompt, Answer("", ()), "which"))])
    chosen = [index for index in (0, 1) if scene.spec.objects[index].name in answer]
    if len(chosen) != 1:
        return
    e = dx.compare(vlm, scene.image, scene.prompt, methods=list(methods), answer=answer)
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
    others = np.delete(even, index)  # 0 of an object that is wholly hidden, which cannot be the brightest
    for method in methods:
        attribution = e.attributions[method]
        found, cost = energy(attribution.heatmap(list(steps)).values.astype(float), grid, masks), attribution.cost
        bright = np.delete(found.shares, index) / np.where(others > 0, others, np.inf)
        yield {
            "method": method,
            "step": steps[0],
            "probability": float(np.exp(e.generation.log_probs[list(steps)].sum())),
            "own": found.shares[index],
            "area": even[index],
            "oracle": ideal[index],
            "empty": found.total == 0,
            "first": bool(found.shares[index] / even[index] > bright.max(initial=0.0)),
            "seen": 1 + int((others > 0).sum()),
            "objects": len(masks),
            "hidden": float(hidden(scene)[index]),
            "forwards": cost.forwards,
            "backwards": cost.backwards,
            "seconds": cost.shared + cost.own,
            "peak_bytes": np.nan if cost.peak_bytes is None else cost.peak_bytes,
        }


def complexity(seen: pd.DataFrame) -> pd.DataFrame:
    """NG and how often the named object is the brightest, by kind, by what is hidden and by number; then the costs."""
    rows: list[dict[str, Any]] = []
    if "own" not in seen:
        return table(rows)
    cases = seen[seen["probability"] >= SAID]
    for kind in KINDS:
        kept = seen[seen["kind"] == kind].drop_duplicates("scene")
        if kept["kept"].notna().any():
            share = mean(kept["kept"].to_numpy(float), kept["scene"].to_numpy())
            rows.append(result("complex", f"share of objects whose word is said and decided, {kind}", share))
        rows += _scored(cases[cases["kind"] == kind], seen, kind)
    told = cases[cases["kind"] != KINDS[-1]]
    for column, bins in (("hidden", HIDDEN), ("objects", COUNTS)):
        for what, (low, high) in bins.items():
            rows += _scored(told[(told[column] >= low) & (told[column] < high)], seen, what)
    return table(rows + list(_costs(seen.dropna(subset="own").drop_duplicates(["scene", "method"]))))


def _scored(cases: pd.DataFrame, seen: pd.DataFrame, which: str) -> Iterator[dict[str, Any]]:
    for name, some in by_method(cases, seen):
        scenes = some["scene"].to_numpy()
        note = f"{int(some['empty'].sum())} empty maps count as chance"
        grounding = mean(normalised_grounding(some), scenes)
        yield result("complex", f"NG, {which}", grounding, chance=0.0, note=note, method=name)
        chance = float((1 / some["seen"].astype(float)).mean())
        first = np.where(some["empty"].astype(bool), 1 / some["seen"].astype(float), some["first"].astype(float))
        found = rate(first, scenes)
        what = f"the named object is the brightest, {which}"
        yield result("complex", what, found, chance=chance, note=note, method=name)


def _costs(scenes: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for method, some in scenes.groupby("method", sort=False):
        for column, what, unit in (
            ("forwards", "passes after the answer", 1.0),
            ("backwards", "backward passes", 1.0),
            ("seconds", "seconds after the answer", 1.0),
            ("peak_bytes", "peak memory, MB", 1e-6),
        ):
            found = mean(some[column].to_numpy(float) * unit, some["scene"].to_numpy())
            yield result("complex", f"{what}, of a scene", found, method=str(method))
