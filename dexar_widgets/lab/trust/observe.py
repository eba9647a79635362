"""Every method's maps of one scene, beside what each word depends on: a row per word piece and method."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from dexar_widgets.attribution import Attribution
from dexar_widgets.explanation import Explanation
from dexar_widgets.lab.language import Mark
from dexar_widgets.lab.scenes import Scene
from dexar_widgets.lab.trust.truth import FILLER, Truth, explained, marks_of, truth
from dexar_widgets.maps import coverage, upsample
from dexar_widgets.statistics import spearman
from dexar_widgets.types import Grid, HeatMap

if TYPE_CHECKING:
    from dexar_widgets.vlm import VLM

__all__ = [
    "CONTROLS",
    "ORACLES",
    "SLOW",
    "Energy",
    "Sight",
    "areas",
    "energy",
    "judged",
    "observe",
    "over_area",
    "sights",
]

SLOW = ("rise", "integrated_gradients", "iia")
"""Methods that take more than a second for a scene: fewer scenes, and only words that name an object or a colour."""
ORACLES = ("oracle", "inverted oracle")
"""Maps made of the masks: what a perfect map, and a perfectly wrong one, score on this grid."""
CONTROLS = ("random", "uniform", "centre", "edges")
"""Methods that know nothing of the model: nothing is expected of them but chance."""
SEVERAL = 3
"""Fewest objects among which a rank correlation is taken."""


@dataclass(frozen=True, eq=False)
class Sight:
    """Maps of the explained steps and, where the method weighs steps, their weights (else NaN).

    ``averaged``: the weights by the avg filter, which DEX-AR alone has.
    """

    maps: Float[np.ndarray, "step row col"]
    weights: Float[np.ndarray, " step"]
    averaged: Float[np.ndarray, " step"]


@dataclass(frozen=True, eq=False)
class Energy:
    """Where a map's positive part lies: its sum, the share on each mask, and on which masks its peak is."""

    total: float
    shares: Float[np.ndarray, " mask"]
    hits: Bool[np.ndarray, " mask"]


def energy(values: Float[np.ndarray, "row col"], grid: Grid, masks: Bool[np.ndarray, "mask height width"]) -> Energy:
    """As `dexar_widgets.metrics.energy_pointing_game`, for several masks at once; NaN where there is no energy."""
    enlarged = upsample(HeatMap(np.asarray(values, np.float32), grid, "", ())).values
    positive = np.maximum(enlarged, 0).astype(float).ravel()
    total, flat = float(positive.sum()), masks.reshape(len(masks), -1)
    if total == 0:
        return Energy(total, np.full(len(masks), np.nan), np.zeros(len(masks), bool))
    return Energy(total, np.array([positive[mask].sum() for mask in flat]) / total, flat[:, int(enlarged.argmax())])


def areas(grid: Grid, masks: Bool[np.ndarray, "mask height width"]) -> Float[np.ndarray, " mask"]:
    """The share of its energy that a map of the same value everywhere has on each mask."""
    return energy(np.ones((grid.rows, grid.cols)), grid, masks).shares


def over_area(share: pd.Series, area: pd.Series) -> Float[np.ndarray, " case"]:
    """A share of a map's energy ÷ the area it lies on; an empty map has no share, and counts as chance (1)."""
    return (share / area).fillna(1.0).to_numpy(float)


def sights(e: Explanation, methods: Sequence[str]) -> dict[str, Sight]:
    """Each method's maps and weights; weights of 1 say nothing and become NaN."""
    average = e.step_weights(filler_filter="avg")
    return {method: _sight(e.attributions[method], average if method == "dexar" else None) for method in methods}


def _sight(found: Attribution, averaged: Float[np.ndarray, " step"] | None) -> Sight:
    if found.whole:
        raise ValueError(f"{found.method} gave one map of the whole answer; ask for one per step (target='step').")
    nothing = np.full(len(found.maps), np.nan)
    weights = nothing if (found.weights == 1).all() else found.weights
    return Sight(found.maps.astype(float), weights, nothing if averaged is None else averaged)


def observe(
    vlm: "VLM",
    scene: Scene,
    methods: Sequence[str],
    *,
    number: int = 0,
    named_only: bool = False,
) -> pd.DataFrame:
    """Give the model the scene's true caption, take every method's maps of it, and look at both.

    Parameters
    ----------
    number
        The scene's number in the tables; it also draws the counterfactuals' colours and backgrounds.
    named_only
        Explain only the pieces of words that name a class or a colour: for slow methods.
    """
    steps = None
    if named_only:
        first = explained(vlm, scene, ["uniform"], keep="summary")
        marks = marks_of(first, scene.marks)
        steps = [step for step, mark in zip(first.steps, marks, strict=True) if _object_of(mark) is not None]
    e = explained(vlm, scene, methods, steps=steps)
    return judged(e, scene, truth(vlm, e, scene, seed=number), sights(e, methods), number=number)


def judged(e: Explanation, scene: Scene, known: Truth, seen: Mapping[str, Sight], *, number: int) -> pd.DataFrame:
    """A row per explained step and method, the oracles among them.

    ``own`` is the share of the map's energy on the object that the word names (NaN: none, or an empty map), ``area``
    what a uniform map has there, ``oracle`` what the best map of this grid has; ``agreement`` the rank correlation,
    over objects, between the energy on each and the nats lost without it. ``own_risen`` and ``agreement_risen`` are
    those of the map less its minimum: a constant that is added to a map hides what it shows. ``agreement_tied`` takes
    changes of no more than a filler's for 0, and ``removed`` is the largest change by removing an object. ``weight`` is
    what the method lets the step count for, ``mass`` the sum of its positive map. ``reclassed``: nats that the word
    loses with a look-alike in its object's place.
    """
    rows: list[dict[str, Any]] = []
    for place, mark in enumerate(marks_of(e, scene.marks)):
        word = _word(e, scene, known, place, mark) | {"scene": number}
        rows += (word | told for told in _told(e.layout.grids[0], scene, known, seen, place, mark))
    return pd.DataFrame(rows)


def _object_of(mark: Mark) -> int | None:
    named = mark.role in ("class", "colour") and len(mark.objects) == 1
    return mark.objects[0] if named else None


def _word(e: Explanation, scene: Scene, known: Truth, place: int, mark: Mark) -> dict[str, Any]:
    step, thing = e.steps[place], _object_of(mark)
    swapped = np.nan if thing is None else known.of("reclassed")[place, thing]
    return {
        "step": step,
        "piece": e.generation.pieces[step],
        "word": mark.word,
        "role": mark.role,
        "content": mark.content,
        "object": -1 if thing is None else thing,
        "objects": len(scene.spec.objects),
        "probability": float(np.exp(known.log_probs[place])),
        "reclassed": float(swapped),
        "largest": float(known.effects[place].max()),
        "removed": float(np.abs(known.of("removed")[place]).max()),
        "grounded": bool(known.grounded[place]),
        "filler": bool(known.filler[place]),
    }


def _told(
    grid: Grid, scene: Scene, known: Truth, seen: Mapping[str, Sight], place: int, mark: Mark
) -> Iterator[dict[str, Any]]:
    """What each method says of one step; maps are looked at where the word names an object."""
    thing, masks = _object_of(mark), scene.visible
    if thing is None:
        for method, sight in seen.items():
            yield {"method": method} | _read(sight, place)
        return
    best = coverage(masks[thing], grid)
    even, ideal = (energy(one, grid, masks[thing : thing + 1]).shares[0] for one in (np.ones_like(best), best))
    removed = known.of("removed")[place]
    clear = np.where(np.abs(removed) <= FILLER, 0.0, removed)
    made = {ORACLES[0]: best, ORACLES[1]: 1 - best}
    readings = {method: _read(sight, place) for method, sight in seen.items()}
    for method, values in ({name: sight.maps[place] for name, sight in seen.items()} | made).items():
        found, risen = energy(values, grid, masks), energy(values - values.min(), grid, masks)
        several = known.grounded[place] and len(masks) >= SEVERAL and found.total > 0
        yield (
            {"method": method}
            | readings.get(method, {})
            | {
                "own": found.shares[thing],
                "area": even,
                "oracle": ideal,
                "hit": bool(found.hits[thing]),
                "empty": found.total == 0,
                "agreement": spearman(found.shares, removed) if several else np.nan,
                "agreement_tied": spearman(found.shares, clear) if several else np.nan,
                "own_risen": risen.shares[thing],
                "agreement_risen": spearman(risen.shares, removed) if several and risen.total > 0 else np.nan,
            }
        )


def _read(sight: Sight, place: int) -> dict[str, float]:
    mass = float(np.maximum(sight.maps[place], 0).sum())
    return {"weight": sight.weights[place], "weight_avg": sight.averaged[place], "mass": mass}
