"""Figure 10, registers: patches of high norm that draw attention, on raw attention and on DEX-AR."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from dexar_widgets import perturb
from dexar_widgets.evaluation.figures.choosing import (
    among,
    answered,
    first_scenes,
    loaded,
    loaded_lab,
    opened,
    samples_of,
)
from dexar_widgets.evaluation.figures.plates import Figure, Picture, Plate, Row
from dexar_widgets.evaluation.figures.queries import READERS
from dexar_widgets.evaluation.figures.views import (
    BOTH,
    Mask,
    View,
    explained,
    mapped,
    pictured,
    shared,
    times,
    views_of,
)
from dexar_widgets.evaluation.layouts import LAB_MODELS
from dexar_widgets.evaluation.reproducible import Request
from dexar_widgets.evaluation.samples import Sample
from dexar_widgets.explanation import Explanation
from dexar_widgets.failures import registers as examined
from dexar_widgets.registers import outliers_of
from dexar_widgets.vlm import VLM

__all__ = ["READERS", "make", "outliers"]

_VIEWS = (View("Attention", "attention"), *BOTH)
_MODELS = ("lab/registers", *LAB_MODELS)
_FIRST, _LOOKED_AT = 30_000_000, 50


def make(request: Request) -> Figure:
    """Figure 10: a plate per sample; models down, attention and DEX-AR across."""
    lost: list[str] = []
    samples, chosen = _samples(request, lost)
    rows: list[list[Row]] = [[] for _ in samples]
    for vlm in loaded(request, _MODELS):
        for number, sample in enumerate(samples):
            request.tell(number, len(samples), f"{vlm.name}: {sample.id}")
            rows[number].append(_row(vlm, sample, request.batch_size))
    heads = ["image", *(view.title for view in _VIEWS)]
    plates = [
        Plate(f"{sample.id}: {f'“{sample.answer}”' if sample.answer else 'own answers'}", heads, some)
        for sample, some in zip(samples, rows, strict=True)
    ]
    notes = [
        "Circled: patches whose norm, where they leave the vision tower, is far above the image's median, and that "
        "have little detail (dexar_widgets.registers). Under a map of the whole answer: its share on them over their "
        "area.",
        "Whether a word needs what they show, or their token, is measured by dx.failures.registers: other plain "
        "patches in their place; and no row reading them.",
        f"Chosen: {chosen}.",
    ]
    if not request.roots:
        notes.append("Registers were planted in lab/registers alone; the other models are the control.")
    title = "Figure 10 of the DEX-AR paper, made again: registers under attention and under DEX-AR"
    return Figure("figure10", title, notes, plates, lost)


def _samples(request: Request, lost: list[str]) -> tuple[list[Sample], str]:
    """The first on which the first model has such a patch; where it has none, simply the first. How that was done."""
    first = next(loaded(request, _MODELS))

    def fits(sample: Sample) -> bool:
        return outliers(explained(first, sample, patch_norm=True)) is not None

    where = f"on which {first.name} has such a patch"
    count = request.limit or 2
    if request.roots:
        datasets = opened(request, READERS)
        looked_at = among(datasets, _LOOKED_AT)
        if found := samples_of(datasets, count, lost, fits, most=_LOOKED_AT):
            return found, f"the first, among {looked_at}, {where}"
        told = f"the first samples of each data set; {first.name} has no such patch on any among {looked_at}"
        return samples_of(datasets, count, lost), told
    lab = loaded_lab(request, _MODELS)
    told = f"the first scenes of one object, by seed from {_FIRST:,} on, that every embedded model answers rightly"
    found, seed = first_scenes(_FIRST, lambda one: answered(lab, one) and fits(one), count, objects=1, most=_LOOKED_AT)
    if found:
        return found, f"{told}, and {where}: {seed - _FIRST - len(found)} scenes were passed over"
    found, _ = first_scenes(_FIRST, lambda one: answered(lab, one), count, objects=1)
    return found, f"{told}; on none of those among the first {_LOOKED_AT} has {first.name} such a patch"


def outliers(e: Explanation) -> Mask | None:
    """The pixels of the patches of high norm and little detail; None where there are none."""
    grid, cells = e.layout.grids[0], outliers_of(e).cells
    chosen = np.isin(np.arange(grid.rows * grid.cols), cells).reshape(grid.rows, grid.cols)
    return perturb.cells_mask(chosen, grid) if len(cells) else None


def _row(vlm: VLM, sample: Sample, batch_size: int) -> Row:
    e = explained(vlm, sample, patch_norm=True, attention=True)
    mask = outliers(e)
    count = 0 if mask is None else len(outliers_of(e).cells)
    note = () if sample.answer else (f"“{e.generation.text.strip()}”",)
    image = pictured(e.example.image, {"ring": mask}, lines=(f"{count} circled", *note), numbers={"circled": count})
    cells: list[Picture | None] = [image]
    values: dict[str, float] = {}
    for view in views_of(vlm, _VIEWS):
        if view is None:
            cells.append(None)
            continue
        heat = view.heat(e)
        values[view.title] = shared(heat, mask)
        numbers: Mapping[str, Any] = {} if mask is None else {"share on the circled ÷ their area": values[view.title]}
        lines = () if mask is None else (times(values[view.title]),)
        cells.append(mapped(e.example.image, heat, {"ring": mask}, lines=lines, numbers=numbers))
    return Row(vlm.name, cells, _said(e, values, count, batch_size))


def _said(e: Explanation, values: Mapping[str, float], count: int, batch_size: int) -> str:
    """What the maps have on the patches, and what the intervention says of them."""
    if not count:
        return "no patch of little detail has a high norm."
    shares = ", ".join(f"{title} {times(value)}" for title, value in values.items())
    return f"{count} circled; on them {shares}. {examined(e, batch_size=batch_size).text}"
