"""The report as one page without requests, and as Markdown; the numbers beside it as a table."""

import base64
import json
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

import pandas as pd

from dexar_widgets.files import write_whole
from dexar_widgets.lab.trust import gates, runner, sentences
from dexar_widgets.lab.trust.parts import PARTS, Plan
from dexar_widgets.lab.trust.sections import Cell, Section, Table, negative, sections

__all__ = ["contents", "html", "markdown", "write"]

TITLE = "What the maps are worth: the lab's report"
_STYLE = """
:root { color-scheme: light dark; --line: #8885; --bad: #b3261e; --good: #1b6e3c; }
@media (prefers-color-scheme: dark) { :root { --bad: #ff8a80; --good: #7bd89a; } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; font-size: 13px; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { border: 1px solid var(--line); padding: .2rem .5rem; text-align: left; vertical-align: top; }
.wide { overflow-x: auto; }
.fail, .finding, .error { color: var(--bad); } .pass { color: var(--good); }
img { display: block; width: 9rem; height: 9rem; }
"""


def write(plan: Plan, out: Path, results: pd.DataFrame) -> dict[str, Path]:
    """Write the judged results: ``report.html``, ``report.md``, ``results.csv`` and ``report.json``."""
    parts = contents(plan, out, results)
    found = {
        "html": html(parts),
        "md": markdown(parts),
        "csv": results.to_csv(index=False, lineterminator="\n"),
        "json": json.dumps(json.loads(results.to_json(orient="records")), indent=1, ensure_ascii=False),
    }
    names = {"html": "report.html", "md": "report.md", "csv": "results.csv", "json": "report.json"}
    return {kind: write_whole(out / names[kind], text.encode()) for kind, text in found.items()}


def contents(plan: Plan, out: Path, results: pd.DataFrame) -> list[Section]:
    """Everything in order: what did not hold, why, the tests, the failure cases, how it was made."""
    seen = runner.observed(plan, out)
    told = [negative(results), sentences.why(results), sentences.causally(results)]
    told += list(sections(results))
    told += [sentences.cases(seen.get("failure cases", {})), _made(plan, out)]
    return [section for section in told if section is not None]


def _made(plan: Plan, out: Path) -> Section:
    """Models, methods, seeds, gates, versions, machine and time: what it takes to make it again."""
    from dexar_widgets import doctor

    machine = doctor.machine()
    versions = ", ".join(f"{name} {found}" for name, found in machine.versions.items() if found)
    took = runner.seconds(plan, out)
    weights = json.loads((out / "plan.json").read_text())["weights"]
    every, ready = runner.units(plan), sum(runner.done(unit, out) for unit in runner.units(plan))
    by = "; ".join(f"{took / 60:.1f} minutes with {made}" for made, took in took.groupby("by")["seconds"].sum().items())
    tests = set(plan.tests)
    seeds = "; ".join(f"{part.name} from {part.first_seed(plan)}" for part in PARTS if tests & set(part.tests))
    told = (
        f"{ready} of {len(every)} units of work are done; by processes of one thread each they took {by}.",
        f"Fast methods saw {plan.scenes} scenes, slow ones {plan.slow_scenes}; n stands beside every number. Methods: "
        f"{', '.join(plan.methods)}.",
        f"First seeds: {seeds}.",
        f"Gates: SHA-256 {gates.fingerprint()}, frozen before the first full run.",
        f"Judged on: {machine.system}, {machine.cores} cores; Python {machine.python}; {versions}.",
    )
    times = [
        [Cell(row["part"]), Cell(row["model"]), Cell(row["by"]), Cell(str(row["count"])), Cell(f"{row['seconds']:.0f}")]
        for _, row in took.iterrows()
    ]
    shas = [[Cell(name), Cell(weights.get(name, "")[:16] or "no weight file")] for name in plan.models]
    bounds = [
        [
            Cell(name),
            Cell(json.dumps({key: gate[key] for key in gate if key not in ("why", "decides")})),
            Cell("decides" if gate["decides"] else "expected"),
            Cell(gate["why"]),
        ]
        for name, gate in gates.gates().items()
    ]
    tables = (
        Table("Models, SHA-256 of the weights", ("model", "weights"), shas),
        Table("Seconds", ("part", "model", "with", "scenes", "seconds"), times),
        Table("Gates", ("gate", "bound", "kind", "why"), bounds),
    )
    return Section("How it was made", told, tables)


def html(parts: Sequence[Section]) -> str:
    """One page; nothing in it is loaded from elsewhere, and every text is text."""
    body = "".join(_html_section(part) for part in parts)
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(TITLE)}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>'
        f"<body><h1>{escape(TITLE)}</h1>{body}</body></html>"
    )


def _html_section(part: Section) -> str:
    text = "".join(f"<p>{escape(sentence)}</p>" for sentence in part.sentences)
    return f"<h2>{escape(part.title)}</h2>{text}{''.join(map(_html_table, part.tables))}"


def _html_table(table: Table) -> str:
    heads = "".join(f'<th scope="col">{escape(head)}</th>' for head in table.heads)
    rows = "".join(f"<tr>{''.join(map(_html_cell, row))}</tr>" for row in table.rows)
    return f'<div class="wide"><table><caption>{escape(table.caption)}</caption><tr>{heads}</tr>{rows}</table></div>'


def _html_cell(cell: Cell) -> str:
    if cell.picture:
        return f'<td><img alt="{escape(cell.text)}" src="data:image/png;base64,{_plain(cell.picture)}"></td>'
    kind = f' class="{cell.verdict.split()[0]}"' if cell.verdict else ""
    return f"<td{kind}>{escape(cell.text)}</td>"


def _plain(picture: str) -> str:
    """The picture's base64, made anew: what was read from a file is no markup."""
    return base64.b64encode(base64.b64decode(picture)).decode()


def markdown(parts: Sequence[Section]) -> str:
    """The same without pictures."""
    return f"# {TITLE}\n\n" + "\n".join(line for part in parts for line in _markdown_section(part))


def _markdown_section(part: Section) -> Iterator[str]:
    yield f"## {part.title}\n"
    for sentence in part.sentences:
        yield f"{sentence}\n"
    for table in part.tables:
        yield f"**{table.caption}**\n"
        yield f"| {' | '.join(map(_markdown_text, table.heads))} |"
        yield f"|{'---|' * len(table.heads)}"
        for row in table.rows:
            yield f"| {' | '.join(_markdown_text('(in report.html)' if cell.picture else cell.text) for cell in row)} |"
        yield ""


def _markdown_text(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def summary(results: pd.DataFrame) -> str:
    """One line: how many results have each verdict."""
    return ", ".join(f"{count} {verdict}" for verdict, count in results["verdict"].value_counts().items())
