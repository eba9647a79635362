"""T11: do maps change when the model forgets what it learned, from the last layer down to the first?

Weights are drawn anew on a copy of the model: unembedding, decoder blocks, what lies between tower and decoder, vision
tower, each on top of those before. The answer stays. A map that looks the same afterwards shows the picture, not the
model: `edges` and `centre` must, and do, fail.

Source: Adebayo et al. (NeurIPS 2018), the cascading randomisation; Hedström et al. (2024, arXiv 2401.06465), the rise
of a map's entropy. Differs: all blocks of the decoder at once; new weights have the old ones' deviation, so that the
copy stays finite; vectors (norms and biases) are shuffled. Where the unembedding is tied to the embeddings, those
change with it.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import nn

from dexar_widgets.lab.scenes import Scene
from dexar_widgets.lab.templates import GRID
from dexar_widgets.lab.trust.gates import result, table
from dexar_widgets.lab.trust.observe import energy
from dexar_widgets.lab.trust.truth import explained, marks_of
from dexar_widgets.plugins import get
from dexar_widgets.statistics import mean, spearman

if TYPE_CHECKING:
    from dexar_widgets.explanation import Explanation
    from dexar_widgets.vlm import VLM

__all__ = ["STAGES", "cascade", "entropy", "observe_cascade", "randomised"]

STAGES = ("unembedding", "decoder", "projector", "vision")
"""In the order in which they are drawn anew, each on top of those before."""
BINS = 100
CHANCE = (2 / (np.pi * (GRID**2 - 1))) ** 0.5
"""Mean |ρ| of two maps of independent cells (ρ is about normal, of variance 1 ÷ (n − 1)); smooth maps have more."""


def randomised(vlm: "VLM", *, seed: int = 0) -> Iterator[tuple[str, "VLM"]]:
    """The model after each stage, on one copy that goes on changing; the model itself stays as it is."""
    model = copy.deepcopy(vlm.model)
    changed = replace(vlm, model=model)
    anatomy, generator = changed.anatomy, torch.Generator().manual_seed(seed)
    vision, decoder = set(anatomy.vision_tower.parameters()), set()
    own = () if anatomy.own is None else anatomy.own.blocks
    for block in (*anatomy.blocks, *own, *(() if anatomy.encoder is None else anatomy.encoder.blocks)):
        decoder |= set(block.parameters())
    head = set(anatomy.unembedding.parameters())
    rest = set(model.parameters()) - vision - decoder - head
    for stage, weights in zip(STAGES, (head, decoder, rest, vision), strict=True):
        for weight in model.parameters():  # in the model's order: a set has none
            if weight in weights:
                _draw(weight, generator)
        yield stage, changed


def _draw(weight: nn.Parameter, generator: torch.Generator) -> None:
    with torch.no_grad():
        if weight.ndim > 1:
            new = torch.randn(weight.shape, generator=generator) * float(weight.std())
        else:
            new = weight[torch.randperm(len(weight), generator=generator).to(weight.device)]
        weight.copy_(new)


def entropy(values: Float[np.ndarray, "row col"]) -> float:
    """Of the histogram of a map's values, in nats: large where a map is disordered."""
    counts = np.histogram(values, BINS)[0]
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def observe_cascade(vlm: "VLM", scene: Scene, methods: Sequence[str], *, number: int = 0) -> pd.DataFrame:
    """A row per method, stage and class or colour word: likeness to the trained model's map, entropy, energy."""
    before = explained(vlm, scene, methods)
    rows = [row | {"stage": "trained"} for row in _rows(before, before, scene, methods)]
    for stage, changed in randomised(vlm, seed=number):
        rows += [row | {"stage": stage} for row in _rows(explained(changed, scene, methods), before, scene, methods)]
    return pd.DataFrame(rows).assign(scene=number)


def _rows(e: "Explanation", before: "Explanation", scene: Scene, methods: Sequence[str]) -> Iterator[dict[str, Any]]:
    grid = e.layout.grids[0]
    for place, mark in enumerate(marks_of(e, scene.marks)):
        if mark.role not in ("class", "colour"):
            continue
        mask = scene.visible[list(mark.objects)]
        even = energy(np.ones((grid.rows, grid.cols)), grid, mask).shares[0]
        for method in methods:
            one, other = (found.attributions[method].maps[place].astype(float) for found in (before, e))
            yield {
                "method": method,
                "step": e.steps[place],
                "likeness": spearman(one.ravel(), other.ravel()),
                "entropy": entropy(other),
                "rise": entropy(other) / entropy(one) - 1 if entropy(one) else np.nan,
                "own": energy(other, grid, mask).shares[0],
                "area": even,
            }


def cascade(seen: pd.DataFrame) -> pd.DataFrame:
    """|ρ| with the trained model's map after every stage, the rise of entropy, and the energy left on the object."""
    rows: list[dict[str, Any]] = []
    for method, cases in seen.groupby("method", sort=False):
        name = str(method)
        fixed = get("methods", name).CONTROL
        for stage in STAGES:
            some = cases[cases["stage"] == stage]
            last, told = stage == STAGES[-1], {"method": name}
            scenes = some["scene"].to_numpy()
            alike = mean(np.abs(some["likeness"].to_numpy(float)), scenes)
            gate = (
                None if not last else "T11 end" if not fixed else "T11 control" if name in ("edges", "centre") else None
            )
            note = "no map left" if not alike.n else ""
            rows.append(result("T11", f"|ρ| after {stage}", alike, gate=gate, chance=CHANCE, note=note, **told))
            if last:
                rise = mean(some["rise"].to_numpy(float), scenes)
                gate = None if fixed else "T11 entropy"
                rows.append(result("T11", "rise of entropy at the end", rise, gate=gate, chance=0.0, **told))
                apart = (some["own"] - some["area"]).fillna(0.0).to_numpy(float)
                rows.append(
                    result(
                        "T11", "energy on the object less its area, at the end", mean(apart, scenes), chance=0.0, **told
                    )
                )
    return table(rows)
