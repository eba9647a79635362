"""What is asked of anything that can be reproduced by name, and what it hands back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from dexar_widgets.evaluation.engines import Kind
from dexar_widgets.evaluation.runs import Plan, Shard

__all__ = ["Made", "Reproducible", "Request"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """How something is to be reproduced. ``models``: None takes the lab's, which the entry names.

    ``roots`` are folders of data sets by reader; without any the lab stands for all of them, else what has no folder is
    left out. ``limit``: so many samples of each; None takes what the entry has for the lab, and of other data as many
    as the paper drew, or all, to a table, a few to a figure. ``shard``, ``retry_failed``, ``engine``, ``address`` and
    ``jobs`` (its workers) are those of `runs.evaluate`, for tables; ``threads`` are of arithmetic, in each process.
    ``tell`` hears of samples done, of how many, and of what.
    """

    out: Path
    models: Sequence[str] | None = None
    roots: Mapping[str, Path] = field(default_factory=dict)
    limit: int | None = None
    shard: Shard = field(default_factory=Shard)
    retry_failed: bool = False
    engine: Kind = "local"
    address: str | None = None
    jobs: int | None = None
    threads: int = 1
    batch_size: int = 16
    device: str | None = None
    dtype: str | None = None
    tell: Callable[[int, int, str], None] = lambda _done, _all, _text: None


@dataclass(frozen=True)
class Made:
    """What was written, of how many units, and how many of those have no result.

    ``lost`` says what this run could not do, ``notes`` what else a reader must know. No files: there is no unit yet.
    """

    files: Mapping[str, Path]
    units: int
    without_result: int
    lost: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Reproducible(Protocol):
    """One thing of the paper."""

    @property
    def title(self) -> str:
        """What it shows."""

    def carry_out(self, request: Request) -> Made:
        """Measure what is not there yet, and write what came of it. Raises `ValueError` for what cannot be."""

    def plan(self, request: Request, *, probe: int = 0) -> Mapping[str, Plan]:
        """What there is to do, by the folder of results; ``probe`` so many images of each model to tell how long.

        Raises `ValueError` for what is not kept, and so is always to be made anew.
        """
