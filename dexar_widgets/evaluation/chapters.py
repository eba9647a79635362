"""The chapters of a report that hold its tables: the paper's layout, every number, costs, and how it was made."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from dexar_widgets.evaluation import charts
from dexar_widgets.evaluation.comparison import left_out, orders
from dexar_widgets.evaluation.layouts import Preset, Source
from dexar_widgets.evaluation.published import FAMILIES, family_of, published
from dexar_widgets.evaluation.readings import Reading, meaning_of
from dexar_widgets.evaluation.results import Results
from dexar_widgets.evaluation.tables import KNOWN, costs_of, rows_of
from dexar_widgets.metrics import CHANCE
from dexar_widgets.pages import Cell, Chapter, Table, number

__all__ = ["LEGEND", "costs", "every_number", "made", "not_measured", "paper_table"]

LEGEND = (
    "In the tables: our mean, its 95 % interval, how many cases it is of, which were skipped and why, the mean with "
    "those at the metric's worst where they are the map's fault, and the paper's number. On the "
    "cases that the row in bold has too, ▲ is better than it, ▽ worse, ≈ neither (p ≥ .05 after Holm), ? of fewer than "
    "10 images; ✗ chance: no better than chance. A floor is what no map can miss, and other rows of references are one "
    "kind of map that knows nothing: to be above them is no merit."
)
_MARKS = {"better": "▲", "worse": "▽", "level": "≈", "few": "?"}


def paper_table(preset: Preset, table: pd.DataFrame, results: Results, *, lab: bool) -> Chapter:
    """One table of the paper, with our numbers in it: a table per model, and how far the orders agree."""
    reference = next(row.title for row in preset.rows if row.variant and row.variant.name == preset.reference)
    models = list(dict.fromkeys(table["model"]))
    return Chapter(
        f"{_title(preset)}{' (on the lab)' if lab else ''}",
        [" ".join(_about(preset, table, results, lab=lab)), *preset.notes, *left_out(preset, table, results, lab=lab)],
        [*(_of_model(preset, table[table["model"] == model], model, reference) for model in models), *_orders(table)],
        charts.means(table),
    )


def _title(preset: Preset) -> str:
    return f"{preset.name.capitalize().replace('e', 'e ', 1)}. {preset.title}"


def _about(preset: Preset, table: pd.DataFrame, results: Results, *, lab: bool) -> list[str]:
    """What was measured in place of what, and of which models the paper has numbers and we have none."""
    found: dict[str, list[str]] = {}
    for source in preset.sources:
        titles = [column.title for column in preset.columns if column.source == source.title]
        data = table.loc[table["column"].isin(titles) & table["data"].notna(), "data"]
        found.setdefault(_stands_for(source, data.iloc[0], results, lab=lab) if len(data) else "", []).append(
            source.title
        )
    told = [f"{', '.join(names)}: {said}." for said, names in found.items() if said]
    told += [f"Not measured: {', '.join(names)}." for said, names in found.items() if not said]
    if lab:
        told.append(
            "The lab's models are small and its scenes drawn, so numbers are not expected to be the paper's; compare "
            "orders."
        )
    measured = {family_of(model) for model in table["model"].unique()}
    absent = [FAMILIES[family] for family in published(preset.name)["family"].unique() if family not in measured]
    if absent:
        were = "was" if len(absent) == 1 else "were"
        told.append(f"The paper also has {', '.join(absent)}, which {were} not measured.")
    return told


def _stands_for(source: Source, data: str, results: Results, *, lab: bool) -> str:
    if not lab:
        return f"the data set itself{', corrupted here' if source.corruption else ''}"
    settings = results.told[data][0].get("data_settings", {})
    return f"the lab instead, {source.stand_in if source.agrees(settings) else 'other scenes than the stand-in'}"


def _of_model(preset: Preset, table: pd.DataFrame, model: str, reference: str) -> Table:
    cells = {(cell["row"], cell["column"]): cell for cell in rows_of(table)}
    titles = [column.title for column in preset.columns]
    theirs = FAMILIES.get(family_of(model) or "", "")
    known = theirs if table["published"].notna().any() else ""
    lost = {row.title for row in preset.rows if row.variant is None}
    rows = [
        [Cell(row), *(_cell(cells[row, title], is_reference=row == reference) for title in titles)]
        for row in dict.fromkeys(table["row"])
        if row not in lost or known
    ]
    rows += _references([cells[reference, title] for title in titles])
    return Table(f"{model}{f' beside the paper’s {known}' if known else ''}", ("", *titles), rows)


def _references(cells: Sequence[Mapping[str, Any] | None]) -> list[list[Cell]]:
    """What numbers are read beside: a row for chance where it is known, one for each other reference of a metric."""
    found: dict[str, list[Cell]] = {}
    for place, cell in enumerate(cells):
        if cell is None or not isinstance(cell.get("metric"), str):
            continue
        known = cell["chance"] if cell["chance_from"] == KNOWN else np.nan
        for name, value in ((CHANCE, known), (meaning_of(cell["metric"]).chance, cell["floor"])):
            if np.isfinite(value):
                found.setdefault(name, [Cell("–")] * len(cells))[place] = Cell(number(value))
    return [[Cell(name), *row] for name, row in found.items()]


def _cell(cell: Mapping[str, Any], *, is_reference: bool) -> Cell:
    theirs = f"paper {cell['published']:.2f}" if np.isfinite(cell["published"]) else ""
    if not np.isfinite(cell["mean"]):
        why = f"none of {cell['skipped']:.0f}: {cell['reasons']}" if cell["reasons"] else "not measured"
        return Cell("\n".join(filter(None, ("–", why, theirs))))
    return Cell("\n".join(filter(None, (*_lines(cell), theirs))), "is" if is_reference else _verdict(cell))


def _verdict(cell: Mapping[str, Any]) -> str:
    return "better" if cell.get("beside_reference") == "better" else ""


def _lines(cell: Mapping[str, Any]) -> list[str]:
    """A number with its marks, interval, cases and what was skipped."""
    mark = _MARKS.get(str(cell.get("beside_reference")), "")
    chance = "✗ chance" if cell.get("beside_chance") in ("worse", "level") else ""
    low, high = cell["low"], cell["high"]
    skipped = f", {cell['reasons']} skipped" if cell.get("reasons") else ""
    images = f" of {cell['clusters']:.0f} images" if cell.get("clusters", np.nan) < cell.get("samples", np.nan) else ""
    lower = np.isfinite(cell["pessimistic"]) and not np.isclose(cell["pessimistic"], cell["mean"])
    return [
        " ".join(filter(None, (number(cell["mean"]), mark, chance))),
        f"({number(low)} to {number(high)})" if np.isfinite(low) else "",
        f"n {cell['n']:.0f}{images}{skipped}",
        f"with those {number(cell['pessimistic'])}" if lower else "",
    ]


def _orders(table: pd.DataFrame) -> list[Table]:
    found = orders(table)
    rows = [
        [
            Cell(row["model"]),
            Cell(row["column"]),
            Cell(str(row["n"])),
            Cell(number(row["spearman"])),
            Cell(number(row["kendall"])),
        ]
        for row in rows_of(found)
    ]
    heads = ("model", "column", "n", "Spearman's ρ", "Kendall's τ")
    return [Table("Rows in the paper's order? 1: the same, 0: unrelated, −1: reversed", heads, rows)] if rows else []


def not_measured(presets: Sequence[tuple[Preset, str]]) -> Chapter:
    """Tables of the paper that the results do not hold, why, and what would measure them."""
    heads = ("table", "what is missing", "measured by")
    rows = [[Cell(_title(preset)), Cell(why), Cell(f"dexar reproduce {preset.name}")] for preset, why in presets]
    return Chapter("The paper's tables that were not measured", (), [Table(f"Not measured: {len(rows)}", heads, rows)])


def every_number(numbers: pd.DataFrame, references: Mapping[str, str]) -> Chapter:
    """Each reading, variants down and models and data across."""
    keys = ["metric", "part", "view"]
    tables = []
    for _, some in numbers.groupby(keys, sort=False):
        reading = Reading.of(rows_of(some)[0])
        places = list(dict.fromkeys(zip(some["model"], some["data"], strict=True)))
        cells = {(cell["variant"], cell["model"], cell["data"]): cell for cell in rows_of(some)}
        rows = [
            [Cell(variant), *(_number(cells.get((variant, *place)), references) for place in places)]
            for variant in dict.fromkeys(some["variant"])
        ]
        first = {(cell["model"], cell["data"]): cell for cell in reversed(rows_of(some))}
        rows += _references([first.get(place) for place in places])
        tables.append(Table(reading.title, ("", *(f"{model}\n{name}" for model, name in places)), rows))
    said = "Each metric in each view, with the median. A row in bold is DEX-AR, beside which others are marked."
    return Chapter("Every number", (said,), tables, folded=True)


def _number(cell: Mapping[str, Any] | None, references: Mapping[str, str]) -> Cell:
    if cell is None:
        return Cell("")
    if not np.isfinite(cell["mean"]):
        return Cell(f"–\nnone of {cell['skipped']}: {cell['reasons']}")
    own = references.get(cell["data"]) == cell["variant"]
    return Cell(
        "\n".join(filter(None, (*_lines(cell), f"median {number(cell['median'])}"))), "is" if own else _verdict(cell)
    )


def costs(results: Results) -> Chapter:
    """Seconds by stage, passes of an image, memory."""
    heads = ("variant", "model", "data", "n", "s an explanation", "answer", "shared", "own", "metrics' curves",
             "forwards", "backwards", "most memory")  # fmt: skip
    stages = ("seconds", "seconds_answer", "seconds_shared", "seconds_own", "seconds_curves")
    rows = [
        [
            *map(Cell, (row["variant"], row["model"], row["data"], str(row["n"]))),
            *(Cell(number(row[name])) for name in stages),
            *(Cell(f"{row[name]:.0f}") for name in ("forwards", "backwards")),
            Cell(f"{row['peak_bytes'] / 1e6:,.1f} MB" if np.isfinite(row["peak_bytes"]) else "–"),
        ]
        for row in rows_of(costs_of(results.costs))
    ]
    said = (
        "Means over samples, of a machine that may have had other work. Methods that share a pass are each charged for "
        "the whole of it. Forwards are images through the model after the answer, those of the curves with them.",
    )
    return Chapter("What it took", said, [Table("By variant, model and data", heads, rows)])


def made(results: Results) -> Chapter:
    """Configurations, versions, machines, and units without a result."""
    tables = [Table("Settings", ("setting", "of", "value"), list(_settings(results)))]
    lost = results.units[results.units["status"] != "ok"]
    heads = ("model", "data", "variant", "status", "reason")
    counted = Counter(zip(*(lost[name].astype(str) for name in heads), strict=True))
    rows = [[*map(Cell, key), Cell(str(count))] for key, count in counted.items()]
    if rows:
        tables.insert(0, Table(f"Units without a result: {len(lost)} of {len(results.units)}", (*heads, "units"), rows))
    machines = sorted({_machine(by) for by in results.costs["by"].dropna().unique()})
    said = [f"{len(results.units)} units, {len(lost)} of them without a result.", *results.notes]
    return Chapter("How it was made", [*said, *(f"Measured with {machine}." for machine in machines)], tables)


def _settings(results: Results) -> Iterator[list[Cell]]:
    """Each setting once where it is the same for all data, else for each."""
    every = [(label, one) for label, told in results.told.items() for one in told]
    for name in dict.fromkeys(name for _, one in every for name in one if name not in ("schema", "data")):
        values: dict[str, list[str]] = {}
        for label, one in every:
            values.setdefault(_told(one.get(name)), []).append(label)
        for value, labels in values.items():
            named = "all" if set(labels) == set(results.told) else ", ".join(dict.fromkeys(labels))
            yield [Cell(name), Cell(named), Cell(value)]


def _told(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _machine(text: str) -> str:
    try:
        told = json.loads(text)
        versions = ", ".join(f"{name} {version}" for name, version in told["versions"].items())
        return f"{told['device']} in {told['dtype']} ({told['attention']} attention; {versions})"
    except (ValueError, KeyError, AttributeError, TypeError):
        return text
