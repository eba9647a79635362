"""Training batches: a pure function of (recipe, step). No model code, so that a worker process stays light.

An image enters a row once; several short dialogues about it follow as segments that see the image and
themselves, with positions that restart, so that each segment is what `generate` will meet alone.
"""

import random
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64, UInt8
from PIL import Image
from transformers import PreTrainedTokenizerFast

from dexar_widgets.lab.language import KINDS, Turn, ask, caption_turn
from dexar_widgets.lab.recipes import Recipe
from dexar_widgets.lab.scenes import coverage, draw
from dexar_widgets.lab.specifications import Specification, specification
from dexar_widgets.lab.tokens import build_tokenizer
from dexar_widgets.lab.world import CLASSES, COLOURS, MODEL_SIZE

__all__ = [
    "IGNORE",
    "Batch",
    "Packer",
    "draw_ahead",
    "model_pixels",
    "patch_labels",
    "training_batch",
    "validation_batch",
]

IGNORE = -100
GRID = 12
TRAINING_SEEDS = 1 << 40
"""Training draws its scenes from seeds at and above this; smaller seeds are never trained on."""
VALIDATION_SEEDS = 1 << 36
"""Scenes of the accuracy printed during training; evaluation uses smaller seeds."""

_DRAWN_SIZES = (96, 192, 384)


@dataclass(frozen=True)
class Batch:
    """Arrays of one step. ``segment`` is 0 for the shared image prefix and −1 for padding."""

    pixels: UInt8[np.ndarray, "scene height width 3"]
    patch_class: Int64[np.ndarray, "scene patch"]
    patch_colour: Int64[np.ndarray, "scene patch"]
    ids: Int64[np.ndarray, "scene token"]
    positions: Int64[np.ndarray, "scene token"]
    segment: Int64[np.ndarray, "scene token"]
    labels: Int64[np.ndarray, "scene token"]
    weights: Float32[np.ndarray, "scene token"]
    kinds: tuple[tuple[str, ...], ...] = ()


class Packer:
    """Turns dialogues into token rows, word by word, each word tokenised once."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._tokenizer = tokenizer
        self._tokens = lru_cache(maxsize=None)(self._tokenise)
        self.image = tokenizer.convert_tokens_to_ids("<image>")
        self.end = tokenizer.eos_token_id
        head, tail = self._tokens("USER: "), self._tokens("\n")
        self.prefix = [tokenizer.bos_token_id, *head, *[self.image] * GRID**2, *tail]
        self.first_image = 1 + len(head)

    def _tokenise(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer(text, add_special_tokens=False).input_ids)

    def segment(self, turn: Turn, role_weights: Mapping[str, float]) -> tuple[list[int], list[int], list[float]]:
        """(ids, labels, weights) of one dialogue after the image."""
        words = turn.question.split(" ")
        question = [token for i, word in enumerate(words) for token in self._tokens(" " * bool(i) + word)]
        question += self._tokens(" ASSISTANT:")
        answer: list[int] = []
        weights: list[float] = []
        for mark in turn.answer.marks:
            tokens = self._tokens(mark.word if mark.word in ",." else " " + mark.word)
            answer += tokens
            weights += [role_weights.get(mark.role, 1.0)] * len(tokens)
        labels = [IGNORE] * len(question) + answer + [self.end]
        return (
            question + answer + [self.end],
            labels,
            [0.0] * len(question) + weights + [role_weights.get("filler", 1.0)],
        )

    def rows(self, dialogues: list[list[Turn]], role_weights: Mapping[str, float]) -> dict[str, np.ndarray]:
        """The token arrays of `Batch`, padded to a multiple of 8."""
        rows = [self._row(turns, role_weights) for turns in dialogues]
        length = -(-max(len(row[0]) for row in rows) // 8) * 8
        names = (("ids", 0), ("positions", 0), ("segment", -1), ("labels", IGNORE), ("weights", 0.0))
        return {
            name: np.array(
                [row[i] + [blank] * (length - len(row[i])) for row in rows], np.float32 if i == 4 else np.int64
            )
            for i, (name, blank) in enumerate(names)
        }

    def _row(self, turns: list[Turn], role_weights: Mapping[str, float]) -> tuple[list, list, list, list, list]:  # type: ignore[type-arg]
        start = len(self.prefix)
        ids, positions, segment = list(self.prefix), list(range(start)), [0] * start
        labels, weights = [IGNORE] * start, [0.0] * start
        for number, turn in enumerate(turns, 1):
            more, targets, values = self.segment(turn, role_weights)
            ids += more
            positions += range(start, start + len(more))
            segment += [number] * len(more)
            labels += targets
            weights += values
        return ids, positions, segment, labels, weights


def model_pixels(image: Image.Image) -> UInt8[np.ndarray, "height width 3"]:
    """The image as the model's processor resizes it (bicubic)."""
    side = (MODEL_SIZE, MODEL_SIZE)
    return np.asarray(image if image.size == side else image.resize(side, Image.Resampling.BICUBIC))


def patch_labels(spec: Specification) -> tuple[Int64[np.ndarray, " patch"], Int64[np.ndarray, " patch"]]:
    """Class and colour (from 1; 0 is background) of the object that covers most of each patch, if over 30 %."""
    names, colours = np.zeros((2, GRID, GRID), np.int64)
    most = np.full((GRID, GRID), 0.3 * 255)
    for thing in spec.objects:
        covered = coverage(thing, MODEL_SIZE).reshape(GRID, MODEL_SIZE // GRID, GRID, -1).mean((1, 3))
        here = covered > most
        names[here], colours[here] = 1 + CLASSES.index(thing.name), 1 + list(COLOURS).index(thing.colour)
        most = np.maximum(most, covered)
    return names.ravel(), colours.ravel()


def _assemble(
    packer: Packer,
    specs: list[Specification],
    sizes: list[int],
    dialogues: list[list[Turn]],
    role_weights: Mapping[str, float],
) -> Batch:
    pixels = np.stack([model_pixels(draw(spec, size)) for spec, size in zip(specs, sizes, strict=True)])
    patches = [patch_labels(spec) for spec in specs]
    classes, colours = (np.stack(column) for column in zip(*patches, strict=True))
    kinds = tuple(tuple(turn.kind for turn in turns) for turns in dialogues)
    return Batch(pixels, classes, colours, **packer.rows(dialogues, role_weights), kinds=kinds)


def _dialogues(rng: random.Random, recipe: Recipe, spec: Specification) -> list[Turn]:
    kinds, weights = zip(*recipe.questions, strict=True)
    turns = [caption_turn(rng, spec)]
    while len(turns) < recipe.segments:
        if rng.random() < recipe.captions:
            turns.append(caption_turn(rng, spec))
            continue
        turn = ask(rng, spec, rng.choices(kinds, weights)[0], hard=recipe.hard)
        if turn is not None:
            turns.append(turn)
    lowered = rng.random() < 0.3  # people type questions either way
    return [Turn(t.question[0].lower() + t.question[1:] if lowered else t.question, t.answer, t.kind) for t in turns]


def training_batch(packer: Packer, recipe: Recipe, step: int) -> Batch:
    """The batch of one step; the warm-up needs no words, and its rows hold a single caption."""
    warm = step < recipe.warm_up_steps
    progress = 1.0 if warm else recipe.progress(step)
    numbers = next(weights for until, weights in recipe.curriculum if progress <= until)
    rng = random.Random(recipe.seed * 1_000_003 + step)
    specs = []
    for place in range(recipe.scenes_at(step)):
        seed = TRAINING_SEEDS * recipe.seed + step * 64 + place
        objects = rng.choices(range(1, len(numbers) + 1), numbers)[0]
        specs.append(specification(seed, objects=objects, same_class=recipe.same_class, same_colour=recipe.same_colour))
    sizes = [rng.choice(_DRAWN_SIZES) for _ in specs]
    dialogues = [[caption_turn(rng, spec)] if warm else _dialogues(rng, recipe, spec) for spec in specs]
    return _assemble(packer, specs, sizes, dialogues, recipe.weights_at(step))


def draw_ahead(queue: Any, recipe: Recipe, first: int, last: int) -> None:
    """Put the batches of steps ``first`` … ``last`` − 1 into a queue: the body of the worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the trainer's to answer
    packer = Packer(build_tokenizer())
    for step in range(first, last):
        queue.put(training_batch(packer, recipe, step))


def validation_batch(packer: Packer, *, first: int, count: int, objects: int) -> Batch:
    """Scenes no training step uses, each with a caption and one question of every kind it allows."""
    rng = random.Random(first * 10 + objects)
    specs = [specification(VALIDATION_SEEDS + objects * (1 << 20) + first + i, objects=objects) for i in range(count)]
    dialogues = [
        [caption_turn(rng, spec), *(turn for kind in KINDS if (turn := ask(rng, spec, kind)) is not None)]
        for spec in specs
    ]
    return _assemble(packer, specs, [384] * count, dialogues, {})
