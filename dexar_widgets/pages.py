"""A report as one file without requests, and the same as Markdown: chapters of sentences, tables and charts."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from typing import Any

import numpy as np

__all__ = ["Cell", "Chapter", "Chart", "Table", "html", "markdown", "number"]

_STYLE = """
:root { color-scheme: light dark; --line: #8885; --bad: #b3261e; --good: #1b6e3c; --faint: #666; }
@media (prefers-color-scheme: dark) { :root { --bad: #ff8a80; --good: #7bd89a; --faint: #a5a5a5; } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 1.5rem auto; max-width: 80rem; padding: 0 1rem;
  overflow-wrap: anywhere; background: Canvas; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; margin-top: 2.5rem; }
h2 ~ h2 { border-top: 1px solid var(--line); padding-top: 1rem; }
p { max-width: 50rem; } .caption { margin: 1.25rem 0 .25rem; font-weight: 600; } summary { font-weight: 600; }
figure { margin: 1rem 0; } .wide { overflow-x: auto; margin-bottom: 1rem; }
table { border-collapse: collapse; font-size: 13px; line-height: 1.35; font-variant-numeric: tabular-nums;
  overflow-wrap: normal; }
th, td { border: 1px solid var(--line); padding: .25rem .5rem; text-align: left; vertical-align: top; }
th { white-space: pre-line; }
th:first-child, td:first-child { position: sticky; left: 0; background: Canvas; max-width: 9rem; min-width: 6.5rem;
  overflow-wrap: anywhere; }
small { display: block; font-size: 12px; color: var(--faint); width: max-content; max-width: 29rem; }
td:first-child small { width: auto; }
td:not(:first-child) { max-width: 30rem; overflow-wrap: break-word; min-width: 4rem; }
td b { font-weight: inherit; } td.is b, td.better b { font-weight: 600; }
td:is(.better, .fail, .finding, .error) b { color: var(--bad); } td.pass b { color: var(--good); }
img { display: block; width: 8rem; max-width: none; }
.chart { min-height: 16rem; max-width: 60rem; }
.chart text { fill: currentColor !important; }
.chart .hoverlayer text { fill: #fff !important; }
"""
_DRAW = """
const seen = new IntersectionObserver((entries) => { for (const { target, isIntersecting } of entries) {
  if (!isIntersecting) continue;
  seen.unobserve(target);
  const { data, layout } = JSON.parse(document.getElementById(target.dataset.of).textContent);
  const narrow = target.clientWidth < 600;
  layout.height = (narrow ? 340 : 270) + 22 * Math.ceil(data.length / (narrow ? 1.5 : 5));
  Plotly.newPlot(target, data, layout, { responsive: true, displayModeBar: false });
} }, { rootMargin: "400px" });
for (const chart of document.querySelectorAll(".chart")) seen.observe(chart);
"""


@dataclass(frozen=True)
class Cell:
    """A text, and the verdict that colours it (told in the text as well); ``picture``: a PNG in base64.

    The text's first line is what the cell tells; further lines are small.
    """

    text: str
    verdict: str = ""
    picture: str = ""


@dataclass(frozen=True)
class Table:
    """A caption, column heads and rows of cells."""

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]


@dataclass(frozen=True)
class Chart:
    """A caption, and a plotly figure as JSON values."""

    caption: str
    figure: Mapping[str, Any]


@dataclass(frozen=True)
class Chapter:
    """A title, sentences, tables and charts; ``folded`` shows its title alone until it is opened."""

    title: str
    sentences: Sequence[str] = ()
    tables: Sequence[Table] = ()
    charts: Sequence[Chart] = ()
    folded: bool = False


def number(value: float) -> str:
    """Three digits, as people read them."""
    if not np.isfinite(value):
        return "–"
    if value == 0 or 0.001 <= abs(value) < 1000:
        return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
    return f"{value:.1e}"


def html(title: str, parts: Sequence[Chapter], *, most_rows: int | None = None) -> str:
    """One page: nothing in it is loaded from elsewhere, every text is text, and no script runs but its own.

    Tables of more than ``most_rows`` are folded.
    """
    body = "".join(_html_chapter(part, f"chart{place}-", most_rows) for place, part in enumerate(parts))
    scripts = _scripts() if any(part.charts for part in parts) else ()
    allowed = " ".join(f"'sha256-{_digest(script)}'" for script in scripts) or "'none'"
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src {allowed}; base-uri 'none'; "
        "form-action 'none'"
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body><main><h1>{escape(title)}</h1>{body}</main>"
        f"{''.join(f'<script>{script}</script>' for script in scripts)}</body></html>"
    )


@cache
def _scripts() -> tuple[str, str]:
    from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]

    library = str(get_plotlyjs())
    return library.replace("</script", "<\\/script").replace("<!--", "<\\!--"), _DRAW


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _html_chapter(part: Chapter, prefix: str, most_rows: int | None) -> str:
    text = "".join(f"<p>{escape(sentence)}</p>" for sentence in part.sentences)
    tables = "".join(_html_table(table, most_rows) for table in part.tables)
    inner = text + tables + "".join(_html_chart(chart, f"{prefix}{place}") for place, chart in enumerate(part.charts))
    if part.folded:
        return f"<h2>{escape(part.title)}</h2><details><summary>Show</summary>{inner}</details>"
    return f"<h2>{escape(part.title)}</h2>{inner}"


def _html_chart(chart: Chart, name: str) -> str:
    figure = json.dumps(chart.figure, ensure_ascii=True, allow_nan=False)
    for character in "<>&":
        figure = figure.replace(character, f"\\u{ord(character):04x}")
    caption = escape(chart.caption)
    return (
        f"<figure><figcaption><b>{caption}</b></figcaption>"
        f'<div class="chart" role="img" aria-label="{caption}" data-of="{name}"></div>'
        f'<script type="application/json" id="{name}">{figure}</script></figure>'
    )


def _html_table(table: Table, most_rows: int | None) -> str:
    heads = "".join(f'<th scope="col">{escape(head)}</th>' if head else "<td></td>" for head in table.heads)
    rows = "".join(f"<tr>{''.join(map(_html_cell, row))}</tr>" for row in table.rows)
    caption = escape(table.caption)
    body = f'<div class="wide" tabindex="0"><table aria-label="{caption}"><tr>{heads}</tr>{rows}</table></div>'
    if most_rows is None or len(table.rows) <= most_rows:
        return f'<p class="caption">{caption}</p>{body}'
    return f"<details><summary>{caption} ({len(table.rows)} rows)</summary>{body}</details>"


def _html_cell(cell: Cell) -> str:
    if cell.picture:
        plain = base64.b64encode(base64.b64decode(cell.picture)).decode()  # what was read from a file is no markup
        return f'<td><img alt="{escape(cell.text)}" src="data:image/png;base64,{plain}"></td>'
    kind = f' class="{escape(cell.verdict.split()[0])}"' if cell.verdict else ""
    first, *more = cell.text.split("\n")
    return f"<td{kind}><b>{escape(first)}</b>{''.join(f'<small>{escape(line)}</small>' for line in more)}</td>"


def markdown(title: str, parts: Sequence[Chapter]) -> str:
    """The same without charts and pictures; of what is folded, the title."""
    return f"# {_markdown_text(title)}\n\n" + "\n".join(line for part in parts for line in _markdown_chapter(part))


def _markdown_chapter(part: Chapter) -> Iterator[str]:
    yield f"## {_markdown_text(part.title)}\n"
    if part.folded:
        yield "In the HTML page; the numbers are in the CSV file.\n"
        return
    for sentence in part.sentences:
        yield f"{_markdown_text(sentence)}\n"
    for table in part.tables:
        yield f"**{_markdown_text(table.caption)}**\n"
        yield f"| {' | '.join(map(_markdown_text, table.heads))} |"
        yield f"|{'---|' * len(table.heads)}"
        for row in table.rows:
            texts = ("(in the HTML page)" if cell.picture else cell.text for cell in row)
            yield f"| {' | '.join(map(_markdown_text, texts))} |"
        yield ""
    if part.charts:
        yield f"Charts in the HTML page: {'; '.join(_markdown_text(chart.caption) for chart in part.charts)}.\n"


def _markdown_text(text: str) -> str:
    """Text that is no markup: what a name holds starts no tag, no cell and no link."""
    plain = escape(text, quote=False).replace("\\", "\\\\")
    return re.sub(r"\](?=[(:\[])", r"\\]", plain).replace("|", "\\|").replace("\n", "; ")
