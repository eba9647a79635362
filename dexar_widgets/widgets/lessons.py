"""Lessons: captions that lead through views, some with a guess to make before the map is shown."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from traitlets import TraitError

from dexar_widgets.widgets.regions import outline_of

__all__ = ["checked"]

_FIELDS = ("text", "state", "lock", "quiz")
_QUIZ = ("question", "choices", "answer")


def checked(
    lesson: Sequence[Mapping[str, Any]], state: Callable[[Mapping[str, Any]], dict[str, Any]]
) -> tuple[dict[str, Any], ...]:
    """A lesson's steps as the browser reads them; ``state`` checks the view that a step sets.

    Each step is a dict: ``text``, its caption; ``state``, traits to set; ``lock``, whether the controls are
    locked; ``quiz``, a dict of ``question`` and perhaps ``choices`` and their right ``answer``, which is the
    place of a choice or, without choices, a box on the image.
    """
    if isinstance(lesson, str | Mapping):
        raise ValueError(f"A lesson is a list of steps, each a dict; got {type(lesson).__name__}.")
    return tuple(_step(number, step, state) for number, step in enumerate(lesson))


def _step(number: int, step: Mapping[str, Any], state: Callable[[Mapping[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    place = f"lesson[{number}]"
    _only(place, step, _FIELDS)
    text, lock = step.get("text"), step.get("lock", False)
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"{place} has the text {text!r}; expected a sentence to show.")
    if not isinstance(lock, bool):
        raise ValueError(f"{place} has lock={lock!r}; expected True or False.")
    found: dict[str, Any] = {"text": text, "lock": lock}
    if step.get("state"):
        try:
            found["state"] = state(step["state"])
        except (ValueError, TypeError, TraitError) as error:
            raise ValueError(f"{place}: {error}") from error
    return found | ({"quiz": _quiz(place, step["quiz"])} if step.get("quiz") else {})


def _quiz(place: str, quiz: Mapping[str, Any]) -> dict[str, Any]:
    _only(f"{place}: quiz", quiz, _QUIZ)
    question, choices, answer = (quiz.get(name) for name in _QUIZ)
    if not isinstance(question, str) or not question.strip():
        raise ValueError(f"{place}: quiz has the question {question!r}; expected a sentence.")
    found: dict[str, Any] = {"question": question}
    if choices is not None:
        if not isinstance(choices, list | tuple) or len(choices) < 2 or not all(isinstance(c, str) for c in choices):
            raise ValueError(f"{place}: quiz has choices={choices!r}; expected at least two words or sentences.")
        found["choices"] = list(choices)
    if answer is not None and choices is not None:
        if not isinstance(answer, int) or isinstance(answer, bool) or not 0 <= answer < len(choices):
            raise ValueError(f"{place}: quiz has answer={answer!r}; expected the place of a choice, from 0.")
        found["answer"] = answer
    elif answer is not None:
        if np.shape(answer) != (4,):
            raise ValueError(f"{place}: quiz has answer={answer!r}; expected a box [left, top, right, bottom].")
        found["answer"] = outline_of(answer)
    return found


def _only(place: str, value: object, names: Sequence[str]) -> None:
    if not isinstance(value, Mapping):
        raise ValueError(f"{place} is {value!r}; expected a dict with {', '.join(names)}.")
    unknown = [name for name in value if name not in names]
    if unknown:
        raise ValueError(f"{place} has {unknown[0]!r}, which is unknown; known: {', '.join(names)}.")
