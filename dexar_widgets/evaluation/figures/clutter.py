"""Figure 7, a cluttered scene: pieces of words, and a word for several things at once."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import dexar_widgets as dx
from dexar_widgets.causal.chance import NEEDS, NOTHING
from dexar_widgets.evaluation.figures.choosing import among, loaded, only, opened, own_answer, samples_of
from dexar_widgets.evaluation.figures.plates import Figure, Picture, Plate, Row
from dexar_widgets.evaluation.figures.views import BOTH, Mask, View, mapped, nats, pictured, shared, times, views_of
from dexar_widgets.evaluation.reproducible import Request
from dexar_widgets.evaluation.samples import Dataset, Sample
from dexar_widgets.evaluation.spans import spans_of, steps_of
from dexar_widgets.explanation import Explanation
from dexar_widgets.lab.scenes import Scene
from dexar_widgets.lab.stories import crowd, story
from dexar_widgets.vlm import VLM

__all__ = ["READERS", "make"]

READERS: Mapping[str, Mapping[str, Any]] = {"voc": {}, "coco": {}, "pictures": {}}
_OBJECTS = 4
_SEEDS = 400
_MOST = 8
"""Pieces that are shown."""
_FOLLOWS, _OPEN = ("suitcase", "butterfly"), ("football", "footprint")
"""Words whose second piece follows from the first, and words whose second piece only the image tells."""
_GROUP = "What kind of things are these?"


@dataclass(frozen=True, eq=False)
class _Piece:
    """A step of the answer, what its word names, and the nats that it loses when that is gone (NaN: not known)."""

    step: int
    text: str
    mask: Mask | None = None
    lost: float = float("nan")


def make(request: Request) -> Figure:
    """Figure 7: a plate per model and scene; presets down, pieces of words across."""
    title = "Figure 7 of the DEX-AR paper, made again: a cluttered scene, word by word"
    lost: list[str] = []
    plates: list[Plate] = []
    datasets, count = opened(request, READERS), request.limit or 1
    for vlm in loaded(request, ("lab/llava",)):
        request.tell(0, 1, vlm.name)
        plates += _photographs(vlm, datasets, count, lost) if datasets else _scenes(vlm, count, lost)
    if not plates:
        raise ValueError(f"Of {among(datasets)}, no answer has a word of several pieces. {' '.join(lost)}")
    notes = [
        "A map is of one piece of the answer. “ω” is the piece's weight in the map of the whole answer (equation 6); "
        "“nats” is what its log-probability loses when what it names is "
        + ("hidden (mean colour)." if request.roots else "really removed from the scene."),
    ]
    if datasets:
        notes.append(
            f"Chosen: the first, among {among(datasets)} (of PascalVOC and COCO those with at least three classes), in "
            f"whose own answer a word has several pieces; of those words the first {_MOST} pieces. Real removal needs "
            "a drawn scene."
        )
    return Figure("figure7", title, notes, plates, lost)


def _scenes(vlm: VLM, count: int, lost: list[str]) -> Iterator[Plate]:
    """Crowds, then a word for several things."""
    crowds = _crowds(vlm, count)
    rightly = "that the model tells without a mistake" if vlm.is_lab else "whose true caption the model is given"
    note = (
        f"Crowds of {_OBJECTS} objects, the first by seed from 0 on that hold a {' or '.join(_FOLLOWS)} and a "
        f"{' or '.join(_OPEN)}, and {rightly}.{only(len(crowds), count, _SEEDS)}"
    )
    for number, shown in crowds:
        e = dx.explain(vlm, shown.image, shown.prompt, answer=shown.caption)
        pieces = [piece for index in shown.spec.left_to_right for piece in _pieces(e, shown, index)]
        every = np.asarray(shown.visible.any(0))
        yield Plate(f"{vlm.name}: “{e.generation.text}”", *_rows(vlm, e, pieces, every), [f"{note} Seed {number}."])
    if vlm.is_lab:
        yield from _group(vlm, lost)


def _crowds(vlm: VLM, count: int) -> list[tuple[int, Scene]]:
    found: list[tuple[int, Scene]] = []
    for seed in range(_SEEDS):
        shown = crowd(seed, objects=_OBJECTS)
        names = {thing.name for thing in shown.spec.objects}
        if names.isdisjoint(_FOLLOWS) or names.isdisjoint(_OPEN):
            continue
        if not vlm.is_lab or own_answer(vlm, shown.image, shown.prompt).strip() == shown.caption:
            found.append((seed, shown))
        if len(found) == count:
            break
    if not found:
        raise ValueError(f"{vlm.name} tells none of the crowds with seeds below {_SEEDS} without a mistake.")
    return found


def _pieces(e: Explanation, shown: Scene, index: int) -> Iterator[_Piece]:
    """The pieces of an object's word in the scene's caption."""
    spans = [(mark.start, mark.stop) for mark in shown.marks if mark.role == "class" and mark.objects == (index,)]
    for step in steps_of(e.generation, spans):
        check = dx.check(e, step=[step], region=index, how="scene", scene=shown)
        yield _Piece(step, e.generation.pieces[step].strip(), np.asarray(shown.visible[index]), check.drop)


def _rows(vlm: VLM, e: Explanation, pieces: Sequence[_Piece], every: Mask | None) -> tuple[list[str], list[Row]]:
    heads = ["image", *(f"“{piece.text}” (piece {piece.step + 1})" for piece in pieces)]
    rows = []
    for view in views_of(vlm, BOTH):
        if view is not None:
            image = pictured(e.example.image, {"named": every})
            rows.append(Row(view.title, [image, *(_cell(e, view, one) for one in pieces)], _said(e, view, pieces)))
    return heads, rows


def _weight(e: Explanation, view: View, step: int) -> float:
    return float(e.step_weights(**view.options)[e.steps.index(step)])


def _cell(e: Explanation, view: View, piece: _Piece) -> Picture:
    heat, weight = view.heat(e, [piece.step]), _weight(e, view, piece.step)
    numbers: dict[str, float | str] = {"weight ω": weight}
    lines = [f"ω {weight:.2f}"]
    if piece.mask is not None:
        value = shared(heat, piece.mask)
        numbers["share on the object ÷ its area"] = value
        lines[0] += f", {times(value)}"
    if not np.isnan(piece.lost):
        numbers["nats lost without the object"] = piece.lost
        lines.append(f"{nats(piece.lost)} nats")
    return mapped(e.example.image, heat, {"named": piece.mask}, lines=lines, numbers=numbers)


def _said(e: Explanation, view: View, pieces: Sequence[_Piece]) -> str:
    """Each word of several pieces, its weights beside what the intervention says."""
    told = []
    for word in e.generation.words:
        some = [piece for piece in pieces if piece.step in word.steps]
        if len(some) > 1:
            weights = " and ".join(f"{_weight(e, view, piece.step):.2f}" for piece in some)
            text = f"{'|'.join(piece.text for piece in some)} weighs ω {weights}"
            if not any(np.isnan(piece.lost) for piece in some):
                text += f", and without the object loses {' and '.join(nats(piece.lost) for piece in some)} nats"
            told.append(text)
    told += _against(e, view, pieces)
    return f"{'; '.join(told)}." if told else ""


def _against(e: Explanation, view: View, pieces: Sequence[_Piece]) -> Iterator[str]:
    """Whether the weights tell the pieces that need their object from those that do not."""
    weights = {piece: _weight(e, view, piece.step) for piece in pieces if not np.isnan(piece.lost)}
    least = min((piece for piece in weights if piece.lost >= NEEDS), key=lambda one: weights[one], default=None)
    most = max((piece for piece in weights if piece.lost <= NOTHING), key=lambda one: weights[one], default=None)
    if least is not None:
        yield f"of the pieces that lose at least {NEEDS:g} nat, “{least.text}” weighs least, ω {weights[least]:.2f}"
    if most is not None:
        yield f"of those that lose none, “{most.text}” weighs most, ω {weights[most]:.2f}"


def _group(vlm: VLM, lost: list[str]) -> Iterator[Plate]:
    """One word for several things: the story "old things", under its question."""
    words = "They are old things."
    seeds = (
        seed for seed in range(_SEEDS) if own_answer(vlm, story("old things", seed).image, _GROUP).strip() == words
    )
    seed = next(seeds, None)
    if seed is None:
        lost.append(f"{vlm.name} says “{words}” of none of the first {_SEEDS} scenes of the story “old things”.")
        return
    shown = story("old things", seed, prompt=_GROUP)
    e = dx.explain(vlm, shown.image, _GROUP, answer=words)
    steps = steps_of(e.generation, spans_of(words, "old things"))
    things = {thing.name: np.asarray(mask) for thing, mask in zip(shown.spec.objects, shown.visible, strict=True)}
    everything = list(range(len(things)))
    drop = dx.check(e, step=list(steps), region="old things", how="scene", scene=shown).drop
    every = np.any(list(things.values()), axis=0)
    heads = ["image", *(f"“{e.generation.pieces[step].strip()}”" for step in steps)]
    rows = []
    for view in (one for one in views_of(vlm, BOTH) if one is not None):
        cells, told = [], []
        for step in steps:
            heat = view.heat(e, [step])
            values = {name: shared(heat, mask) for name, mask in things.items()}
            numbers = {f"share on the {name} ÷ its area": value for name, value in values.items()}
            lines = [f"{name} {times(value)}" for name, value in values.items()]
            cells.append(mapped(shown.image, heat, {"named": every}, lines=lines, numbers=numbers))
            told.append(sum(value > 1 for value in values.values()))
        said = " and ".join(f"{count} of {len(everything)}" for count in told)
        says = (
            f"“old” and “things” show more than its area's share on {said} objects; without all of them the two words "
            f"lose {nats(drop)} nats."
        )
        rows.append(Row(view.title, [pictured(shown.image, {"named": every}), *cells], says))
    note = f"The first seed from 0 on of the story “old things” to which the model's own answer is “{words}”: {seed}."
    yield Plate(f"{vlm.name}: “{_GROUP}” “{words}”", heads, rows, [note])


def _photographs(vlm: VLM, datasets: Mapping[str, Dataset], count: int, lost: list[str]) -> Iterator[Plate]:
    def fits(sample: Sample) -> bool:
        if 0 < len(sample.targets) < 3:
            return False
        e = dx.explain(vlm, sample.image, sample.prompt, answer=sample.answer)
        return any(len(word.steps) > 1 and word.text.strip().isalpha() for word in e.generation.words)

    for sample in samples_of(datasets, count, lost, fits):
        e = dx.explain(vlm, sample.image, sample.prompt, answer=sample.answer)
        pieces = [piece for word in e.generation.words for piece in _split(e, sample, word.text.strip(), word.steps)]
        masks = [target.mask for target in sample.targets]
        every = np.any(masks, axis=0) if masks else None
        yield Plate(f"{vlm.name}, {sample.id}: “{e.generation.text.strip()}”", *_rows(vlm, e, pieces[:_MOST], every))


def _split(e: Explanation, sample: Sample, word: str, steps: Sequence[int]) -> Iterator[_Piece]:
    """The pieces of a word that has several."""
    if len(steps) < 2 or not word.isalpha():
        return
    mask = next((one.mask for one in sample.targets if spans_of(word, one.name)), None)
    for step in steps:
        lost = float("nan") if mask is None else dx.check(e, step=[step], region=mask, randoms=0).drop
        yield _Piece(step, e.generation.pieces[step].strip(), mask, lost)
