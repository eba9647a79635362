"""Figure 8, a word said twice: does each have a map of its own, by DEX-AR and by TAM?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import dexar_widgets as dx
from dexar_widgets.evaluation.figures.choosing import among, loaded, only, opened, own_answer, samples_of
from dexar_widgets.evaluation.figures.plates import Figure, Picture, Plate, Row
from dexar_widgets.evaluation.figures.views import BOTH, Mask, View, mapped, pictured, shared, times, views_of
from dexar_widgets.evaluation.reproducible import Request
from dexar_widgets.evaluation.samples import Dataset, Sample
from dexar_widgets.evaluation.spans import spans_of, steps_of
from dexar_widgets.explanation import Explanation
from dexar_widgets.lab.scenes import scene
from dexar_widgets.types import HeatMap
from dexar_widgets.vlm import VLM

__all__ = ["READERS", "alike", "make", "own_share"]

READERS: Mapping[str, Mapping[str, Any]] = {"voc": {}, "coco": {}}
_VIEWS = (*BOTH, View("TAM", "tam"), View("TAM, before its corrections", "tam", {"stage": "raw"}))
_PAIR, _SEEDS = ("gray cat", "orange cat"), 100


@dataclass(frozen=True, eq=False)
class _Case:
    """An explained answer, the steps of both occurrences, and what each names (one mask twice: not told apart)."""

    title: str
    e: Explanation
    word: str
    steps: tuple[tuple[int, ...], tuple[int, ...]]
    masks: tuple[Mask, Mask]

    @property
    def apart(self) -> bool:
        """Whether it is known which occurrence names what."""
        return self.masks[0] is not self.masks[1]


def make(request: Request) -> Figure:
    """Figure 8: a plate per model; DEX-AR and TAM down, both occurrences of each case across."""
    title = "Figure 8 of the DEX-AR paper, made again: a word said twice"
    lost: list[str] = []
    plates = []
    datasets = opened(request, READERS)
    for vlm in loaded(request, ("lab/llava",)):
        request.tell(0, 1, vlm.name)
        if datasets:
            cases, note = _photographs(vlm, datasets, request.limit or 1, lost), ""
        else:
            cases, note = _cats(vlm, request.limit or 2)
        if cases:
            plates.append(_plate(vlm, cases, note))
    if not plates:
        raise ValueError(f"Of {among(datasets)}, no answer has the name of a class twice. {' '.join(lost)}")
    notes = [
        "“alike” is the correlation (Pearson) of the maps of both occurrences: 1 where they cannot be told apart. "
        "“own”: of what the map has on both objects, each over its area, the share on the one which is meant: 50 % "
        "where the map prefers neither.",
        "TAM before its corrections is the activation of one word at the image's last states, the same wherever the "
        "word stands; its causal step, which subtracts what earlier words explain, and its filter come after.",
    ]
    if datasets:
        notes.append(
            f"Chosen: the first, among {among(datasets)}, whose own answer has the name of a class in them at least "
            "twice. Masks are there of classes, so which object is meant is not known, and “own” is left out."
        )
    return Figure("figure8", title, notes, plates, lost)


def _cats(vlm: VLM, count: int) -> tuple[list[_Case], str]:
    """Scenes with both cats that the model tells without a mistake, and how they were found; others are told them."""
    found: list[_Case] = []
    for seed in range(_SEEDS):
        shown = scene(seed, objects=list(_PAIR))
        if vlm.is_lab and own_answer(vlm, shown.image, shown.prompt).strip() != shown.caption:
            continue
        e = dx.explain(vlm, shown.image, shown.prompt, answer=shown.caption)
        marks = [mark for mark in shown.marks if mark.role == "class"]
        first, second = (steps_of(e.generation, [(mark.start, mark.stop)]) for mark in marks)
        here, there = (np.asarray(shown.visible[mark.objects[0]]) for mark in marks)
        found.append(_Case(f"seed {seed}", e, "cat", (first, second), (here, there)))
        if len(found) == count:
            break
    if not found:
        raise ValueError(f"{vlm.name} tells none of {_SEEDS} scenes with {' and '.join(_PAIR)} without a mistake.")
    rightly = "that the model tells without a mistake" if vlm.is_lab else "whose true caption the model is given"
    note = f"{vlm.name}: the first scenes, by seed from 0 on, with a {_PAIR[0]} and an {_PAIR[1]} {rightly}."
    return found, note + only(len(found), count, _SEEDS)


def _photographs(vlm: VLM, datasets: Mapping[str, Dataset], count: int, lost: list[str]) -> list[_Case]:
    def twice(sample: Sample) -> str | None:
        answer = own_answer(vlm, sample.image, sample.prompt)
        return next((one.name for one in sample.targets if len(spans_of(answer, one.name)) > 1), None)

    cases = []
    for sample in samples_of(datasets, count, lost, lambda sample: twice(sample) is not None):
        word = twice(sample)
        e = dx.explain(vlm, sample.image, sample.prompt)
        mask = next(one.mask for one in sample.targets if one.name == word)
        first, second = (steps_of(e.generation, [span]) for span in spans_of(e.generation.text, str(word))[:2])
        cases.append(_Case(sample.id, e, str(word), (first, second), (mask, mask)))
    return cases


def _plate(vlm: VLM, cases: Sequence[_Case], note: str) -> Plate:
    heads = [
        head
        for case in cases
        for head in (
            f"{case.title}\n“{case.e.generation.text.strip()}”",
            f"first “{case.word}”",
            f"second “{case.word}”",
        )
    ]
    rows = []
    for view in (one for one in views_of(vlm, _VIEWS) if one is not None):
        cells = [cell for case in cases for cell in _cells(case, view)]
        rows.append(Row(view.title, cells, _said(cells)))
    return Plate(vlm.name, heads, rows, [note] if note else [])


def _cells(case: _Case, view: View) -> list[Picture]:
    heats = [view.heat(case.e, steps) for steps in case.steps]
    image, likeness = case.e.example.image, alike(*heats)
    every = np.asarray(case.masks[0] | case.masks[1])
    cells = [pictured(image, {"named": every}, lines=(f"alike {likeness:.2f}",), numbers={"alike": likeness})]
    for heat, mask, other in zip(heats, case.masks, reversed(case.masks), strict=True):
        value = shared(heat, mask)
        numbers = {"share on the object ÷ its area": value}
        lines = [times(value)]
        if case.apart:
            numbers["own share"] = own_share(heat, mask, other)
            lines = [f"{times(value)}, own {numbers['own share']:.0%}"]
        cells.append(mapped(image, heat, {"named": mask}, lines=lines, numbers=numbers))
    return cells


def alike(first: HeatMap, second: HeatMap) -> float:
    """Pearson's correlation of two maps; NaN where one is constant."""
    one, other = (heat.values.astype(float).ravel() for heat in (first, second))
    return float(np.corrcoef(one, other)[0, 1]) if one.std() > 0 and other.std() > 0 else float("nan")


def own_share(heat: HeatMap, mask: Mask, other: Mask) -> float:
    """Of the map's density on two objects the part on the first; NaN where it has nothing on either."""
    own, rest = shared(heat, mask), shared(heat, other)
    return own / (own + rest) if own + rest > 0 else float("nan")


def _said(cells: Sequence[Picture]) -> str:
    likeness = [float(cell.numbers["alike"]) for cell in cells if "alike" in cell.numbers]
    own = np.array([cell.numbers["own share"] for cell in cells if "own share" in cell.numbers], float)
    text = f"the maps of both occurrences correlate with {', '.join(f'{one:.2f}' for one in likeness)}"
    if not len(own):
        return f"{text}."
    return f"{text}; {int((own > 0.5).sum())} of {len(own)} prefer the object that is meant (own {_percent(own)})."


def _percent(values: np.ndarray) -> str:
    return ", ".join(f"{value:.0%}" for value in values)
