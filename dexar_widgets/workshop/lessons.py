"""Lessons about an answer to a question about a scene of the lab. Every right answer is measured, none is written down.

A lesson has the class guess before the map is shown: where the model should look; then, what the word depends on, and
whether the map told. What is right comes from the scene's masks, and from removing its objects one by one.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dexar_widgets import causal
from dexar_widgets.explanation import Explanation
from dexar_widgets.maps import coverage

if TYPE_CHECKING:
    from dexar_widgets.causal import Check
    from dexar_widgets.lab import Scene

__all__ = ["lesson"]

_LITTLE = 1.0
"""Nats. A word that loses less without an object does not depend on it, as in `dexar_widgets.failures`."""
_OTHERWISE = ("several of them alike", "none of them")


class _Lost(NamedTuple):
    """How many nats a word, or the whole answer, loses without each object of the scene; a gain counts as 0."""

    word: str
    steps: tuple[int, ...]
    nats: tuple[float, ...]

    @property
    def answer(self) -> int:
        """The object that it depends on most; behind the last one come several that are alike, and none."""
        order = np.argsort(self.nats)[::-1]
        most, second = self.nats[order[0]], self.nats[order[1]] if len(order) > 1 else -np.inf
        if most < _LITTLE:
            return len(self.nats) + 1
        return int(order[0]) if most - second >= _LITTLE else len(self.nats)


def lesson(e: Explanation, scene: "Scene", *, words: int = 2) -> list[dict[str, Any]]:
    """Steps for ``Explorer(e, lesson=…)``: quizzes about the first ``words`` words that name an object.

    Of an answer that names none, the whole answer is asked about. The model must still be in memory: objects are
    really removed.

    Raises
    ------
    ValueError
        If the scene has no objects, or the model of ``e`` is gone.
    """
    if not scene.spec.objects:
        raise ValueError("A lesson asks what the answer owes to each object, and this scene has none.")
    lost = [_lost(check) for check in causal.checks(e, region=0, how="scene", scene=scene)]
    named = list(_named(e, scene))[:words]
    steps = [step for place, index in named for step in _where(e, scene, lost[place], index)]
    for one in [lost[place] for place, _ in named] or [lost[-1]]:
        steps += _what(scene, one)
    opening = f"Asked “{e.example.prompt}”, the model says: “{e.generation.text}” Guess first, then look."
    steps[0]["text"] = f"{opening} {steps[0]['text']}"  # a step of its own would show the map before the guess
    return [*steps, {"text": "The controls are yours. Which other word has a map that you would not have guessed?"}]


def _lost(check: "Check") -> _Lost:
    return _Lost(check.word, check.steps, tuple(max(float(drop), 0.0) for drop in (check.drop, *check.other_drops)))


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


def _where(e: Explanation, scene: "Scene", lost: _Lost, index: int) -> Iterator[dict[str, Any]]:
    """Guess where the map of a word lies; then see it, with how much of it lies on what the word names."""
    mask, name = scene.visible[index], _names(scene)[index]
    rows, cols = np.nonzero(mask if mask.any() else scene.masks[index])
    box = [int(cols.min()), int(rows.min()), int(cols.max()) + 1, int(rows.max()) + 1]
    view = {"steps": list(lost.steps), "method": "dexar"}
    text = f"Look at “{lost.word}”, which names {name}."
    quiz = {"question": "On which patch will its map be largest?", "answer": box}
    yield {"text": text, "state": view, "lock": True, "quiz": quiz}
    heat = e.heatmap(step=lost.steps)
    area = coverage(mask, heat.grid)
    total = float(heat.values.sum())
    on_it = f"{float((heat.values * area).sum()) / total:.0%} of it lies" if total > 0 else "It is empty: nothing lies"
    told = f"This is DEX-AR’s map of “{lost.word}”. {on_it} on {name}, which covers {area.mean():.0%} of the image."
    yield {"text": f"{told} A map shows what the word is sensitive to, not yet what it needs.", "state": view}


def _what(scene: "Scene", lost: _Lost) -> Iterator[dict[str, Any]]:
    """Guess what a word depends on; then see what it loses without each object."""
    names = _names(scene)
    said = f"“{lost.word}”" if len(lost.word) < 40 else "the whole answer"
    quiz = {
        "question": f"The scene is drawn again without one of these. Without which does {said} become least probable?",
        "choices": [*names, *_OTHERWISE],
        "answer": lost.answer,
    }
    yield {
        "text": "A map is a claim; removing something is a test.",
        "state": {"steps": list(lost.steps)},
        "quiz": quiz,
    }
    nats = "; ".join(f"without {name} {drop:.2f} nats" for name, drop in zip(names, lost.nats, strict=True))
    least = "A nat makes it 2.7 times less probable; less than one counts as nothing."
    yield {"text": f"Measured, {said} loses: {nats}. {least}", "state": {"steps": list(lost.steps)}}
