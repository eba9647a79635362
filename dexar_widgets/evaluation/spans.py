"""Between an answer's characters and its tokens."""

import re
from collections.abc import Iterable

from dexar_widgets.evaluation.samples import Span, Target
from dexar_widgets.types import Generation

__all__ = ["named_by", "spans_of", "steps_of"]


def steps_of(generation: Generation, spans: Iterable[Span]) -> tuple[int, ...]:
    """The steps whose pieces share a character with one of the spans; a space goes with what follows it.

    Raises
    ------
    ValueError
        If the pieces do not spell the answer.
    """
    wanted = tuple(spans)
    return tuple(
        step
        for step, (start, stop) in enumerate(_places(generation))
        if any(max(start, first) < min(stop, last) for first, last in wanted)
    )


def _places(generation: Generation) -> list[Span]:
    """Each piece's characters in the text, without the spaces at its beginning."""
    spelt = "".join(generation.pieces)
    if spelt.strip() != generation.text.strip():
        raise ValueError(f"The pieces spell {spelt!r} and not the answer {generation.text!r}.")
    found, end = [], len(generation.text) - len(generation.text.lstrip()) - (len(spelt) - len(spelt.lstrip()))
    for piece in generation.pieces:
        start, end = end, end + len(piece)
        blank = len(piece) - len(piece.lstrip())
        found.append((end, end + 1) if blank == len(piece) else (start + blank, end))
    return found


def named_by(generation: Generation, targets: Iterable[Target]) -> dict[str, tuple[int, ...]]:
    """By target the steps that name it: its spans, else wherever its name stands; targets without any are left out."""
    found = {}
    for target in targets:
        if steps := steps_of(generation, target.spans or spans_of(generation.text, target.name)):
            found[target.name] = steps
    return found


def spans_of(text: str, name: str) -> tuple[Span, ...]:
    """Where a name stands in a text as a word, in whatever case; a plural -s may follow."""
    found = re.finditer(rf"(?<!\w){re.escape(name)}s?(?!\w)", text, re.IGNORECASE)
    return tuple(match.span() for match in found)
