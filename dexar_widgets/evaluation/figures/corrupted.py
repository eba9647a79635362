"""Figure 9, corruptions of ImageNet-C: what is left of the answer, of its map and of the filler filter."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from dexar_widgets.evaluation.corruptions import CORRUPTIONS, Corrupted
from dexar_widgets.evaluation.figures.choosing import answered, first_scenes, loaded, opened, samples_of
from dexar_widgets.evaluation.figures.plates import Figure, Picture, Plate, Row
from dexar_widgets.evaluation.figures.views import (
    BOTH,
    View,
    explained,
    mapped,
    named_mask,
    pictured,
    shared,
    times,
    views_of,
)
from dexar_widgets.evaluation.reproducible import Request
from dexar_widgets.evaluation.samples import Given, Sample
from dexar_widgets.evaluation.spans import steps_of
from dexar_widgets.explanation import Explanation
from dexar_widgets.vlm import VLM

__all__ = ["READERS", "filtered", "make"]

READERS: Mapping[str, Mapping[str, Any]] = {
    "imagenet": {"template": "I see a {name}"},
    "voc": {"answer": "listing"},
    "coco": {"answer": "listing"},
}
_SHARE, _WEIGHT = "share on the object ÷ its area", "weight of content ÷ of others"
_FIRST, _SEVERITIES = 30_000_000, (1, 3, 5)


def make(request: Request) -> Figure:
    """Figure 9: a plate per model and sample; corruptions down, severities across."""
    title = "Figure 9 of the DEX-AR paper, made again: corruptions"
    lost: list[str] = []
    plates = []
    for vlm in loaded(request, ("lab/llava",)):
        if request.roots:
            samples = samples_of(opened(request, READERS), request.limit or 1, lost)
        else:
            lab = [vlm] if vlm.is_lab else []
            samples, _ = first_scenes(_FIRST, partial(answered, lab), request.limit or 1, objects=1)
        for sample in samples:
            plates.append(_plate(vlm, sample, request))
    if not plates:
        raise ValueError(f"There is no sample to corrupt. {' '.join(lost)}")
    chosen = (
        "the first samples of each data set" if request.roots
        else f"the first scenes of one object, by seed from {_FIRST:,} on, that the model answers rightly uncorrupted"
    )  # fmt: skip
    notes = [
        f"Severities 1, 3 and 5 of 5. Chosen: {chosen}. The answer stays the uncorrupted image's, whatever the model "
        "would say now; “p” is how probable its content words still are, together.",
        "“ω” is the mean weight of the content words ÷ that of all others (equation 6): at 1 the filler filter does "
        "not tell them apart. Masks, where there are any, are the uncorrupted image's.",
    ]
    return Figure("figure9", title, notes, plates, lost)


def _plate(vlm: VLM, sample: Sample, request: Request) -> Plate:
    views = [view for view in views_of(vlm, BOTH) if view is not None]
    heads = [
        head
        for severity in _SEVERITIES
        for head in (f"severity {severity}", *(view.title.removeprefix("DEX-AR, ") for view in views))
    ]
    clean = _cells(vlm, sample, views)
    rows = [
        Row(
            "none, of no severity: the image as it is",
            [*clean, *[None] * (len(heads) - len(clean))],
            _said([clean], views),
        )
    ]
    for number, corruption in enumerate(CORRUPTIONS):
        request.tell(number, len(CORRUPTIONS), f"{vlm.name}, {sample.id}: {corruption}")
        each = []
        for severity in _SEVERITIES:
            worse = Corrupted(Given([sample]), corruption, severity)
            each.append(_cells(vlm, worse.load(worse.ids[0]), views))
        rows.append(Row(corruption.replace("_", " "), [cell for some in each for cell in some], _said(each, views)))
    return Plate(f"{vlm.name}, {sample.id}: “{sample.answer}”", heads, rows, apart=True)


def _cells(vlm: VLM, sample: Sample, views: list[View]) -> list[Picture]:
    e = explained(vlm, sample)
    image, mask = e.example.image, named_mask(sample)
    content = steps_of(e.generation, sample.content or ())
    probability = float(np.exp(e.generation.log_probs[list(content)].sum()))
    cells = [pictured(image, {"named": mask}, lines=(f"p {probability:.2g}",), numbers={"probability": probability})]
    for view in views:
        heat, weight = view.heat(e), filtered(e, content, view)
        numbers = {_WEIGHT: weight}
        lines = ["ω ∞×" if np.isinf(weight) else f"ω {weight:.1f}×"]
        if mask is not None:
            value = shared(heat, mask)
            numbers[_SHARE] = value
            lines.insert(0, times(value))
        cells.append(mapped(image, heat, {"named": mask}, lines=(", ".join(lines),), numbers=numbers))
    return cells


def filtered(e: Explanation, content: tuple[int, ...], view: View) -> float:
    """The mean weight of some steps ÷ that of all others; infinite where those have none, NaN where nothing has any."""
    weights, told = e.step_weights(**view.options), np.isin(e.steps, content)
    own, rest = (float(weights[some].mean()) if some.any() else 0.0 for some in (told, ~told))
    return own / rest if rest else float("inf") if own else float("nan")


def _said(each: list[list[Picture]], views: list[View]) -> str:
    """How each number goes with the severity."""

    def course(column: int, name: str, unit: str = "×") -> str:
        values = [float(cells[column].numbers[name]) for cells in each]
        return " → ".join(f"{value:.2g}{unit}" for value in values)

    told = [f"the content words' probability is {course(0, 'probability', '')}"]
    for column, view in enumerate(views, 1):
        shares = f"{course(column, _SHARE)} on the object, " if _SHARE in each[0][column].numbers else ""
        told.append(f"{view.title}: {shares}ω {course(column, _WEIGHT)}")
    return "; ".join(told) + "."
