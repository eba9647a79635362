"""What an evaluation shows to a model, and what is known about it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from jaxtyping import Bool, UInt8

__all__ = ["CLUSTER", "EVERY", "BrokenSampleError", "Dataset", "Given", "Sample", "Span", "Target"]

EVERY = "every target"
"""The name, in results, of all targets together."""
CLUSTER = "image"
"""Among a sample's facts, the name of what it shares with others, as an image that is asked several questions."""
Span = tuple[int, int]
"""Characters ``start`` to ``stop`` of an answer."""


class BrokenSampleError(ValueError):
    """A sample that cannot be shown to a model; the message says why, and which file it is."""


@dataclass(frozen=True, eq=False)
class Target:
    """Something that the answer names, and where it is.

    ``mask`` is over the original image; ``spans`` are the words of the answer that name it (none: the whole answer).
    """

    name: str
    mask: Bool[np.ndarray, "height width"]
    spans: tuple[Span, ...] = ()


@dataclass(frozen=True, eq=False)
class Sample:
    """One image and one question.

    ``image`` is a path or the pixels. ``prompt``: None asks the family's own question. ``answer``: the one that is
    explained; None takes what the model says. ``content`` are the words of the answer that only the image can tell;
    None where nobody knows. ``ignored`` pixels are neither right nor wrong (void of PascalVOC). ``facts`` are told
    with the results: class, question type, corruption, and by the name of `CLUSTER` which samples belong together.
    ``without``: the image without each target, where it can be made (else the target's mask is filled).
    """

    id: str
    image: Path | UInt8[np.ndarray, "height width 3"]
    prompt: str | None = None
    answer: str | None = None
    content: tuple[Span, ...] | None = None
    targets: tuple[Target, ...] = ()
    ignored: Bool[np.ndarray, "height width"] | None = None
    without: tuple[UInt8[np.ndarray, "height width 3"], ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [target.name for target in self.targets]
        if len(set(names)) < len(names):
            raise BrokenSampleError(f"Two targets of {self.id} are called {max(names, key=names.count)!r}.")
        if self.without and len(self.without) != len(self.targets):
            raise BrokenSampleError(f"{self.id} has {len(names)} targets and {len(self.without)} images without them.")


class Dataset(Protocol):
    """Samples by their ids, read when they are asked for; it can be pickled, and reads from paths, not from memory."""

    name: str
    """As the results name it."""
    settings: Mapping[str, Any]
    """All that decides which samples there are and what they hold, as JSON values; no path of this machine."""

    @property
    def ids(self) -> Sequence[str]:
        """Every sample's id, in the data set's order; each once."""

    def load(self, id_: str) -> Sample:
        """One sample. Raises `BrokenSampleError` for one that cannot be used."""


class Given:
    """A data set of samples that are there already: any iterable of `Sample`."""

    def __init__(self, samples: Iterable[Sample], name: str = "given") -> None:
        self._samples: dict[str, Sample] = {}
        for sample in samples:
            if sample.id in self._samples:
                raise ValueError(f"Two samples have the id {sample.id!r}.")
            self._samples[sample.id] = sample
        self.name = name
        self.settings: Mapping[str, Any] = {"ids": list(self._samples)}

    @property
    def ids(self) -> Sequence[str]:
        """In the order in which they were given."""
        return tuple(self._samples)

    def load(self, id_: str) -> Sample:
        """The sample itself."""
        return self._samples[id_]
