"""Answers put together from names, with the characters of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dexar_widgets.evaluation.samples import Span

__all__ = ["Sentence", "listing", "sentence"]


@dataclass(frozen=True)
class Sentence:
    """A text, and where each name stands in it."""

    text: str
    spans: Mapping[str, tuple[Span, ...]]

    @property
    def content(self) -> tuple[Span, ...]:
        """The names' characters."""
        return tuple(span for spans in self.spans.values() for span in spans)


def sentence(names: Sequence[str], before: Sequence[str]) -> Sentence:
    """Each name, with what stands before it."""
    text, spans = "", {}
    for words, name in zip(before, names, strict=True):
        start = len(text) + len(words)
        spans[name] = ((start, start + len(name)),)
        text += words + name
    return Sentence(text, spans)


def listing(names: Sequence[str]) -> Sentence:
    """The names, apart by commas."""
    return sentence(names, ["", *[", "] * (len(names) - 1)])
