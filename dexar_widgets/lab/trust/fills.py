"""T13: does filling a region tell what its real removal tells?

On photographs an object cannot be removed, and perturbation metrics fill pixels with a mean colour or a blur, which no
model was trained on. Here both can be done: each object is filled, and the scene is drawn again without it. Where the
two disagree, numbers of perturbation metrics speak of the filling.

Source of the question: Hooker et al. (NeurIPS 2019, ROAR), on images out of distribution.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import UInt8

from dexar_widgets.lab.scenes import Scene
from dexar_widgets.lab.trust.gates import result, table
from dexar_widgets.lab.trust.truth import FILLER, GROUNDED, explained, marks_of, scores, truth
from dexar_widgets.perturb import How, hide
from dexar_widgets.statistics import mean, rate, spearman

if TYPE_CHECKING:
    from dexar_widgets.vlm import VLM

__all__ = ["FILLS", "fills", "observe_fills"]

FILLS: tuple[How, ...] = ("mean", "blur")


def observe_fills(vlm: "VLM", scene: Scene, methods: Sequence[str], *, number: int = 0) -> pd.DataFrame:  # noqa: ARG001
    """A row per class or colour word and object: the nats lost without the object, and with it filled in each way."""
    e = explained(vlm, scene, ["uniform"], keep="summary")
    removed = truth(vlm, e, scene, seed=number).of("removed")
    images: list[Callable[[], UInt8[np.ndarray, "height width 3"]]] = [lambda: scene.image]
    for how in FILLS:
        images += [partial(hide, scene.image, mask, how=how) for mask in scene.visible]
    whole, *rest = scores(vlm, e, images)
    filled = (whole - np.stack(rest)).reshape(len(FILLS), len(scene.visible), -1)
    rows: list[dict[str, Any]] = []
    for place, mark in enumerate(marks_of(e, scene.marks)):
        if mark.role in ("class", "colour"):
            for thing in range(len(scene.visible)):
                told = dict(zip(FILLS, filled[:, thing, place], strict=True))
                rows.append(
                    {"scene": number, "step": e.steps[place], "object": thing, "removed": removed[place, thing]} | told
                )
    return pd.DataFrame(rows)


def fills(seen: pd.DataFrame) -> pd.DataFrame:
    """Rank correlation within scenes, and how often a filling takes a nat where removal takes nothing."""
    found = []
    for how in FILLS:
        scenes = seen["scene"].unique()
        values = np.array([_alike(seen[seen["scene"] == number], how) for number in scenes])
        note = f"0.7 would be expected; {int(np.isnan(values).sum())} of {len(values)} scenes have no rank"
        what = "rank correlation of the nats lost, over a scene's named words and objects"
        found.append(result("T13", what, mean(values, scenes), method=how, chance=0.0, note=note))
        nothing = seen[np.abs(seen["removed"]) <= FILLER]
        false = (nothing[how] >= GROUNDED).to_numpy(bool)
        what = f"{GROUNDED:g} nat lost by filling, where removal changes at most {FILLER} nat"
        found.append(result("T13", what, rate(false, nothing["scene"].to_numpy()), method=how, chance=0.0))
    return table(found)


def _alike(scene: pd.DataFrame, how: str) -> float:
    return spearman(scene[how].to_numpy(float), scene["removed"].to_numpy(float))
