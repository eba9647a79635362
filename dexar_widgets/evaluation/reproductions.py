"""What of the paper can be reproduced by name: its tables, on the lab or on a checkpoint and one's own data.

Every entry of `REPRODUCIBLE` carries itself out; whatever it measures is kept, so that the same command goes on where
it was cut short, and another model is added to what is there.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pandas as pd

from dexar_widgets.evaluation import report, results, runs
from dexar_widgets.evaluation.comparison import comparison
from dexar_widgets.evaluation.configuration import configuration_of
from dexar_widgets.evaluation.layouts import Preset, Source
from dexar_widgets.evaluation.presets import PRESETS
from dexar_widgets.evaluation.results import Results

__all__ = ["REPRODUCIBLE", "Made", "Reproducible", "Request"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """How something is to be reproduced. ``models``: None takes the lab's four.

    ``roots`` are folders of data sets by reader; without any the lab stands for all of them, else what has no folder is
    left out. ``limit``: so many samples of each; None takes what the entry has for the lab, and all of other data.
    ``tell`` hears of samples done, of how many, and of what.
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


@dataclass(frozen=True)
class TableOf:
    """A table: its page, Markdown, and the table itself as CSV."""

    preset: Preset

    @property
    def title(self) -> str:
        """The table's."""
        return self.preset.title

    def carry_out(self, request: Request) -> Made:
        """Evaluate each of its data sets with each model, in a folder of its own, and write the table."""
        preset = self.preset
        folders = [folder for source in self._sources(request) for folder in _measured(preset, source, request)]
        found = results.read(folders)
        title = f"{preset.name.replace('table', 'Table ')} of the DEX-AR paper, measured again"
        files = report.write(
            found, request.out, name=preset.name, title=title, presets=(preset,), roots=request.roots,
            table=_table(preset, found),
        )  # fmt: skip
        return Made(files, len(found.units), int((found.units["status"] != "ok").sum()))

    def _sources(self, request: Request) -> list[Source]:
        """The data sets that there are."""
        readers = dict.fromkeys(source.reader for source in self.preset.sources)
        stray = sorted(set(request.roots) - set(readers))
        if stray:
            raise ValueError(f"{self.preset.name} does not read {stray[0]!r}; it reads {', '.join(readers)}.")
        return [source for source in self.preset.sources if not request.roots or source.reader in request.roots]


def _measured(preset: Preset, source: Source, request: Request) -> Iterator[Path]:
    root = request.roots.get(source.reader)
    dataset = source.open(root)
    limit = request.limit or (preset.samples if root is None else None)
    for model in request.models or preset.models:
        folder = request.out / f"{source.key}-{re.sub(r'[^A-Za-z0-9._]+', '-', model).strip('-.')}"
        configuration = configuration_of(
            dataset, [model], preset.variants, preset.metrics,
            randomised=0, batch_size=request.batch_size, device=request.device, dtype=request.dtype,
        )  # fmt: skip
        runs.evaluate(
            configuration,
            dataset,
            folder,
            limit=limit,
            workers=0 if request.jobs == 1 else request.jobs,
            tell=lambda done, every, text: request.tell(done, every, f"{source.title}: {text}"),
        )
        yield folder


def _table(preset: Preset, found: Results) -> pd.DataFrame:
    tables = (comparison(preset, found, lab=lab) for lab in (False, True))
    return pd.concat([table for table in tables if len(table)], ignore_index=True)


REPRODUCIBLE: Mapping[str, Reproducible] = {name: TableOf(preset) for name, preset in PRESETS.items()}
"""By name, in the paper's order."""
