"""What of the paper can be reproduced by name: tables and figures, on the lab or on a checkpoint and one's own data.

Every entry of `REPRODUCIBLE` carries itself out. Whatever a table measures is kept, so that the same command goes on
where it was cut short, and another model is added to what is there; a figure is made anew.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dexar_widgets.evaluation import report, results, runs
from dexar_widgets.evaluation.comparison import comparison
from dexar_widgets.evaluation.configuration import configuration_of
from dexar_widgets.evaluation.figures import FIGURES
from dexar_widgets.evaluation.layouts import Preset, Source
from dexar_widgets.evaluation.presets import PRESETS
from dexar_widgets.evaluation.reproducible import Made, Reproducible, Request
from dexar_widgets.evaluation.results import Results

__all__ = ["REPRODUCIBLE", "Made", "Reproducible", "Request"]


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


REPRODUCIBLE: Mapping[str, Reproducible] = {name: TableOf(preset) for name, preset in PRESETS.items()} | dict(FIGURES)
"""By name, in the paper's order: tables, then figures."""
