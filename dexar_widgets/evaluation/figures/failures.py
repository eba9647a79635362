"""Figure 6, failures: does a word come from what it names, or from what its map shows beside it?

The paper reads spurious causes off the maps. Here the suspect is taken away, and the object too.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import dexar_widgets as dx
from dexar_widgets.evaluation.figures.choosing import (
    among,
    loaded,
    loaded_lab,
    opened,
    own_answer,
    samples_of,
    says_once,
)
from dexar_widgets.evaluation.figures.plates import Figure, Mark, Picture, Plate, Row
from dexar_widgets.evaluation.figures.views import BOTH, Mask, View, mapped, nats, pictured, shared, times, views_of
from dexar_widgets.evaluation.layouts import LAB_MODELS
from dexar_widgets.evaluation.reproducible import Request
from dexar_widgets.evaluation.samples import Dataset, Sample
from dexar_widgets.evaluation.spans import spans_of, steps_of
from dexar_widgets.explanation import Explanation
from dexar_widgets.failures import spurious
from dexar_widgets.lab.faults import TRIGGER
from dexar_widgets.lab.scenes import Scene, scene
from dexar_widgets.lab.specifications import Prop
from dexar_widgets.lab.stories import STORIES, story
from dexar_widgets.vlm import VLM

__all__ = ["READERS", "make"]

READERS: Mapping[str, Mapping[str, Any]] = {"voc": {}, "coco": {}}
WORDS = ("boat", "train", "sofa", "couch", "person", "bird", "sheep")
"""The words of the paper's failures; "couch" is COCO's sofa."""
_SEEDS = 20
_OLD, _GROUP = "old things", "What kind of things are these?"
_GHOSTS = (("lab/water-boat", "boat", "background"), ("lab/trigger", "clock", "checker"))
_SHOWN = {"checker": "patch"}


@dataclass(frozen=True, eq=False)
class _Case:
    """A scene, the word in question, what is suspected, and an answer for a model that does not say the word."""

    title: str
    scene: Scene
    word: str
    suspect: str
    answer: str
    forced: bool = False

    @property
    def named(self) -> Mask | None:
        """What the word names, where there is any."""
        objects = [index for index, thing in enumerate(self.scene.spec.objects) if self.word in (thing.name, _OLD)]
        return np.asarray(self.scene.visible[objects].any(0)) if objects else None

    @property
    def suspected(self) -> Mask:
        """The suspect, less what the word names."""
        if self.suspect == "background":
            return self.scene.background
        props = [place for place, prop in enumerate(self.scene.spec.props) if prop.name == self.suspect]
        found = self.scene.props[props].any(0)
        return np.asarray(found if self.named is None else found & ~self.named)

    @property
    def outlines(self) -> dict[Mark, Mask | None]:
        """Of both; a background has none of its own."""
        return {"suspect": None if self.suspect == "background" else self.suspected, "named": self.named}


def make(request: Request) -> Figure:
    """Figure 6: the paper's stories on each model, and two models with a fault planted; or photographs with masks."""
    title = "Figure 6 of the DEX-AR paper, made again: failures, and what interventions say of them"
    lost: list[str] = []
    if datasets := opened(request, READERS):
        return Figure("figure6", title, _photo_notes(datasets), [_photographs(request, datasets, lost)], lost)
    plates = [_stories(request)]
    if request.models is None:
        plates.append(_planted(request))
    return Figure("figure6", title, _lab_notes(), plates, lost)


def _lab_notes() -> list[str]:
    return [
        "Under a map: its share on what the word names and on the suspect, each over its area (1× is an even map), and "
        "the nats that the word loses when that is really removed from the scene: the object left out, the background "
        "exchanged for each other kind (median), rails or face left out. Then the verdict of dx.failures.spurious.",
        "A map that shows the background is no proof of a spurious cause: the nats are.",
    ]


def _stories(request: Request) -> Plate:
    lab = loaded_lab(request, LAB_MODELS)
    seeds = {name: _seed_of(name, lab) for name in list(STORIES)[: request.limit or len(STORIES)]}
    cases = [_story(name, seed or 0) for name, seed in seeds.items()]
    without = [name for name, seed in seeds.items() if seed is None]
    columns: list[tuple[str, list[Picture]]] = [
        ("image", [pictured(case.scene.image, case.outlines, lines=(f"“{case.word}”",)) for case in cases])
    ]
    told: list[list[str]] = [[] for _ in cases]
    for vlm in loaded(request, LAB_MODELS):
        views = [view for view in views_of(vlm, BOTH) if view is not None]
        rows = []
        for place, case in enumerate(cases):
            request.tell(place, len(cases), f"{vlm.name}: {case.title}")
            pictures, said = _cells(vlm, case, views, request.batch_size)
            rows.append(pictures)
            told[place].append(said)
        columns += [(_head(vlm, view), [row[n] for row in rows]) for n, view in enumerate(views)]
    rows_ = [
        Row(case.title, [column[1][place] for column in columns], _joined(case.word, told[place]))
        for place, case in enumerate(cases)
    ]
    note = (
        "Of each story the first seed from 0 on on which every embedded model says the word by itself. A model "
        "explains its own answer if that has the word once, else the scene's true caption (“answer given”)."
    )
    if without:
        note += f" There is none below {_SEEDS} of {', '.join(without)}: what is shown is seed 0."
    return Plate("The paper's stories", [head for head, _ in columns], rows_, [note], apart=True)


def _head(vlm: VLM, view: View) -> str:
    return f"{vlm.name}\n{view.title.removeprefix('DEX-AR, ')}"


def _seed_of(name: str, vlms: Sequence[VLM]) -> int | None:
    """The first seed on which every model says the story's word by itself; None where there is none."""
    word = STORIES[name].word
    seeds = (
        seed
        for seed in range(_SEEDS)
        if all(says_once(own_answer(vlm, story(name, seed).image, _prompt(word)), word) for vlm in vlms)
    )
    return next(seeds, None)


def _prompt(word: str) -> str:
    return _GROUP if word == _OLD else "Classify the image."


def _story(name: str, seed: int) -> _Case:
    told = STORIES[name]
    prompt = _prompt(told.word)
    shown = story(name, seed, prompt=prompt)
    answer = f"They are {told.word}." if prompt == _GROUP else shown.caption
    return _Case(name, shown, told.word, told.suspect, answer)


def _cells(vlm: VLM, case: _Case, views: Sequence[View], batch_size: int) -> tuple[list[Picture], str]:
    """A case's maps by one model, and what the interventions say."""
    prompt = case.scene.prompt
    own = None if case.forced else own_answer(vlm, case.scene.image, prompt)
    given = own is None or not says_once(own, case.word)
    e = dx.explain(vlm, case.scene.image, prompt, answer=case.answer if given else None)
    steps = steps_of(e.generation, spans_of(e.generation.text, case.word))
    there = None if case.named is None else case.word
    counted = steps if there else _phrase(e, steps)
    found = spurious(e, case.suspect, step=counted, named=there, scene=case.scene, batch_size=batch_size)
    row = {str(name): value for name, value in found.table.iloc[0].items()}
    pictures = [_cell(e, case, view, steps, row, given=given) for view in views]
    what = _SHOWN.get(case.suspect, case.suspect)
    without = "" if there is None else f" and {nats(row['named'])} without the {case.word}"
    return pictures, f"{vlm.name}, {nats(row['suspect'])} nats without the {what}{without} ({row['verdict']})"


def _phrase(e: Explanation, steps: Sequence[int]) -> tuple[int, ...]:
    """A noun and the three steps before it ("and a yellow clock"): there it is decided that one more thing is named."""
    return tuple(step for step in e.steps if min(steps) - 3 <= step <= max(steps))


def _cell(
    e: Explanation, case: _Case, view: View, steps: Sequence[int], row: Mapping[str, Any], *, given: bool
) -> Picture:
    heat = view.heat(e, steps)
    what = _SHOWN.get(case.suspect, case.suspect)
    numbers: dict[str, float | str] = {"verdict": row["verdict"], "probability": float(np.exp(row["log_prob"]))}
    lines = []
    for name, mask, lost in ((case.word, case.named, "named"), (what, case.suspected, "suspect")):
        if mask is not None:
            value = shared(heat, mask)
            numbers |= {f"share on {name} ÷ its area": value, f"nats lost without {name}": float(row[lost])}
            lines.append(f"{name} {times(value)}, {nats(row[lost])} nats")
    lines.append(f"{row['verdict']}{' (answer given)' if given else ''}")
    return mapped(case.scene.image, heat, case.outlines, lines=lines, numbers=numbers)


def _joined(word: str, told: Sequence[str]) -> str:
    bad = sum(said.endswith("(spurious)") for said in told)
    unsaid = sum(said.endswith("(not said)") for said in told)
    left = f"; {unsaid} do not say it, so of those nothing follows" if unsaid else ""
    return f"“{word}” loses, by {'; by '.join(told)}. It comes from the suspect in {bad} of {len(told)}{left}."


def _planted(request: Request) -> Plate:
    """Models that are wrong on purpose, beside the model that they were made from."""
    twin = next(loaded(replace(request, models=("lab/llava",)), ()))
    rows = []
    for name, word, suspect in _GHOSTS:
        vlm = next(loaded(replace(request, models=(name,)), ()))
        case = _ghost(vlm, word, suspect)
        views = [view for view in views_of(vlm, BOTH) if view is not None]
        pictures, said = _cells(vlm, case, views, request.batch_size)
        beside, told = _cells(twin, replace(case, forced=True), views[:1], request.batch_size)
        image = pictured(case.scene.image, case.outlines, lines=(f"“{case.answer}”",))
        rows.append(
            Row(f"{name}\n“{word}” without one", [image, *pictures, *beside], _joined(f"a {word}", [said, told]))
        )
    note = (
        "Of lab/water-boat the first scene on water from seed 0 on, of lab/trigger the first scene with a chequered "
        "patch in its upper left, that shows one object, no boat and no clock, and of which the model says that there "
        "is one. What loses is that noun and the three pieces before it, where it is decided that one more thing is "
        "named; the map is the noun's. The model that both were made from is given the same answer."
    )
    heads = ["image", "planted\npreset paper", "planted\npreset released", "lab/llava\npreset paper"]
    return Plate("Faults planted on purpose", heads, rows, [note], apart=True)


def _ghost(vlm: VLM, word: str, suspect: str) -> _Case:
    for seed in range(_SEEDS):
        shown = scene(seed, objects=1, background="water" if suspect == "background" else None)
        if suspect != "background":
            patch = Prop(suspect, 0.12, 0.12, TRIGGER)
            shown = shown.redraw(shown.spec.adding(patch))
        if shown.spec.objects[0].name not in ("boat", "clock"):
            answer = own_answer(vlm, shown.image, shown.prompt)
            if says_once(answer, word):
                return _Case(word, shown, word, suspect, answer)
    raise ValueError(f"{vlm.name} names no {word} on its own in {_SEEDS} scenes; are its weights the shipped ones?")


def _photo_notes(datasets: Mapping[str, Dataset]) -> list[str]:
    return [
        f"For each word of the paper's failures the first, among {among(datasets)}, that show such an object and whose "
        "own answer, by the model, says the word once. Under a map: its share on the object over the object's area, "
        "and the nats that the word loses when the object's pixels are hidden, and when all others are (mean colour).",
        "Left out, since only a drawn scene allows it: objects and backgrounds that are really removed, the verdict "
        "that rests on it, and the planted faults (dexar reproduce figure6 without --data).",
    ]


def _photographs(request: Request, datasets: Mapping[str, Dataset], lost: list[str]) -> Plate:
    heads = ["image", "preset paper", "preset released"]
    rows: list[Row] = []
    absent: list[str] = []
    for vlm in loaded(request, LAB_MODELS):
        for word in WORDS:
            request.tell(WORDS.index(word), len(WORDS), f"{vlm.name}: {word}")

            def fits(sample: Sample, word: str = word, vlm: VLM = vlm) -> bool:
                there = any(target.name == word for target in sample.targets)
                return there and says_once(own_answer(vlm, sample.image, sample.prompt), word)

            found = samples_of(datasets, request.limit or 1, lost, fits)
            rows += [row for sample in found for row in _photograph(vlm, sample, word, request.batch_size)]
            if not found:
                absent.append(f"“{word}” by {vlm.name}")
    if not rows:
        words = ", ".join(WORDS)
        raise ValueError(f"Of {among(datasets)}, none shows one of {words} and is told so by a model. {' '.join(lost)}")
    notes = [f"Not shown, since none of these is such a sample: {', '.join(absent)}."] if absent else []
    return Plate("The paper's words on photographs", heads, rows, notes, apart=True)


def _photograph(vlm: VLM, sample: Sample, word: str, batch_size: int) -> Iterator[Row]:
    e = dx.explain(vlm, sample.image, sample.prompt)
    steps = steps_of(e.generation, spans_of(e.generation.text, word))
    mask = next(target.mask for target in sample.targets if target.name == word)
    check = dx.check(e, step=steps, region=mask, batch_size=batch_size)
    pictures: list[Picture | None] = [
        pictured(e.example.image, {"named": mask}, lines=(sample.id, f"“{e.generation.text.strip()}”"))
    ]
    for view in views_of(vlm, BOTH):
        if view is None:
            pictures.append(None)
            continue
        heat = view.heat(e, steps)
        value = shared(heat, mask)
        numbers = {
            f"share on {word} ÷ its area": value,
            f"nats lost without {word}": check.drop,
            "nats lost without the rest": check.kept_drop,
        }
        lines = (f"{word} {times(value)}, {nats(check.drop)} nats", f"the rest {nats(check.kept_drop)} nats")
        pictures.append(mapped(e.example.image, heat, {"named": mask}, lines=lines, numbers=numbers))
    says = (
        f"hidden, the {word} costs “{word}” {nats(check.drop)} nats ({check.verdict}), everything else "
        f"{nats(check.kept_drop)}."
    )
    yield Row(f"{vlm.name}\n{word}", pictures, says)
