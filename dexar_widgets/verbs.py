"""The verbs that ask a model: explain an answer, attribute it by any method, compare methods.

image + prompt → answer → gradient tensor → what is kept, or any method's maps.
"""

import logging
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any, Literal

from dexar_widgets import engine
from dexar_widgets.asking import Asked, ask, ask_again
from dexar_widgets.attribution import Attribution
from dexar_widgets.attributions import every_method, options_of_all, readable, run
from dexar_widgets.explanation import Explanation
from dexar_widgets.images import ImageSource
from dexar_widgets.methods import Need
from dexar_widgets.options import Preset, Step, accept
from dexar_widgets.summary import KEEPS, Keep, collect
from dexar_widgets.types import GradientTensor
from dexar_widgets.vlm import VLM

__all__ = ["attribute", "compare", "explain"]

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
    asked = ask(vlm, image, prompt, answer=answer, steps=steps, on_word=on_word, decoding=decoding)
    started = perf_counter()
    found = engine.differentiate(
        vlm,
        asked.request,
        asked.said,
        steps=asked.steps,
        attention=attention,
        lens=lens,
        patch_norm=patch_norm,
        softcap=softcap,
    )
    e = _assemble(asked, found, found.chunks(), keep=keep, preset=preset)
    seconds = {"answer": asked.seconds, "explain": perf_counter() - started, **found.seconds}
    told = {"softcap": softcap, "seconds": {name: round(value, 4) for name, value in seconds.items()}}
    return replace(e, provenance={**asked.provenance, **told})


def attribute(
    subject: VLM | Explanation,
    image: ImageSource | None = None,
    prompt: str | None = None,
    *,
    method: str = "dexar",
    answer: str | None = None,
    steps: Step | None = None,
    on_word: Callable[[str], None] | None = None,
    decoding: engine.Decoding = engine.Decoding(),  # noqa: B008 (frozen)
    **options: Any,
) -> Attribution:
    """One method's maps of an answer: raw, signed, a map per token, whatever the model family.

    As the work of a job (`dexar_widgets.jobs`) it tells how far it is, and can be cancelled.

    Parameters
    ----------
    subject
        A model that is asked about an image, or an explanation whose answer is taken as it is, token for token.
    method
        One of `dexar_widgets.plugins.names("methods")`.
    answer, steps, on_word, decoding
        As in `dexar_widgets.explain`.
    options
        The method's own: the fields of its ``Options``, such as ``n_masks`` of "rise".

    Raises
    ------
    ValueError
        For an unknown method or option, naming those there are, and for input that cannot be explained.
    MemoryError
        If memory runs out: it says what to lower. The model is as it was.
    """
    wanted = options_of_all([method], {method: options}, _preset_of(subject))
    if why := readable(_vlm_of(subject), [method])[method]:
        raise ValueError(why)
    asked = _asked(subject, image, prompt, answer=answer, steps=steps, on_word=on_word, decoding=decoding)
    ran = run(asked, wanted)
    if ran.failed:
        raise ran.failed[method]
    return ran.found[method]


def compare(
    subject: VLM | Explanation,
    image: ImageSource | None = None,
    prompt: str | None = None,
    *,
    methods: Sequence[str] | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    answer: str | None = None,
    steps: Step | None = None,
    keep: Keep | Literal["auto"] = "auto",
    on_word: Callable[[str], None] | None = None,
    decoding: engine.Decoding = engine.Decoding(),  # noqa: B008 (frozen)
) -> Explanation:
    """Several methods on one answer: an explanation with each one's maps in `Explanation.attributions`.

    The answer, the prompt's cache, the image's features and the engine's pass are made once. What is shown, saved or
    exported of an explanation holds the methods from here on; ``to_pandas("methods")`` is their table.

    Parameters
    ----------
    methods
        Their names; by default all, the slow ones too (RISE passes 200 times through the model). One that runs out
        of memory is left out with a notice that says what to lower.
    options
        Per method, its options by name.
    subject, answer, steps, keep, on_word, decoding
        As in `attribute` and `dexar_widgets.explain`.

    Raises
    ------
    ValueError, MemoryError
        As in `attribute`.
    """
    wanted = options_of_all(_names(methods), options or {}, _preset_of(subject))
    accept("keep", keep, (*KEEPS, "auto"))
    blind = {name: why for name, why in readable(_vlm_of(subject), tuple(wanted)).items() if why}
    if blind and methods is not None:
        raise ValueError(" ".join(blind.values()))
    wanted = {name: options for name, options in wanted.items() if name not in blind}
    asked = _asked(subject, image, prompt, answer=answer, steps=steps, on_word=on_word, decoding=decoding)
    needs: frozenset[Need] = frozenset() if isinstance(subject, Explanation) else frozenset({"gradients"})
    ran = run(asked, wanted, needs)
    if not ran.found:
        raise next(iter(ran.failed.values()))
    if isinstance(subject, Explanation):
        e = subject
    else:
        e = _assemble(asked, ran.subject.passed, ran.subject.chunks(), keep=keep)
        told = {"softcap": True, "seconds": {"answer": round(asked.seconds, 4), **ran.subject.passed.seconds}}
        e = replace(e, provenance={**asked.provenance, **told})
    notices = (*blind.values(), *map(str, ran.failed.values()))
    for notice in notices:
        _log.warning(notice)
    example = replace(e.example, notices=(*e.example.notices, *notices))
    return replace(e, example=example, attributions={**e.attributions, **ran.found})


def _names(methods: Sequence[str] | None) -> tuple[str, ...]:
    if isinstance(methods, str):
        raise ValueError(f"methods={methods!r} is one name; give a list of names: methods=[{methods!r}].")
    if methods is not None and not methods:
        raise ValueError(f"methods names none; there are {', '.join(every_method())}.")
    return every_method() if methods is None else tuple(dict.fromkeys(methods))


def _vlm_of(subject: VLM | Explanation) -> VLM:
    if isinstance(subject, Explanation):
        return subject.model()
    if not isinstance(subject, VLM):
        raise ValueError(f"Expected a loaded VLM (dx.load) or an explanation; got a {type(subject).__name__}.")
    return subject


def _preset_of(subject: VLM | Explanation) -> Preset | None:
    return subject.preset if isinstance(subject, Explanation) else None


def _asked(
    subject: VLM | Explanation,
    image: ImageSource | None,
    prompt: str | None,
    *,
    answer: str | None,
    steps: Step | None,
    on_word: Callable[[str], None] | None,
    decoding: engine.Decoding,
) -> Asked:
    if isinstance(subject, Explanation):
        if any(given is not None for given in (image, prompt, answer, on_word)) or decoding != engine.Decoding():
            raise ValueError(
                "An explanation has its image, prompt and answer; image=, prompt=, answer=, on_word= and decoding= go "
                "with a VLM."
            )
        return ask_again(subject, steps=steps)
    if image is None:
        raise ValueError("There is no image to ask about; give it after the model: attribute(vlm, image, prompt).")
    return ask(subject, image, prompt, answer=answer, steps=steps, on_word=on_word, decoding=decoding)


def _assemble(
    asked: Asked,
    found: engine.Pass,
    chunks: Iterable[GradientTensor],
    *,
    keep: Keep | Literal["auto"],
    preset: Preset = "paper",
) -> Explanation:
    """An explanation of a pass and its tensor; a preset that does not go with the family is refused."""
    kept, notices = _kept(found, keep)
    for notice in notices:
        _log.warning(notice)
    collected = collect(iter(chunks), keep=kept, layout=found.layout, steps=found.steps.tolist())
    e = Explanation(
        example=replace(asked.example, notices=(*asked.example.notices, *notices)),
        layout=found.layout,
        generation=asked.said.generation,
        gradients=collected.gradients,
        summary=collected.summary,
        preset=preset,
        keep=kept,
        provenance=asked.provenance,
        attention=found.attention,
        patch_norm=found.patch_norm,
        lens=found.lens,
        vlm=weakref.ref(asked.vlm),
    )
    e.options()
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
