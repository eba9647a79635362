"""What a reader of an explanation may choose, checked once: layers, heads, filters, text, preset, steps.

Selection comes first: δ, ω and every maximum are taken over the selected layers and heads alone.
"""

import operator
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Bool, Int

from dexar_widgets.types import Generation

__all__ = [
    "PRESETS",
    "READINGS",
    "RELEASED_FAMILIES",
    "TEXT_SETS",
    "Filter",
    "Heads",
    "Layers",
    "Options",
    "Preset",
    "Step",
    "TextSet",
    "accept",
    "fraction_of",
    "pick_steps",
    "resolve",
]

Filter = Literal["max", "none", "avg"] | float
TextSet = Literal["all", "no_special", "content", "answer", "released"]
Preset = Literal["paper", "released"]
Layers = int | slice | Sequence[int] | None
Heads = Sequence[tuple[int, int]] | None
Step = int | slice | Sequence[int] | str

TEXT_SETS: tuple[TextSet, ...] = get_args(TextSet)
PRESETS: tuple[Preset, ...] = get_args(Preset)
READINGS: tuple[float, ...] = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""The fractions of table 3, with 0 for ``max`` (the mean of the top one) and 1 for ``avg``."""
RELEASED_LAYERS = 10  # the authors' code of March 2026 reads the last ten layers
RELEASED_FAMILIES = ("llava",)  # LLaVA-1.5 and BakLLaVA: the only models of that code


@dataclass(frozen=True, kw_only=True)
class Options:
    """A validated choice of what counts (build it with `resolve`).

    ``layers`` are true indices in rising order; ``heads`` (layer, head) pairs, None for all of them.
    """

    layers: tuple[int, ...]
    heads: tuple[tuple[int, int], ...] | None
    head_filter: Filter
    filler_filter: Filter
    relu: bool
    magnitude: bool
    text_set: TextSet
    preset: Preset

    def selection(self, layers: Int[np.ndarray, " layer"], n_heads: int) -> Bool[np.ndarray, "layer head"]:
        """True where a layer and head is selected, on the tensor's axes."""
        chosen = np.isin(layers, self.layers)[:, None] & np.ones(n_heads, bool)
        if self.heads is None:
            return chosen
        pairs = np.zeros_like(chosen)
        for layer, head in self.heads:
            pairs[np.flatnonzero(layers == layer), head] = True
        return chosen & pairs

    def as_dict(self) -> dict[str, object]:
        """Plain values, for the provenance of a map."""
        return asdict(self)


def accept(name: str, value: object, accepted: Sequence[str]) -> None:
    """Raise `ValueError`, naming the accepted values, for any other."""
    if value not in accepted:
        raise ValueError(f"{name}={value!r} is unknown; accepted: {', '.join(map(repr, accepted))}.")


def fraction_of(value: Filter, name: str = "head_filter") -> float | None:
    """The fraction a filter reads: 0 for ``max``, 1 for ``avg``, None for ``none``."""
    named = {"max": 0.0, "avg": 1.0, "none": None}
    if isinstance(value, str) and value in named:
        return named[value]
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not number or not 0 < float(value) <= 1:
        raise ValueError(f"{name}={value!r} is unknown; accepted: 'max', 'none', 'avg' or a fraction in (0, 1].")
    return float(value)


def _indices(name: str, given: int | Sequence[int], length: int) -> list[int]:
    numbers: list[Any] = [given] if np.ndim(given) == 0 else list(given)  # type: ignore[arg-type]
    try:
        return [operator.index(n) + (length if n < 0 else 0) for n in numbers]
    except TypeError:
        raise ValueError(f"{name}={given!r} is unknown; accepted: an int, a slice or a sequence of ints.") from None


def _resolve_layers(layers: int | slice | Sequence[int], known: Sequence[int]) -> tuple[int, ...]:
    depth = max(known) + 1
    if isinstance(layers, slice):
        wanted = [layer for layer in range(depth)[layers] if layer in known]
    else:
        wanted = _indices("layers", layers, depth)
    unknown = sorted(set(wanted) - set(known))
    if unknown or not wanted:
        what = f"names layer {unknown[0]}, which the explanation does not have" if unknown else "selects no layer"
        raise ValueError(f"layers={layers!r} {what}; it has layers {known[0]} to {known[-1]} ({len(known)} of them).")
    return tuple(sorted(set(wanted)))


def _resolve_heads(heads: Heads, known: Sequence[int], n_heads: int) -> tuple[tuple[int, int], ...] | None:
    if heads is None:
        return None
    if np.ndim(heads) == 0 or not len(heads) or any(np.shape(pair) != (2,) for pair in heads):
        raise ValueError(f"heads={heads!r} is no sequence of (layer, head) pairs; give for example heads=[(3, 0)].")
    numbers = [_indices("heads", pair, 0) for pair in heads]
    pairs = sorted({(layer, head) for layer, head in numbers})
    for layer, head in pairs:
        if layer not in known or not 0 <= head < n_heads:
            raise ValueError(
                f"heads names (layer {layer}, head {head}); the explanation has layers {known[0]} to {known[-1]} "
                f"with heads 0 to {n_heads - 1}."
            )
    return tuple(pairs)


def resolve(
    known: Sequence[int],
    n_heads: int,
    *,
    layers: Layers = None,
    heads: Heads = None,
    head_filter: Filter = "max",
    filler_filter: Filter = "max",
    relu: bool = True,
    magnitude: bool = False,
    text_set: TextSet | None = None,
    preset: Preset = "paper",
) -> Options:
    """Check every option and fill in the preset's; an explicit option overrides the preset's.

    ``known`` are the true layer indices at hand. Layers are true indices too; negative ones count
    from the last. Heads without layers are their own selection; with layers they must lie in them.
    """
    accept("preset", preset, PRESETS)
    fraction_of(head_filter)
    fraction_of(filler_filter, "filler_filter")
    for name, flag in (("relu", relu), ("magnitude", magnitude)):
        if not isinstance(flag, bool | np.bool_):
            raise ValueError(f"{name}={flag!r} is unknown; accepted: True, False.")
    if text_set is not None:
        accept("text_set", text_set, TEXT_SETS)
    released = preset == "released"
    pairs = _resolve_heads(heads, known, n_heads)
    if layers is not None:
        chosen = _resolve_layers(layers, known)
    elif pairs is not None:
        chosen = tuple(sorted({layer for layer, _ in pairs}))
    else:
        chosen = tuple(known[-RELEASED_LAYERS:] if released else known)
    outside = [pair for pair in pairs or () if pair[0] not in chosen]
    if outside:
        raise ValueError(f"heads names {outside[0]}, whose layer is not among layers={layers!r}; drop one of the two.")
    return Options(
        layers=tuple(int(layer) for layer in chosen),
        heads=pairs,
        head_filter=head_filter,
        filler_filter=filler_filter,
        relu=bool(relu),
        magnitude=bool(magnitude),
        text_set=text_set or ("released" if released else "all"),
        preset=preset,
    )


def pick_steps(generation: Generation, explained: Sequence[int], step: Step) -> tuple[int, ...]:
    """The explained steps that an int, a slice, a sequence or a word of the answer names.

    Ints and slices count the answer's tokens, negative ones from its end. A word is matched as it
    stands, then without case and surrounding punctuation; one that occurs twice must be given by its steps.
    """
    if isinstance(step, str):
        wanted = _steps_of_word(generation, step)
    elif isinstance(step, slice):
        wanted = tuple(t for t in range(len(generation))[step] if t in explained)
    else:
        wanted = tuple(_indices("step", step, len(generation)))
    missing = [t for t in wanted if t not in explained]
    if missing or not wanted:
        raise ValueError(
            f"step={step!r} names no explained step{f' ({missing[0]})' if missing else ''}; the answer has "
            f"{len(generation)} tokens, of which these are explained: {', '.join(map(str, explained))}."
        )
    return tuple(sorted(set(wanted)))


def _steps_of_word(generation: Generation, text: str) -> tuple[int, ...]:
    def bare(word: str) -> str:
        return word.strip(" \t\n.,;:!?\"'()[]").casefold()

    found = [word for word in generation.words if word.text.strip() == text.strip()]
    found = found or [word for word in generation.words if bare(word.text) == bare(text) != ""]
    if len(found) > 1:
        places = " or ".join(f"step={list(word.steps)}" for word in found)
        raise ValueError(f"The word {text!r} occurs {len(found)} times in the answer; give {places}.")
    if not found:
        words = " · ".join(word.text.strip() for word in generation.words)
        raise ValueError(f"The word {text!r} is not in the answer; its words are: {words}.")
    return found[0].steps
