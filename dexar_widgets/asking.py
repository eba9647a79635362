"""From an image and a question to an answer: what every verb begins with."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import numpy as np

from dexar_widgets import engine
from dexar_widgets.explanation import Explanation
from dexar_widgets.images import ImageSource, open_image
from dexar_widgets.options import Step, pick_steps
from dexar_widgets.types import Example
from dexar_widgets.vlm import VLM

__all__ = ["Asked", "ask", "ask_again"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Asked:
    """A question and its answer, the steps of it that are to be explained, and the seconds that it took."""

    vlm: VLM
    example: Example
    request: engine.Request
    said: engine.Answer
    steps: tuple[int, ...]
    seconds: float
    provenance: Mapping[str, Any]


def ask(
    vlm: VLM,
    image: ImageSource,
    prompt: str | None,
    *,
    answer: str | None,
    steps: Step | None,
    on_word: Callable[[str], None] | None,
    decoding: engine.Decoding,
) -> Asked:
    """Let the model answer, or take a given answer; the notices of the example are logged."""
    opened = open_image(image)
    asked = vlm.family.DEFAULT_PROMPT if prompt is None else prompt
    example = Example(opened.image, asked, opened.source)
    with engine.metered(vlm, memory=False) as meter:
        request = engine.encode(vlm, example)
        said = engine.answer(vlm, request, answer=answer, decoding=decoding, on_word=on_word)
    every = tuple(range(len(said.generation)))
    chosen = every if steps is None else pick_steps(said.generation, every, steps)
    said_of_prompt = () if vlm.is_lab else request.notices  # about what the published checkpoints were trained on
    notices = (*opened.notices, *said_of_prompt, *_lab_notices(vlm, opened.image))
    for notice in notices:
        _log.warning(notice)
    provenance = vlm.provenance() | {
        "answer": "generated" if answer is None else "given",
        "decoding": decoding.options() | {"seed": decoding.seed} if answer is None else {},
    }
    example = replace(example, notices=(*vlm.notices, *notices))
    return Asked(vlm, example, request, said, chosen, meter.seconds, provenance)


def ask_again(e: Explanation, *, steps: Step | None) -> Asked:
    """The answer of an explanation once more, token for token; its model must be in memory.

    The seconds are those that the answer took, where they are known: it was not generated now.
    """
    vlm = e.model()
    with engine.metered(vlm, memory=False) as meter:
        request = engine.encode(vlm, e.example)
        said = engine.resume(vlm, request, e.generation)
    chosen = e.steps if steps is None else e.steps_of(steps)
    seconds = e.provenance.get("seconds", {}).get("answer", meter.seconds)
    return Asked(vlm, e.example, request, said, chosen, seconds, e.provenance)


def _lab_notices(vlm: VLM, image: np.ndarray) -> tuple[str, ...]:
    if not vlm.is_lab or import_module("dexar_widgets.lab").is_lab_scene(image):
        return ()
    notice = (
        f"{vlm.name} knows only the lab's drawn scenes, and this picture does not look like one: its answer means "
        "nothing. For photographs load a real checkpoint, for example "
        "dx.load('florence-community/Florence-2-base') or dx.load('llava-hf/llava-1.5-7b-hf')."
    )
    return (notice,)
