"""What is asked of anything that can be reproduced by name, and what it hands back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

__all__ = ["Made", "Reproducible", "Request"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """How something is to be reproduced. ``models``: None takes the lab's, which the entry names.

    ``roots`` are folders of data sets by reader; without any the lab stands for all of them, else what has no folder is
    left out. ``limit``: so many samples of each; None takes what the entry has for the lab, and of other data all that
    there is to a table, a few to a figure. ``tell`` hears of samples done, of how many, and of what.
    """

    out: Path
    models: Sequence[str] | None = None
    roots: Mapping[str, Path] = field(default_factory=dict)
    limit: int | None = None
    jobs: int = 1
    batch_size: int = 16
    device: str | None = None
    dtype: str | None = None
    tell: Callable[[int, int, str], None] = lambda _done, _all, _text: None


@dataclass(frozen=True)
class Made:
    """What was written, and how many units have no result."""

    files: Mapping[str, Path]
    units: int
    without_result: int


class Reproducible(Protocol):
    """One thing of the paper."""

    @property
    def title(self) -> str:
        """What it shows."""

    def carry_out(self, request: Request) -> Made:
        """Measure what is not there yet, and write what came of it. Raises `ValueError` for what cannot be."""
