"""Results as one page without requests, as Markdown and as a table: where DEX-AR loses, then the paper's tables."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from dexar_widgets import plugins
from dexar_widgets.evaluation import chapters, charts, pictures
from dexar_widgets.evaluation.comparison import comparison, measured_rows, same_setting
from dexar_widgets.evaluation.layouts import DREW, Preset
from dexar_widgets.evaluation.losses import every_comparison, losses
from dexar_widgets.evaluation.oracles import ORACLES
from dexar_widgets.evaluation.presets import PRESETS
from dexar_widgets.evaluation.readings import readings_in
from dexar_widgets.evaluation.reopened import reopened
from dexar_widgets.evaluation.results import Results
from dexar_widgets.evaluation.robustness import robustness, under_corruption
from dexar_widgets.evaluation.samples import Dataset
from dexar_widgets.evaluation.tables import SUMMARY, summary
from dexar_widgets.evaluation.validity import validities, validity
from dexar_widgets.files import write_whole
from dexar_widgets.pages import Chapter, html, markdown

__all__ = ["contents", "numbers_of", "references_of", "write"]

TITLE = "DEX-AR and other methods, measured"
_FEWEST = 2
"""Rows that make a table: one alone compares nothing."""
_MOST_ROWS = 40
"""A table with more is folded."""


def write(
    results: Results,
    folder: Path,
    *,
    name: str = "report",
    title: str = TITLE,
    presets: Sequence[Preset] = tuple(PRESETS.values()),
    roots: Mapping[str, Path] | None = None,
    table: pd.DataFrame | None = None,
) -> dict[str, Path]:
    """Write the page, Markdown and the numbers: NAME.html, NAME.md and NAME.csv.

    ``presets`` are the paper's tables that are looked for; ``roots`` are folders of data sets by reader, whose images
    are shown. ``table`` is what the CSV file holds instead of every number.
    """
    numbers = numbers_of(results, presets)
    parts = contents(results, numbers, presets, roots or {})
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "html": html(title, parts, most_rows=_MOST_ROWS),
        "md": markdown(title, parts),
        "csv": (numbers if table is None else table).to_csv(index=False, lineterminator="\n"),
    }
    return {kind: write_whole(folder / f"{name}.{kind}", text.encode()) for kind, text in texts.items()}


def references_of(results: Results) -> dict[str, str]:
    """By data, the variant that is DEX-AR as the paper has it; where there is none, the first of that method."""
    found = {}
    for data in results.told:
        variants = results.variants(data)
        own = [name for name, (method, _) in variants.items() if method == "dexar"]
        plain = [name for name in own if same_setting(*variants[name]) == same_setting("dexar", {})]
        if own:
            found[data] = (plain or own)[0]
    return found


def numbers_of(results: Results, presets: Sequence[Preset] = ()) -> pd.DataFrame:
    """Every metric's value in every view, and the presets' further readings; DEX-AR is the reference."""
    references = references_of(results)
    found = [pd.DataFrame(columns=list(SUMMARY))]
    for key, some in results.scores.groupby("data", sort=False):
        data, there = str(key), readings_in(some)
        metrics = {reading.metric for reading in there}
        further = (reading for preset in presets for reading in preset.further if reading.metric in metrics)
        readings = sorted(dict.fromkeys([*there, *further]), key=lambda reading: reading.metric)
        made = [name for name, (method, _) in results.variants(data).items() if method in ORACLES]
        found.append(summary(some, readings, references.get(data), uncompared=made))
    return pd.concat(found[1:] or found, ignore_index=True)


def contents(
    results: Results, numbers: pd.DataFrame, presets: Sequence[Preset], roots: Mapping[str, Path]
) -> list[Chapter]:
    """Everything in order."""
    references = references_of(results)
    methods = [one for data in results.told for one in results.variants(data).items()]
    controls = {name for name, (method, _) in methods if _is_control(method)}
    made = {name for name, (method, _) in methods if method in ORACLES}
    measured, missing = _paper(presets, results)
    compared = numbers[~numbers["variant"].isin(made)]
    own = sorted(set(references.values()))
    first = losses(compared, own, sorted(controls))
    parts = [replace(first, sentences=(*first.sentences, chapters.LEGEND)), *measured]
    if missing:
        parts.append(chapters.not_measured(missing))
    judged = (validity(validities(results, references)), robustness(under_corruption(results, references)))
    parts += [part for part in judged if part]
    if drawn := charts.curves(results.units, set(references.values())):
        parts.append(drawn)
    shown = pictures.examples(results, references, dict(_datasets(results, roots)))
    lost = every_comparison(compared, own)
    return [
        *parts,
        *(part for part in (shown, lost) if part),
        chapters.every_number(numbers, references),
        chapters.costs(results),
        chapters.made(results),
    ]


def _paper(presets: Sequence[Preset], results: Results) -> tuple[list[Chapter], list[tuple[Preset, str]]]:
    """The paper's tables that the results hold, and those that they do not, with the reason."""
    measured, missing = [], []
    for preset in presets:
        tables = {lab: comparison(preset, results, lab=lab) for lab in (False, True)}
        full = {lab: table for lab, table in tables.items() if measured_rows(table) >= _FEWEST}
        for lab, table in full.items():
            noted = replace(preset, notes=(*preset.notes, *(() if lab else _counted(preset, table, results))))
            measured.append(chapters.paper_table(noted, table, results, lab=lab))
        if not full:
            rows = max(map(measured_rows, tables.values()))
            need = f"{', '.join(dict.fromkeys(one.title for one in preset.sources))} or the lab's stand-in, "
            why = (
                f"{need}with {', '.join(preset.metrics)}" if not rows else f"only {rows} of its {len(preset.rows)} rows"
            )
            missing.append((preset, why))
    return measured, missing


def _counted(preset: Preset, table: pd.DataFrame, results: Results) -> Iterator[str]:
    """How many samples were measured of what the paper drew another number of; of corrupted ones it tells none."""
    for source in preset.sources:
        titles = [column.title for column in preset.columns if column.source == source.title]
        data = table.loc[table["column"].isin(titles), "data"].dropna().unique()
        count = results.units.loc[results.units["data"].isin(data), "sample"].nunique()
        drew = DREW.get(source.reader, count)
        if count not in (0, drew) and source.corruption is None:
            yield f"{source.title}: {count:,} samples were measured; the paper drew {drew:,}."


def _datasets(results: Results, roots: Mapping[str, Path]) -> Iterator[tuple[str, Dataset]]:
    for data, told in results.told.items():
        found = reopened(results.plain_name(data), told[0].get("data_settings", {}), roots)
        if found is not None:
            yield data, found


def _is_control(method: str) -> bool:
    """Whether a method knows nothing of the model; of one that is not installed nobody knows."""
    try:
        return bool(plugins.get("methods", method).CONTROL)
    except ValueError:
        return False
