"""A figure as files: PNG and SVG for print, a page that says what is to be seen, and every number as a table."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from dexar_widgets.evaluation.figures.drawing import LEGEND, encoded, laid_out, png, svg
from dexar_widgets.evaluation.figures.plates import Figure, Plate, Row
from dexar_widgets.files import write_whole
from dexar_widgets.pages import Cell, Chapter, Table, html

__all__ = ["write"]

_DENSITY = (
    "“3.0×” under a map: the share of its positive part that lies on the outlined object is three times the object's "
    "share of the area; 1× is an even map. An example shows what happens, not how often."
)
_OUTLINES = {"named": "Outlined in pink: ", "suspect": "Outlined in orange: ", "ring": "Circled: "}


def write(figure: Figure, folder: Path) -> dict[str, Path]:
    """NAME.html, NAME.png, NAME.svg and NAME.csv."""
    folder.mkdir(parents=True, exist_ok=True)
    sheet = laid_out(figure)
    contents = {
        "html": html(figure.title, list(_chapters(figure))).encode(),
        "png": png(sheet),
        "svg": svg(sheet),
        "csv": _numbers(figure).encode(),
    }
    return {kind: write_whole(folder / f"{figure.name}.{kind}", content) for kind, content in contents.items()}


def _chapters(figure: Figure) -> Iterator[Chapter]:
    yield Chapter("What is shown", (*figure.notes, *_legend(figure)))
    for plate in figure.plates:
        seen = () if plate.apart else [f"{_line(row.title)}: {row.says}" for row in plate.rows if row.says]
        yield Chapter(plate.title, (*plate.notes, *seen), () if plate.apart else (_table(plate, plate.rows),))
        for row in plate.rows if plate.apart else ():
            yield Chapter(_line(row.title), (row.says,) if row.says else (), (_table(plate, [row]),))
    if figure.lost:
        yield Chapter("What could not be shown", figure.lost)


def _legend(figure: Figure) -> Iterator[str]:
    marks = figure.marks
    told = [f"{said}{LEGEND[mark]}." for mark, said in _OUTLINES.items() if mark in marks]
    if "map" in marks:
        told.append("Maps go from blue (low) to yellow (high); each has a scale of its own: compare places.")
    if "signed" in marks:
        told.append("Where a map has negative values, they are blue and positive ones red.")
    if told:
        yield " ".join(told)
    if "named" in marks:
        yield _DENSITY


def _line(text: str) -> str:
    return ", ".join(text.split("\n"))


def _table(plate: Plate, rows: Sequence[Row]) -> Table:
    cells = [cells for row in rows for cells in _rows(plate, row)]
    return Table("Maps, and what was measured on them", ("", *plate.heads), cells)


def _rows(plate: Plate, row: Row) -> Iterator[list[Cell]]:
    """The pictures, and under each what was measured."""
    title, _, more = row.title.partition("\n")
    pictures = [
        Cell("") if one is None else Cell(f"{row.title}, {head}", picture=encoded(one.pixels))
        for head, one in zip(plate.heads, row.pictures, strict=True)
    ]
    yield [Cell(f"{title}\n{more}" if more else title), *pictures]
    lines = ["" if one is None else "\n".join(one.lines) for one in row.pictures]
    if any(lines):
        yield [Cell(""), *map(Cell, lines)]


def _numbers(figure: Figure) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("plate", "row", "column", "measure", "value"))
    for plate in figure.plates:
        for row in plate.rows:
            for head, picture in zip(plate.heads, row.pictures, strict=True):
                for name, value in ({} if picture is None else picture.numbers).items():
                    table.writerow((plate.title, *(" ".join(one.split()) for one in (row.title, head)), name, value))
    return text.getvalue()
