"""What the head filter does, by the size of the object and for words of the background; and where DEX-AR loses.

The paper says that the filter helps most where objects are small, and asks of a background word that its map is the
background. The second half looks for the reason where DEX-AR does not localise as well as attention × gradient: depth,
head filter, text set, the norms of the values, and energy on cells that are not attended.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import Float

import dexar_widgets as dx
from dexar_widgets import engine
from dexar_widgets.explanation import Explanation
from dexar_widgets.lab.language import ask
from dexar_widgets.lab.scenes import Scene
from dexar_widgets.lab.stories import crowd
from dexar_widgets.lab.trust.gates import result, table
from dexar_widgets.lab.trust.localisation import compared, normalised_grounding
from dexar_widgets.lab.trust.observe import energy
from dexar_widgets.lab.trust.truth import SAID, decided, explained, marks_of
from dexar_widgets.maps import coverage, on_grid, visual_tokens
from dexar_widgets.statistics import holm, mean
from dexar_widgets.types import Grid

if TYPE_CHECKING:
    from dexar_widgets.vlm import VLM

__all__ = ["FILTERS", "filters", "observe_filters", "observe_reasons", "of_many_sizes", "reasons"]

FILTERS = ("none", "max", "avg")
SIZES = {"small": (0.0, 0.22), "trained": (0.22, 0.47), "large": (0.47, 1.0)}
"""By the object's side, in sides of the scene; the models were trained on sides of 0.25 to 0.46."""


def of_many_sizes(seed: int) -> Scene:
    """Two objects of any size, none in front of the other."""
    return crowd(seed, objects=2, overlap=0.0, sizes=(0.1, 0.6), prompt="Describe the image.")


def _row(values: np.ndarray, grid: Grid, mask: np.ndarray) -> dict[str, Any]:
    """A map's share on one mask, what a uniform and the best map have there, and whether it is empty."""
    best = coverage(mask, grid)
    even, ideal, found = (energy(one, grid, mask[None]) for one in (np.ones_like(best), best, values))
    return {"own": found.shares[0], "area": even.shares[0], "oracle": ideal.shares[0], "empty": found.total == 0}


def observe_filters(vlm: "VLM", scene: Scene, methods: Sequence[str], *, number: int = 0) -> pd.DataFrame:  # noqa: ARG001
    """A row per head filter and class word, and per head filter for the word that names the background."""
    e = explained(vlm, scene, ["dexar"])
    grid, rows = e.layout.grids[0], []
    words = decided(vlm, e, scene, seed=number, roles=("class",))
    kept = len({index for _, index in words}) / len(scene.spec.objects)
    for place, index in words:
        told = {"kind": "class", "side": scene.spec.objects[index].size, "step": e.steps[place]}
        rows += [told | one for one in _by_filter(e, e.steps[place], grid, scene.visible[index])]
    turn = ask(random.Random(number), scene.spec, "background")
    assert turn is not None, "every scene has a background"
    e = dx.explain(vlm, scene.image, turn.question, answer=turn.answer.text)
    for step, mark in zip(e.steps, marks_of(e, turn.answer.marks), strict=True):
        if mark.role == "background":
            told = {"kind": "background", "side": np.nan, "step": step}
            rows += [told | one for one in _by_filter(e, step, grid, scene.background)]
    return pd.DataFrame(rows).assign(scene=number, kept=kept)


def _by_filter(e: Explanation, step: int, grid: Grid, mask: np.ndarray) -> Iterator[dict[str, Any]]:
    said = float(np.exp(e.generation.log_probs[step]))
    for name in FILTERS:
        values = e.heatmap(step, head_filter=name).values.astype(float)  # type: ignore[arg-type]  # one of Filter
        yield {"method": f"dexar, head filter {name}", "probability": said} | _row(values, grid, mask)


def filters(seen: pd.DataFrame) -> pd.DataFrame:
    """NG of every head filter by size and for words of the background, and each less no filter."""
    once = seen.drop_duplicates("scene")
    kept = mean(once["kept"].to_numpy(float), once["scene"].to_numpy())
    rows = [result("filters", "share of objects whose word is said and decided", kept)]
    cases = seen[seen["probability"] >= SAID]
    words = cases[cases["kind"] == "class"]
    for size, (low, high) in SIZES.items():
        some = words[(words["side"] >= low) & (words["side"] < high)]
        rows += _compared(some, f"NG, {size} objects (side {low:g} to {high:g})")
    rows += _compared(cases[cases["kind"] == "background"], "NG, words of the background")
    return table(rows)


def _compared(cases: pd.DataFrame, what: str) -> list[dict[str, Any]]:
    cases, rows = cases.assign(score=normalised_grounding(cases)), []
    for method, some in cases.groupby("method", sort=False):
        note = f"{int(some['empty'].sum())} empty maps count as chance"
        found = mean(some["score"].to_numpy(float), some["scene"].to_numpy())
        rows.append(result("filters", what, found, method=str(method), chance=0.0, note=note))
    return rows + _less(cases, f"{what}, less that without a filter", "dexar, head filter none")


def _less(cases: pd.DataFrame, what: str, against: str) -> list[dict[str, Any]]:
    found = compared(cases, against)
    adjusted = holm([one.p for _, one in found])
    return [
        result("filters", what, replace(one, p=p), method=name, chance=0.0)
        for (name, one), p in zip(found, adjusted, strict=True)
    ]


def observe_reasons(vlm: "VLM", scene: Scene, methods: Sequence[str], *, number: int = 0) -> pd.DataFrame:  # noqa: ARG001
    """A row per variant of DEX-AR and class or colour word; in each, where the word's energy is not attended."""
    e = explained(vlm, scene, ["dexar", "dexar_use", "attn_grad", "attention"], keep="full")
    grid, rows = e.layout.grids[0], []
    norms = _value_norms(vlm, e)
    for place, index in decided(vlm, e, scene, seed=number):
        mask, step = scene.visible[index], e.steps[place]
        told = {"step": step, "probability": float(np.exp(e.generation.log_probs[step]))}
        told |= _beside_attention(e, place, norms, coverage(mask, grid))
        for name, values in _variants(e, place, norms).items():
            rows.append(told | {"method": name} | _row(values, grid, mask))
    return pd.DataFrame(rows).assign(scene=number)


def _variants(
    e: Explanation, place: int, norms: Float[np.ndarray, "layer head visual"]
) -> Mapping[str, Float[np.ndarray, "row col"]]:
    step = e.steps[place]
    found = {"all layers (the default)": e.heatmap(step).values}
    for layer in range(len(e.layers)):
        found[f"layer {layer} alone"] = e.heatmap(step, layers=layer).values
    for name in ("none", "avg"):
        found[f"head filter {name}"] = e.heatmap(step, head_filter=name).values
    for text_set in ("no_special", "content", "answer"):
        found[f"text set {text_set}"] = e.heatmap(step, text_set=text_set).values
    direction = np.maximum(e.visual_gradients(step), 0) / np.maximum(norms, 1e-12)
    found["no filter, values of norm 1"] = on_grid(direction.sum((0, 1)), e.layout)
    for name in ("attn_grad", "dexar_use"):
        found[f"times attention: {name}"] = e.attributions[name].maps[place]
    return {name: values.astype(float) for name, values in found.items()}


def _value_norms(vlm: "VLM", e: Explanation) -> Float[np.ndarray, "layer head visual"]:
    """‖v‖ of every layer, query head and visual token."""
    said = engine.resume(vlm, engine.encode(vlm, e.example), e.generation)
    visual = visual_tokens(e.layout)
    found = []
    for values in said.context.values(cross_attention=vlm.anatomy.cross_attention):
        norms = values[:, visual].float().norm(dim=-1).cpu().numpy().astype(float)
        found.append(np.repeat(norms, vlm.anatomy.heads // len(norms), axis=0))
    return np.stack(found)


def _beside_attention(
    e: Explanation, place: int, norms: Float[np.ndarray, "layer head visual"], cover: Float[np.ndarray, "row col"]
) -> dict[str, float]:
    """DEX-AR's energy on cells that get less than an even share of attention, and how values differ off the object."""
    attention = e.attributions["attention"].maps[place].astype(float)
    values = np.maximum(e.attributions["dexar"].maps[place].astype(float), 0)
    off, even = cover == 0, attention.mean()
    total = values.sum()
    size = on_grid(norms.mean((0, 1)), e.layout).astype(float)
    return {
        "unattended": float(values[attention < even].sum() / total) if total else np.nan,
        "unattended cells": float((attention < even).mean()),
        "value off": float(size[off].mean() / size[~off].mean()),
        "off object": float(values[off].sum() / total) if total else np.nan,
        "off object cells": float(off.mean()),
    }


def reasons(seen: pd.DataFrame) -> pd.DataFrame:
    """NG of every variant, each less the default; and what the energy off the object has to do with attention."""
    cases = seen[seen["probability"] >= SAID]
    rows = [row | {"test": "reasons"} for row in _compared_to_default(cases)]
    once = cases.drop_duplicates(["scene", "step"])
    scenes = once["scene"].to_numpy()
    for column, what, chance in (
        ("unattended", "share of DEX-AR's energy on cells of less than even attention", "unattended cells"),
        ("off object", "share of DEX-AR's energy on cells without the object", "off object cells"),
    ):
        found = mean(once[column].to_numpy(float), scenes)
        rows.append(result("reasons", what, found, method="dexar", chance=float(once[chance].mean())))
    found = mean(once["value off"].to_numpy(float), scenes)
    rows.append(result("reasons", "norm of the values off the object ÷ on it", found, chance=1.0))
    return table(rows)


def _compared_to_default(cases: pd.DataFrame) -> list[dict[str, Any]]:
    cases = cases.assign(score=normalised_grounding(cases))
    rows = []
    for method, some in cases.groupby("method", sort=False):
        found = mean(some["score"].to_numpy(float), some["scene"].to_numpy())
        rows.append(result("reasons", "NG", found, method=str(method), chance=0.0))
    return rows + _less(cases, "NG, less the default's", "all layers (the default)")
