"""Lessons about an answer to a question about a scene of the lab. Every right answer is measured, none is written down.

A lesson has the class guess before the map is shown: where the model should look; then, what the word depends on, and
whether the map told. What is right comes from the scene's masks, and from removing its objects one by one and
exchanging its background.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dexar_widgets.causal.chance import NEEDS
from dexar_widgets.causal.scenes import removal_of, require_scene
from dexar_widgets.causal.scoring import BATCH, log_probs, summed
from dexar_widgets.explanation import Explanation
from dexar_widgets.failures.suspects import suspect_of
from dexar_widgets.lab.world import CLASSES
from dexar_widgets.maps import coverage

if TYPE_CHECKING:
    from dexar_widgets.lab import Scene
    from dexar_widgets.vlm import VLM

__all__ = ["lesson", "two_models"]

_OTHERWISE = ("the background", "several of them alike", "none of them")
_ORDER = ("first", "second", "third", "fourth", "fifth", "sixth")


class _Lost(NamedTuple):
    """How many nats a word, or the whole answer, loses without each object, and last on another background.

    A gain counts as 0; of the backgrounds the median counts, as in `dexar_widgets.failures.spurious`.
    """

    said: str
    steps: tuple[int, ...]
    nats: tuple[float, ...]

    @property
    def answer(self) -> int:
        """What it depends on most; behind the last come several that are alike, and none."""
        order = np.argsort(self.nats)[::-1]
        most, second = self.nats[order[0]], self.nats[order[1]] if len(order) > 1 else -np.inf
        if most < NEEDS:
            return len(self.nats) + 1
        return int(order[0]) if most - second >= NEEDS else len(self.nats)


def lesson(e: Explanation, scene: "Scene", *, words: int = 2) -> list[dict[str, Any]]:
    """Steps for ``Explorer(e, lesson=…)``: quizzes about the first ``words`` words that name an object.

    And about as many that name what is not there. Of an answer with neither, the whole is asked about. The model must
    still be in memory: objects are really removed, and the background is exchanged.

    Raises
    ------
    ValueError
        If the scene has no objects or is not the one that was explained, or the model of ``e`` is gone.
    """
    if not scene.spec.objects:
        raise ValueError("A lesson asks what the answer owes to each object, and this scene has none.")
    require_scene(e, scene, "")
    *lost, whole = _losses(e, scene)
    named, absent = list(_named(e, scene))[:words], list(_absent(e, scene))[:words]
    steps = [step for place, index in named for step in _where(e, scene, lost[place], index)]
    for place, _ in named:
        steps += _what(scene, lost[place], "A map is a claim; removing something is a test.")
    for place in absent:
        steps += _what(scene, lost[place], f"Nothing in the scene is a {e.generation.words[place].text}.")
    if not steps:
        steps += _what(scene, whole, "What in the picture does the answer come from?")
    opening = f"Asked “{e.example.prompt}”, the model says: “{e.generation.text}” Guess first, then look."
    steps[0]["text"] = f"{opening} {steps[0]['text']}"  # a step of its own would show the map before the guess
    return [*steps, {"text": "The controls are yours. Which other word has a map that you would not have guessed?"}]


def two_models() -> "tuple[VLM, VLM]":
    """Two embedded models, one of them wrong on purpose, under names that do not tell what is wrong with it."""
    from dexar_widgets.vlm import load  # slow to import

    return replace(load("lab/llava"), name="lab/model A"), replace(load("lab/water-boat"), name="lab/model B")


def _losses(e: Explanation, scene: "Scene") -> list[_Lost]:
    """Of every word of the answer, and last of all of it."""
    without = [partial(removal_of(scene, [i]).without, [i]) for i in range(len(scene.spec.objects))]
    elsewhere = suspect_of(e, "background", scene, randoms=0, seed=0).removed
    scores = log_probs(e, e.model(), [lambda: e.example.image, *without, *elsewhere], batch_size=BATCH)

    def lost(said: str, steps: tuple[int, ...]) -> _Lost:
        sums = summed(e, scores, steps)
        drops = sums[0] - sums[1:]
        nats = [*drops[: len(without)], np.median(drops[len(without) :])]
        return _Lost(said, steps, tuple(max(float(drop), 0.0) for drop in nats))

    words = e.generation.words
    return [*(lost(_said(e, place), word.steps) for place, word in enumerate(words)), lost("the whole answer", e.steps)]


def _said(e: Explanation, place: int) -> str:
    """A word of the answer, told apart from others with the same letters."""
    texts = [word.text for word in e.generation.words]
    before, every = texts[:place].count(texts[place]), texts.count(texts[place])
    return f"the {_ORDER[before]} “{texts[place]}”" if 1 < every <= len(_ORDER) else f"“{texts[place]}”"


def _names(scene: "Scene") -> list[str]:
    """One for each object; those of the same kind and colour are told apart by their order from the left."""
    plain = [f"the {thing.colour} {thing.name}" for thing in scene.spec.objects]
    order = {index: place for place, index in enumerate(scene.spec.left_to_right, 1)}
    return [f"{name} (no. {order[i]} from the left)" if plain.count(name) > 1 else name for i, name in enumerate(plain)]


def _named(e: Explanation, scene: "Scene") -> Iterator[tuple[int, int]]:
    """Words of the answer that name one object of the scene and no other: their places, and the object's."""
    texts = [word.text for word in e.generation.words]
    kinds = [thing.name for thing in scene.spec.objects]
    for place, text in enumerate(texts):
        found = [i for i, kind in enumerate(kinds) if kind == text]
        if len(found) > 1 and place:  # "a gray cat and an orange cat"
            found = [i for i in found if scene.spec.objects[i].colour == texts[place - 1]]
        if len(found) == 1:
            yield place, found[0]


def _absent(e: Explanation, scene: "Scene") -> Iterator[int]:
    """Places of the words that name what no object of the scene is."""
    kinds = {thing.name for thing in scene.spec.objects}
    for place, word in enumerate(e.generation.words):
        if word.text in CLASSES and word.text not in kinds:
            yield place


def _where(e: Explanation, scene: "Scene", lost: _Lost, index: int) -> Iterator[dict[str, Any]]:
    """Guess where the map of a word lies; then see it, with how much of it lies on what the word names."""
    mask, name = scene.visible[index], _names(scene)[index]
    rows, cols = np.nonzero(mask if mask.any() else scene.masks[index])
    box = [int(cols.min()), int(rows.min()), int(cols.max()) + 1, int(rows.max()) + 1]
    view = {"steps": list(lost.steps), "method": "dexar"}
    text = f"Look at {lost.said}, which names {name}."
    quiz = {"question": "On which patch will its map be largest?", "answer": box}
    yield {"text": text, "state": view, "lock": True, "quiz": quiz}
    heat = e.heatmap(step=lost.steps)
    area = coverage(mask, heat.grid)
    total = float(heat.values.sum())
    on_it = f"{float((heat.values * area).sum()) / total:.0%} of it lies" if total > 0 else "It is empty: nothing lies"
    told = f"This is DEX-AR’s map of {lost.said}. {on_it} on {name}, which covers {area.mean():.0%} of the image."
    yield {"text": f"{told} A map shows what the word is sensitive to, not yet what it needs.", "state": view}


def _what(scene: "Scene", lost: _Lost, text: str) -> Iterator[dict[str, Any]]:
    """Guess what a word depends on; then see what it loses without each object, and on another background."""
    names, view = _names(scene), {"steps": list(lost.steps)}
    quiz = {
        "question": "The scene is drawn again without one of these, or on another background. "
        f"Without which does {lost.said} become least probable?",
        "choices": [*names, *_OTHERWISE],
        "answer": lost.answer,
    }
    yield {"text": text, "state": view, "quiz": quiz}
    gone = [*(f"without {name}" for name in names), "on another background"]
    nats = "; ".join(f"{what} {drop:.2f} nats" for what, drop in zip(gone, lost.nats, strict=True))
    least = "A nat makes it 2.7 times less probable; less than one counts as nothing."
    yield {"text": f"Measured, {lost.said} loses: {nats}. {least}", "state": view}
