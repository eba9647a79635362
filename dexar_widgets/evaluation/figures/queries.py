"""Figure 3, methods on queries; figure 5, models with and without filters."""

from collections.abc import Iterator, Sequence

import numpy as np

from dexar_widgets.evaluation.figures.choosing import answered, first_scenes, loaded, loaded_lab, opened, samples_of
from dexar_widgets.evaluation.figures.plates import Figure, Picture, Plate, Row
from dexar_widgets.evaluation.figures.views import (
    BOTH,
    PAPER,
    RELEASED,
    View,
    explained,
    mapped,
    named_mask,
    pictured,
    shared,
    times,
    views_of,
)
from dexar_widgets.evaluation.layouts import LAB_MODELS
from dexar_widgets.evaluation.reproducible import Request
from dexar_widgets.evaluation.samples import Sample
from dexar_widgets.explanation import Explanation
from dexar_widgets.vlm import VLM

__all__ = ["READERS", "methods", "models", "tallied"]

READERS = {
    "imagenet": {}, "vqav2": {}, "voc": {"answer": "listing"}, "coco": {"answer": "listing"}, "pictures": {},
}  # fmt: skip
"""The data sets that have queries, with the options of the paper's tables."""
_KINDS = ("which", "colour", "side", "yes-no", "count-class", "caption")
_FIRST = 30_000_000
_BARE = {"head_filter": "none", "filler_filter": "none"}
_UNFILTERED = View("DEX-AR, no filtering", options=_BARE)
_METHODS = (
    View("Attention", "attention"),
    View("Rollout", "rollout"),
    View("GradCAM", "grad_cam"),
    View("CheferCAM", "chefer_cam"),
    View("AttnGrad", "attn_grad"),
    _UNFILTERED,
    *BOTH,
)
_FILTERS = (
    View("unfiltered, paper", options=_BARE),
    View("filtered, paper", options=PAPER.options),
    View("unfiltered, released", options={**_BARE, **RELEASED.options}),
    View("filtered, released", options=RELEASED.options),
)
_OWN = "(the model's own question)"
_WHOLE = (
    "Maps are of the whole answer, as both filters act there. “No filtering” counts every head and every word alike."
)


def methods(request: Request) -> Figure:
    """Figure 3: a plate per model, methods down and queries across."""
    lost: list[str] = []
    plates = []
    for vlm in loaded(request, ("lab/llava",)):
        samples = _samples(request, [vlm] if vlm.is_lab else [], 6, lost)
        views = views_of(vlm, _METHODS)
        cells: list[list[Picture | None]] = [[] for _ in (None, *views)]
        heads = []
        for place, sample in enumerate(samples, 1):
            request.tell(place, len(samples), f"{vlm.name}: {sample.id}")
            e = explained(vlm, sample, views)
            heads.append(_head(e, sample))
            for column, picture in zip(cells, _column(e, sample, views), strict=True):
                column.append(picture)
        rows = [Row("image", cells[0])] + [
            Row(view.title, column, tallied(column))
            for view, column in zip(views, cells[1:], strict=True)
            if view is not None
        ]
        plates.append(Plate(vlm.name, heads, rows, _skipped(views, _METHODS)))
    return Figure(
        "figure3", "Figure 3 of the DEX-AR paper, made again: methods on queries", _notes(request), plates, lost
    )


def models(request: Request) -> Figure:
    """Figure 5: models down, each with and without filters, and queries across."""
    lost: list[str] = []
    names = request.models or LAB_MODELS
    samples = _samples(request, loaded_lab(request, LAB_MODELS), 5, lost)
    rows: list[Row] = []
    heads = [f"{sample.prompt or _OWN}\n{f'“{sample.answer}”' if sample.answer else ''}".strip() for sample in samples]
    for number, vlm in enumerate(loaded(request, LAB_MODELS)):
        request.tell(number, len(names), vlm.name)
        views = views_of(vlm, _FILTERS)
        columns = [list(_column(explained(vlm, one), one, views, said=one.answer is None)) for one in samples]
        if not rows:
            rows.append(Row("image", [column[0] for column in columns]))
        for place, view in enumerate(views, 1):
            if view is not None:
                pictures = [column[place] for column in columns]
                rows.append(Row(f"{vlm.name}\n{view.title}", pictures, _compared(pictures, rows[-1], view)))
    notes = [*_notes(request), "The preset released is for the LLaVA family alone, and is left out elsewhere."]
    plates = [Plate("Models, unfiltered and filtered", heads, rows)]
    return Figure("figure5", "Figure 5 of the DEX-AR paper, made again: models and filters", notes, plates, lost)


def _samples(request: Request, vlms: Sequence[VLM], count: int, lost: list[str]) -> list[Sample]:
    if request.roots:
        return samples_of(opened(request, READERS), request.limit or min(count, 4), lost)
    found: list[Sample] = []
    seed = _FIRST
    for place in range(request.limit or count):
        kind = _KINDS[place % len(_KINDS)]
        some, seed = first_scenes(
            seed, lambda sample: bool(sample.targets) and answered(vlms, sample), 1, kind=kind, objects=2
        )
        found += some
    return found


def _notes(request: Request) -> list[str]:
    if request.roots:
        return [_WHOLE, "Shown are the first samples of each data set; without masks no number stands under a map."]
    return [
        _WHOLE,
        f"Scenes of two objects, by seed from {_FIRST:,} on, one for each kind of question: the first after the one "
        "before that leaves the question an answer which names an object, and that every embedded model shown answers "
        "rightly.",
    ]


def _head(e: Explanation, sample: Sample) -> str:
    return f"{sample.prompt or _OWN}\n“{e.generation.text.strip()}”"


def _column(
    e: Explanation, sample: Sample, views: Sequence[View | None], *, said: bool = False
) -> Iterator[Picture | None]:
    """The image, then each view's map; ``said``: the first one has the model's answer under it."""
    image, mask = e.example.image, named_mask(sample)
    yield pictured(image, {"named": mask}, lines=(sample.id,))
    for view in views:
        if view is None:
            yield None
            continue
        heat = view.heat(e)
        value = shared(heat, mask)
        numbers = {} if mask is None else {"share on the object ÷ its area": value}
        lines: tuple[str, ...] = () if mask is None else (times(value),)
        if said and view is views[0]:
            lines += (f"“{e.generation.text.strip()}”",)
        yield mapped(image, heat, {"named": mask}, lines=lines, numbers=numbers)


def tallied(pictures: Sequence[Picture | None]) -> str:
    """How many maps lie on the object more than by chance, and how much in the middle."""
    values = _values(pictures)
    if not len(values):
        return ""
    there = values[~np.isnan(values)]
    text = f"{int((there > 1).sum())} of {len(values)} maps have more than its area's share on the object"
    text += f", in the median {np.median(there):.1f}×" if len(there) else ""
    empty = len(values) - len(there)
    return text + (f"; {empty} empty." if empty else ".")


def _values(pictures: Sequence[Picture | None]) -> np.ndarray:
    return np.array([value for one in pictures if one is not None for value in one.numbers.values()], float)


def _compared(pictures: Sequence[Picture | None], before: Row, view: View) -> str:
    """A filtered row beside the one without filters that stands above it."""
    said = tallied(pictures)
    if not view.title.startswith("filtered") or not said:
        return said
    own, bare = _values(pictures), _values(before.pictures)
    return f"{said} That is more than without filters on {int((own > bare).sum())} of {len(own)}."


def _skipped(views: Sequence[View | None], wanted: Sequence[View]) -> list[str]:
    gone = [want.title for view, want in zip(views, wanted, strict=True) if view is None]
    return [f"Not for this model: {', '.join(gone)}."] if gone else []
