"""What of the paper can be reproduced by name: tables and figures, on the lab or on a checkpoint and one's own data.

Every entry of `REPRODUCIBLE` carries itself out. Whatever a table measures is kept, so that the same command goes on
where it was cut short, and another model is added to what is there, to the page, too; a figure is made anew.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from dexar_widgets.evaluation import report, results, runs
from dexar_widgets.evaluation.comparison import comparison
from dexar_widgets.evaluation.configuration import Configuration, configuration_of
from dexar_widgets.evaluation.figures import FIGURES
from dexar_widgets.evaluation.layouts import Preset, Source
from dexar_widgets.evaluation.presets import PRESETS
from dexar_widgets.evaluation.reproducible import Made, Reproducible, Request
from dexar_widgets.evaluation.results import Results
from dexar_widgets.evaluation.samples import Dataset
from dexar_widgets.evaluation.spending import Estimate

__all__ = ["REPRODUCIBLE", "Made", "Reproducible", "Request", "together"]


@dataclass(frozen=True, eq=False)
class _Part:
    """One data set with one model, which has a folder of its own."""

    title: str
    folder: Path
    dataset: Dataset
    configuration: Configuration
    limit: int | None


@dataclass(frozen=True)
class TableOf:
    """A table: its page, Markdown, and the table itself as CSV."""

    preset: Preset

    @property
    def title(self) -> str:
        """The table's."""
        return self.preset.title

    def carry_out(self, request: Request) -> Made:
        """Evaluate each of its data sets with each model, and write the table of these and of all that were before.

        What ends the run of one keeps nobody from the next.
        """
        lost: list[str] = []
        for part in self._parts(request):
            try:
                _measure(part, request)
            except runs.FailingRunError as error:
                lost.append(f"{part.title}: {error}")
        return self._written(request, tuple(lost))

    def plan(self, request: Request, *, probe: int = 0) -> dict[str, runs.Plan]:
        """What each of its data sets takes with each model."""
        return {
            part.folder.name: runs.plan(
                part.configuration, part.dataset,
                limit=part.limit, shard=request.shard, retry_failed=request.retry_failed, out=part.folder, probe=probe,
            )
            for part in self._parts(request)
        }  # fmt: skip

    def _parts(self, request: Request) -> Iterator[_Part]:
        preset = self.preset
        for source in self._sources(request):
            root = request.roots.get(source.reader)
            dataset = source.open(root)
            for model in request.models or preset.models:
                configuration = configuration_of(
                    dataset, [model], preset.variants_of(model), preset.metrics,
                    randomised=0, batch_size=request.batch_size, threads=request.threads, device=request.device,
                    dtype=request.dtype,
                )  # fmt: skip
                folder = request.out / f"{source.key}-{re.sub(r'[^A-Za-z0-9._]+', '-', model).strip('-.')}"
                limit = request.limit or (preset.samples if root is None else None)
                yield _Part(source.title, folder, dataset, configuration, limit)

    def _sources(self, request: Request) -> list[Source]:
        """The data sets that there are."""
        readers = dict.fromkeys(source.reader for source in self.preset.sources)
        stray = sorted(set(request.roots) - set(readers))
        if stray:
            raise ValueError(f"{self.preset.name} does not read {stray[0]!r}; it reads {', '.join(readers)}.")
        return [source for source in self.preset.sources if not request.roots or source.reader in request.roots]

    def _written(self, request: Request, lost: tuple[str, ...]) -> Made:
        preset = self.preset
        folders = self._folders(request.out)
        ready = [folder for folder in folders if _units(folder)]
        notes = tuple(_UNREADY.format(folder.name) for folder in folders if folder not in ready)
        if not ready:
            return Made({}, 0, 0, lost, notes)
        found = results.read(ready)
        found = replace(found, notes=(*found.notes, *notes, *lost))
        title = f"{preset.name.replace('table', 'Table ')} of the DEX-AR paper, measured again"
        files = report.write(
            found, request.out, name=preset.name, title=title, presets=(preset,), roots=request.roots,
            table=_table(preset, found),
        )  # fmt: skip
        return Made(files, len(found.units), int((found.units["status"] != "ok").sum()), lost, notes)

    def _folders(self, out: Path) -> list[Path]:
        """Of each data set every model's, whichever run it was that measured them."""
        return [
            path.parent
            for source in self.preset.sources
            for path in sorted(out.glob(f"{source.key}-*/configuration.json"))
        ]


_UNREADY = "{} is not in the page: it has no results yet, as of a run that goes on or was cut short."


def _units(folder: Path) -> int:
    """How many units the tables of a folder have; none while its first run goes on."""
    import pyarrow.parquet as pq

    files = [folder / f"{name}.parquet" for name in ("results", "costs", "units")]
    return int(pq.read_metadata(files[-1]).num_rows) if all(file.is_file() for file in files) else 0


def _measure(part: _Part, request: Request) -> None:
    runs.evaluate(
        part.configuration, part.dataset, part.folder,
        limit=part.limit, shard=request.shard, retry_failed=request.retry_failed,
        engine=request.engine, workers=request.jobs, address=request.address,
        tell=lambda done, every, text: request.tell(done, every, f"{part.title}: {text}"),
    )  # fmt: skip


def _table(preset: Preset, found: Results) -> pd.DataFrame:
    tables = (comparison(preset, found, lab=lab) for lab in (False, True))
    return pd.concat([table for table in tables if len(table)], ignore_index=True)


def together(plans: Iterable[runs.Plan]) -> runs.Plan:
    """Several plans as one; how long it takes is known where it is of each."""
    every = list(plans)
    left = [plan.estimate for plan in every]
    seconds, forwards = ([getattr(one, name) for one in left] for name in ("seconds", "forwards"))
    estimate = Estimate(
        None if None in seconds else sum(seconds), None if None in forwards else sum(forwards),
        sum(one.measured for one in left), sum(one.probed for one in left),
        tuple(dict.fromkeys(model for one in left for model in one.unknown)), any(one.unchecked for one in left),
    )  # fmt: skip
    counts = ("samples", "units", "done", "metric_forwards", "images", "failed")
    return runs.Plan(**{name: sum(getattr(plan, name) for plan in every) for name in counts}, estimate=estimate)


REPRODUCIBLE: Mapping[str, Reproducible] = {name: TableOf(preset) for name, preset in PRESETS.items()} | dict(FIGURES)
"""By name, in the paper's order: tables, then figures."""
