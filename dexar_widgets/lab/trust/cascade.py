"""T11: do maps change when the model forgets what it learned, from the last layer down to the first?

The answer stays. A map that looks the same afterwards shows the picture, not the model: `edges` and `centre` must, and
do, fail. `randomisation` tells what is drawn anew, and in which order.

Source: Adebayo et al. (NeurIPS 2018), the cascading randomisation; Hedström et al. (2024, arXiv 2401.06465), the rise
of a map's entropy.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from dexar_widgets.lab.scenes import Scene
from dexar_widgets.lab.scenes import scene as draw
from dexar_widgets.lab.trust.gates import result, table
from dexar_widgets.lab.trust.observe import areas, energy
from dexar_widgets.lab.trust.truth import decided, explained
from dexar_widgets.plugins import get
from dexar_widgets.randomisation import STAGES, randomised
from dexar_widgets.statistics import entropy, mean, spearman

if TYPE_CHECKING:
    from dexar_widgets.explanation import Explanation
    from dexar_widgets.vlm import VLM

__all__ = ["cascade", "observe_cascade"]


def observe_cascade(vlm: "VLM", scene: Scene, methods: Sequence[str], *, number: int = 0) -> pd.DataFrame:
    """A row per method, stage and word that names an object: likeness to the trained model's map, entropy, energy.

    Rows of stage "another scene" tell the likeness of the trained model's maps of two scenes: what is left of a
    method's maps when nothing of this scene is.
    """
    before = explained(vlm, scene, methods)
    places = decided(vlm, before, scene, seed=number)
    other = draw(number + 1, objects=len(scene.spec.objects), size=len(scene.image), prompt=scene.prompt)
    another = explained(vlm, other, methods)
    rows = [row | {"stage": "another scene"} for row in _rows(another, before, scene, places, methods)]
    after = {"trained": before} | {
        stage: explained(changed, scene, methods) for stage, changed in randomised(vlm, seed=number)
    }
    for stage, e in after.items():
        rows += [row | {"stage": stage} for row in _rows(e, before, scene, places, methods)]
    columns = None if rows else ["method", "stage", "likeness", "entropy", "rise", "own", "area"]
    return pd.DataFrame(rows, columns=columns).assign(scene=number)


def _rows(
    e: "Explanation", before: "Explanation", scene: Scene, places: Sequence[tuple[int, int]], methods: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Of words that the trained model says and the image decides; a constant map has neither likeness nor rise."""
    grid = e.layout.grids[0]
    for place, index in places:
        mask = scene.visible[index : index + 1]
        even = areas(grid, mask)[0]
        for method in methods:
            one = before.attributions[method].maps[place].astype(float)
            other = e.attributions[method].maps[min(place, len(e.steps) - 1)].astype(float)
            likeness = spearman(one.ravel(), other.ravel())
            yield {
                "method": method,
                "step": before.steps[place],
                "likeness": likeness,
                "entropy": entropy(other),
                "rise": entropy(other) / entropy(one) - 1 if np.isfinite(likeness) else np.nan,
                "own": energy(other, grid, mask).shares[0],
                "area": even,
            }


def cascade(seen: pd.DataFrame) -> pd.DataFrame:
    """|ρ| with the trained model's map after every stage, the rise of entropy, and the energy left on the object."""
    return table([row for name, cases in seen.groupby("method", sort=False) for row in _of_method(str(name), cases)])


def _of_method(name: str, cases: pd.DataFrame) -> Iterator[dict[str, Any]]:
    fixed = get("methods", name).CONTROL
    others = np.abs(cases[cases["stage"] == "another scene"]["likeness"].to_numpy(float))
    chance = float(np.nanmean(others)) if np.isfinite(others).any() else float("nan")
    for stage in STAGES:
        some = cases[cases["stage"] == stage]
        alike = mean(np.abs(some["likeness"].to_numpy(float)), some["scene"].to_numpy())
        gate = None
        if stage == STAGES[-1]:
            gate = "T11 end" if not fixed else "T11 control" if name in ("edges", "centre") else None
        note = f"{int(some['likeness'].isna().sum())} of {len(some)} maps are constant and left out"
        told = {"gate": gate, "by_construction": fixed, "chance": chance, "note": note, "method": name}
        yield result("T11", f"|ρ| after {stage}", alike, **told)
    scenes = some["scene"].to_numpy()
    rise = mean(some["rise"].to_numpy(float), scenes)
    gate = None if fixed else "T11 entropy"
    yield result("T11", "rise of entropy at the end", rise, gate=gate, chance=0.0, note=note, method=name)
    apart = mean((some["own"] - some["area"]).fillna(0.0).to_numpy(float), scenes)
    what, gate = "energy on the object less its area, at the end", None if fixed else "T11 prevalence"
    yield result("T11", what, apart, gate=gate, chance=0.0, method=name)
