"""From an image and a question to an `Explanation`: image + prompt → generation → gradient tensor → what is kept."""

import logging
import weakref
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from time import perf_counter
from typing import Any, Literal

import numpy as np

from dexar_widgets import engine
from dexar_widgets.explanation import Explanation
from dexar_widgets.images import ImageSource, open_image
from dexar_widgets.options import Preset, Step, accept, pick_steps
from dexar_widgets.summary import KEEPS, Keep, collect
from dexar_widgets.types import Example
from dexar_widgets.vlm import VLM

__all__ = ["explain"]

_log = logging.getLogger(__name__)

FULL_UP_TO = 2**30
"""Bytes up to which ``keep="auto"`` keeps the whole tensor."""


def explain(
    vlm: VLM,
    image: ImageSource,
    prompt: str | None = None,
    *,
    answer: str | None = None,
    steps: Step | None = None,
    preset: Preset = "paper",
    keep: Keep | Literal["auto"] = "auto",
    attention: bool = False,
    lens: bool = False,
    patch_norm: bool = False,
    softcap: bool = True,
    on_word: Callable[[str], None] | None = None,
    decoding: engine.Decoding = engine.Decoding(),  # noqa: B008 (frozen)
) -> Explanation:
    """Let the model answer a question about an image, and say which image regions drove each word.

    As the work of a job (`dexar_widgets.jobs`) it tells how far it is, and can be cancelled.

    Parameters
    ----------
    image
        A path, a PIL image, an array, bytes or an open file.
    prompt
        The question; None: the family's own prompt in the paper (appendix B).
    answer
        Explain this answer instead of generating one.
    steps
        Explain only these tokens of the answer: an int, slice, sequence, or a word.
    preset
        ``paper`` or ``released`` (the authors' code; LLaVA types only): the defaults of every view.
    keep
        ``full``: the whole tensor. ``visual``: its visual columns and the filters' statistics.
        ``summary``: statistics and maps. ``auto``: full up to 1 GB, else visual, with a notice.
    attention, lens, patch_norm
        Also keep the attention rows, each layer's words, the norm of each visual token.
    softcap
        False leaves the model's final soft-cap out of the logits (PaliGemma 2).
    on_word
        Called with each word as it is generated.
    decoding
        How the answer is generated (`dexar_widgets.engine.Decoding`); by default as the model's own
        configuration says, at most 64 tokens.

    Raises
    ------
    ValueError
        For input that cannot be explained; the message says what was expected.
    """
    accept("keep", keep, (*KEEPS, "auto"))
    opened = open_image(image)
    example = Example(
        opened.image, vlm.family.DEFAULT_PROMPT if prompt is None else prompt, opened.source, opened.notices
    )
    started = perf_counter()
    request = engine.encode(vlm, example)
    said = engine.answer(vlm, request, answer=answer, decoding=decoding, on_word=on_word)
    answered = perf_counter()
    every = range(len(said.generation))
    chosen = None if steps is None else pick_steps(said.generation, every, steps)
    found = engine.differentiate(
        vlm, request, said, steps=chosen, attention=attention, lens=lens, patch_norm=patch_norm, softcap=softcap
    )
    kept, notices = _kept(found, keep)
    collected = collect(found.chunks(), keep=kept, layout=found.layout, steps=found.steps.tolist())
    seconds = {"answer": answered - started, "explain": perf_counter() - answered, **found.seconds}
    notices = (*opened.notices, *request.notices, *_lab_notices(vlm, opened.image), *notices)
    for notice in notices:
        _log.warning(notice)
    e = Explanation(
        example=replace(example, notices=(*vlm.notices, *notices)),
        layout=found.layout,
        generation=said.generation,
        gradients=collected.gradients,
        summary=collected.summary,
        preset=preset,
        keep=kept,
        provenance=_provenance(vlm, decoding, given=answer is not None, softcap=softcap, seconds=seconds),
        attention=found.attention,
        patch_norm=found.patch_norm,
        lens=found.lens,
        vlm=weakref.ref(vlm),
    )
    e.options()  # refuses a preset that does not go with the family
    return e


def _kept(found: engine.Pass, keep: Keep | Literal["auto"]) -> tuple[Keep, tuple[str, ...]]:
    if keep != "auto":
        return keep, ()
    if found.nbytes <= FULL_UP_TO:
        return "full", ()
    notice = (
        f"The whole gradient tensor would take {found.nbytes / 1e9:.1f} GB; its visual columns and the filters' "
        "statistics are kept (keep='full' keeps everything)."
    )
    return "visual", (notice,)


def _lab_notices(vlm: VLM, image: np.ndarray) -> tuple[str, ...]:
    if not vlm.is_lab or import_module("dexar_widgets.lab").is_lab_scene(image):
        return ()
    notice = (
        f"{vlm.name} knows only the lab's drawn scenes, and this picture does not look like one: its answer means "
        "nothing. For photographs load a real checkpoint, for example dx.load('google/paligemma-3b-pt-224') or "
        "dx.load('llava-hf/llava-1.5-7b-hf')."
    )
    return (notice,)


def _provenance(
    vlm: VLM, decoding: engine.Decoding, *, given: bool, softcap: bool, seconds: dict[str, float]
) -> dict[str, Any]:
    return vlm.provenance() | {
        "answer": "given" if given else "generated",
        "decoding": {} if given else decoding.options() | {"seed": decoding.seed},
        "softcap": softcap,
        "seconds": {name: round(value, 4) for name, value in seconds.items()},
    }
