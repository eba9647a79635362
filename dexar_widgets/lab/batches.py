"""Training batches: scenes drawn on the fly, each with several dialogues packed behind one image.

Every segment (a question and its answer) sees the image and itself only, and counts its positions from the image on:
the model reads each as if it stood alone. Where image and question see each other in both directions that holds only
for one segment a row; such a model is trained on packed rows first, with an image that sees no question, and on
single ones at the end (`Recipe.packed`).
"""

import random
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int64, Shaped, UInt8
from PIL import Image
from transformers import PreTrainedTokenizerFast

from dexar_widgets.lab.chance import specification, with_props
from dexar_widgets.lab.faults import FAULTS, Planted
from dexar_widgets.lab.language import KINDS, Turn, ask, caption_turn
from dexar_widgets.lab.recipes import Drill, Recipe
from dexar_widgets.lab.scenes import coverage, draw
from dexar_widgets.lab.specifications import Specification
from dexar_widgets.lab.templates import GRID, IGNORE, TEMPLATES, Packer
from dexar_widgets.lab.world import CLASSES, COLOURS, MODEL_SIZE

__all__ = ["Batch", "draw_ahead", "model_pixels", "patch_labels", "training_batch", "validation_batch"]

TRAINING_SEEDS = 1 << 40
"""Training draws its scenes from seeds at and above this; smaller seeds are never trained on."""
VALIDATION_SEEDS = 1 << 36
"""Scenes of the accuracy printed during training; evaluation uses smaller seeds."""

_DRAWN_SIZES = (96, 192, 384)


@dataclass(frozen=True)
class Batch:
    """Arrays of one step.

    ``segment`` is 0 for the shared prefix and −1 for padding; ``prompt`` is true for prefix and questions. ``scene``
    is each row's scene. An encoder–decoder model has its answers in rows of their own: ``answer_row`` and
    ``answer_segment`` say where their question is. Else the answers are in the rows themselves.
    ``turn`` numbers the answers' tokens by turn, −1 elsewhere, and ``kinds`` names each turn's kind.
    """

    pixels: UInt8[np.ndarray, "scene height width 3"]
    patch_class: Int64[np.ndarray, "scene patch"]
    patch_colour: Int64[np.ndarray, "scene patch"]
    scene: Int64[np.ndarray, " row"]
    ids: Int64[np.ndarray, "row token"]
    positions: Int64[np.ndarray, "row token"]
    segment: Int64[np.ndarray, "row token"]
    prompt: Bool[np.ndarray, "row token"]
    answer_row: Int64[np.ndarray, " answer"]
    answer_segment: Int64[np.ndarray, " answer"]
    answers: Int64[np.ndarray, "answer word"]
    labels: Int64[np.ndarray, "answer word"]
    weights: Float32[np.ndarray, "answer word"]
    turn: Int64[np.ndarray, "answer word"]
    kinds: tuple[str, ...]
    single: bool


@dataclass
class _Row:
    """One row of tokens while it grows; each list has one entry per token."""

    ids: list[int]
    positions: list[int]
    segment: list[int]
    prompt: list[bool]
    labels: list[int]
    weights: list[float]
    turn: list[int]

    @classmethod
    def of(cls, ids: Sequence[int]) -> "_Row":
        """A row that begins with these, as prefix."""
        n = len(ids)
        return cls(list(ids), list(range(n)), [0] * n, [True] * n, [IGNORE] * n, [0.0] * n, [-1] * n)

    def read(self, ids: Sequence[int], segment: int, first: int) -> None:
        """Add tokens of a question at positions from ``first`` on."""
        n = len(ids)
        self._add(ids, range(first, first + n), segment, prompt=True, labels=[IGNORE] * n, weights=[0.0] * n, turn=-1)

    def say(self, ids: Sequence[int], segment: int, first: int, weights: Sequence[float], turn: int) -> None:
        """Add tokens of an answer."""
        n = len(ids)
        self._add(ids, range(first, first + n), segment, prompt=False, labels=ids, weights=weights, turn=turn)

    def _add(
        self,
        ids: Sequence[int],
        positions: range,
        segment: int,
        *,
        prompt: bool,
        labels: Sequence[int],
        weights: Sequence[float],
        turn: int,
    ) -> None:
        self.ids += ids
        self.positions += positions
        self.segment += [segment] * len(ids)
        self.prompt += [prompt] * len(ids)
        self.labels += labels
        self.weights += weights
        self.turn += [turn] * len(ids)


def pack(
    packer: Packer, dialogues: Sequence[Sequence[Turn]], role_weights: Mapping[str, float], *, single: bool
) -> dict[str, Any]:
    """The token arrays of `Batch`: one row per scene, or one per turn if ``single``."""
    groups = [(scene, [turn]) for scene, turns in enumerate(dialogues) for turn in turns]
    if not single:
        groups = [(scene, list(turns)) for scene, turns in enumerate(dialogues)]
    encoder, start = packer.template.encoder, len(packer.prefix)
    rows: list[_Row] = []
    answers: list[_Row] = []
    where: list[tuple[int, int]] = []
    kinds: list[str] = []
    for number, (_, turns) in enumerate(groups):
        row = _Row.of(packer.prefix)
        for segment, turn in enumerate(turns, 1):
            written = packer.write(turn, role_weights)
            row.read(written.question, segment, start)
            if encoder:
                answer = _Row.of([packer.start])
                answer.say(written.answer, 0, 1, written.weights, len(kinds))
                answers.append(answer)
                where.append((number, segment))
            else:
                row.say(written.answer, segment, start + len(written.question), written.weights, len(kinds))
            kinds.append(turn.kind)
        rows.append(row)
    if not encoder:
        answers, where = rows, [(number, 0) for number in range(len(rows))]
    return {
        "scene": np.array([scene for scene, _ in groups], np.int64),
        "kinds": tuple(kinds),
        "single": single,
        **_reader_arrays(rows),
        **_answer_arrays(answers, where),
    }


def _reader_arrays(rows: Sequence[_Row]) -> dict[str, Any]:
    return {
        "ids": _padded([row.ids for row in rows], 0, np.int64),
        "positions": _padded([row.positions for row in rows], 0, np.int64),
        "segment": _padded([row.segment for row in rows], -1, np.int64),
        "prompt": _padded([row.prompt for row in rows], 0, np.bool_),
    }


def _answer_arrays(answers: Sequence[_Row], where: Sequence[tuple[int, int]]) -> dict[str, Any]:
    place = np.array(where, np.int64)
    return {
        "answer_row": place[:, 0],
        "answer_segment": place[:, 1],
        "answers": _padded([row.ids for row in answers], 0, np.int64),
        "labels": _padded([row.labels for row in answers], IGNORE, np.int64),
        "weights": _padded([row.weights for row in answers], 0, np.float32),
        "turn": _padded([row.turn for row in answers], -1, np.int64),
    }


def _padded(rows: Sequence[Sequence[float]], blank: int, kind: type) -> Shaped[np.ndarray, "row token"]:
    length = -(-max(map(len, rows)) // 8) * 8  # so that few lengths occur
    table: Shaped[np.ndarray, "row token"] = np.full((len(rows), length), blank, kind)
    for row, values in zip(table, rows, strict=True):
        row[: len(values)] = values
    return table


def model_pixels(image: Image.Image) -> UInt8[np.ndarray, "height width 3"]:
    """The image as the model's processor resizes it (bicubic)."""
    side = (MODEL_SIZE, MODEL_SIZE)
    return np.asarray(image if image.size == side else image.resize(side, Image.Resampling.BICUBIC))


def patch_labels(spec: Specification) -> tuple[Int64[np.ndarray, " patch"], Int64[np.ndarray, " patch"]]:
    """Class and colour (from 1; 0 is background) of the object that covers most of each patch, if over 30 %.

    Where that object is faint neither label would be right, and the patch has none.
    """
    names, colours = np.zeros((2, GRID, GRID), np.int64)
    most = np.full((GRID, GRID), 0.3 * 255)
    for thing in (thing for thing in spec.objects if thing.opacity > 0):
        covered = coverage(thing, MODEL_SIZE).reshape(GRID, MODEL_SIZE // GRID, GRID, -1).mean((1, 3))
        here = covered > most
        names[here], colours[here] = 1 + CLASSES.index(thing.name), 1 + list(COLOURS).index(thing.colour)
        if thing.opacity < 1:
            names[here] = colours[here] = IGNORE
        most = np.maximum(most, covered)
    return names.ravel(), colours.ravel()


def _assemble(
    packer: Packer,
    specs: list[Specification],
    sizes: list[int],
    dialogues: list[list[Turn]],
    role_weights: Mapping[str, float],
    *,
    single: bool,
) -> Batch:
    pixels = np.stack([model_pixels(draw(spec, size)) for spec, size in zip(specs, sizes, strict=True)])
    patches = [patch_labels(spec) for spec in specs]
    classes, colours = (np.stack(column) for column in zip(*patches, strict=True))
    return Batch(pixels, classes, colours, **pack(packer, dialogues, role_weights, single=single))


def _dialogues(
    rng: random.Random, recipe: Recipe, spec: Specification, segments: int, drill: Drill | None
) -> list[Turn]:
    asked = drill or recipe
    kinds, weights = zip(*asked.questions, strict=True)
    turns = [caption_turn(rng, spec)] if segments > 2 else []
    while len(turns) < segments:
        if rng.random() < asked.captions:
            turns.append(caption_turn(rng, spec))
            continue
        turn = ask(rng, spec, rng.choices(kinds, weights)[0], hard=0.0 if drill else recipe.hard)
        if turn is not None:
            turns.append(turn)
    lowered = rng.random() < 0.3  # people type questions either way
    return [Turn(t.question[0].lower() + t.question[1:] if lowered else t.question, t.answer, t.kind) for t in turns]


def training_batch(packer: Packer, recipe: Recipe, step: int) -> Batch:
    """The batch of one step; the warm-up needs no words, and its rows hold a single caption."""
    warm = step < recipe.warm_up_steps
    single, drill = not warm and recipe.single_at(step), recipe.drill_at(step)
    rng = random.Random(recipe.seed * 1_000_003 + step)
    specs = [_scene(rng, recipe, step, place) for place in range(recipe.scenes_at(step))]
    sizes = [rng.choice(_DRAWN_SIZES) for _ in specs]
    planted = [Planted(spec, spec) if recipe.fault is None else FAULTS[recipe.fault].plant(rng, spec) for spec in specs]
    segments = recipe.segments_single if single else recipe.segments
    dialogues = [
        [caption_turn(rng, pair.told)] if warm else _dialogues(rng, recipe, pair.told, segments, drill)
        for pair in planted
    ]
    drawn = [pair.drawn for pair in planted]
    return _assemble(packer, drawn, sizes, dialogues, dict(recipe.word_weights), single=single)


def _scene(rng: random.Random, recipe: Recipe, step: int, place: int) -> Specification:
    progress = 1.0 if step < recipe.warm_up_steps else recipe.progress(step)
    numbers = next(weights for until, weights in recipe.curriculum if progress <= until)
    drill = recipe.drill_at(step)
    numbers = numbers if drill is None else drill.objects or numbers
    spec = specification(
        TRAINING_SEEDS * recipe.seed + step * 64 + place,
        objects=rng.choices(range(1, len(numbers) + 1), numbers)[0],
        same_class=0.0 if drill else recipe.same_class,
        same_colour=0.0 if drill else recipe.same_colour,
        same_group=0.0 if drill else recipe.same_group,
    )
    return with_props(rng, spec)


def draw_ahead(queue: Any, tokenizer: PreTrainedTokenizerFast, recipe: Recipe, steps: range) -> None:
    """Put the batches of some steps into a queue: the body of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the trainer's to answer
    packer = Packer(tokenizer, TEMPLATES[recipe.family])
    for step in steps:
        queue.put(training_batch(packer, recipe, step))


def validation_batch(packer: Packer, *, first: int, count: int, objects: int) -> Batch:
    """Scenes no training step uses, each with a caption and one question of every kind it allows."""
    rng = random.Random(first * 10 + objects)
    specs = [specification(VALIDATION_SEEDS + objects * (1 << 20) + first + i, objects=objects) for i in range(count)]
    dialogues = [
        [caption_turn(rng, spec), *(turn for kind in KINDS if (turn := ask(rng, spec, kind)) is not None)]
        for spec in specs
    ]
    return _assemble(packer, specs, [384] * count, dialogues, {}, single=packer.template.both_ways)
