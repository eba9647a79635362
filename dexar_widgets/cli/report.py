"""An explanation told in the terminal: the answer shaded, and where each word's map peaks."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table
from rich.text import Text

from dexar_widgets.cli.places import place_of, thing_at
from dexar_widgets.cli.terminal import OUT, bar, legend, line, shaded

if TYPE_CHECKING:
    from dexar_widgets.explanation import Explanation
    from dexar_widgets.flow import Silenced
    from dexar_widgets.lab.scenes import Scene

__all__ = ["record", "tell"]

Choice = dict[str, Any]
"""The options of `Explanation.heatmap` that were given on the command line."""


def record(e: "Explanation", choice: Choice, scene: "Scene | None" = None) -> dict[str, Any]:
    """What was asked, answered and seen, as plain values: one entry per explained word.

    ``prompt`` is as it was given, ``question`` as people read it.
    """
    weights = e.word_weights(e.options(**choice))
    silenced = e.silenced(e.options(**choice))
    why = {one.step: str(one) for one in silenced}
    words = []
    for word, weight in zip(e.generation.words, weights, strict=True):
        steps = [step for step in word.steps if step in e.steps]
        if not steps:
            continue
        heat = e.heatmap(steps, **choice)
        place = place_of(heat)
        entry = {
            "word": word.text,
            "steps": steps,
            "weight": float(weight),
            "status": heat.status,
            "peak": None if place is None else place.as_dict(),
            "why_empty": [why[step] for step in steps if step in why] if heat.status != "ok" else [],
        }
        if scene is not None:
            entry["there"] = None if place is None else thing_at(scene, place)
        words.append(entry)
    return {
        "prompt": e.example.prompt,
        "question": e.question,
        "answer": e.generation.text,
        "words": words,
        "silenced": _winners(silenced, words),
    }


def _winners(silenced: "Sequence[Silenced]", words: Sequence[dict[str, Any]]) -> str | None:
    """One sentence on the words that count for nothing in the answer's map, and the text that won most often."""
    none = [entry["steps"] for entry in words if not entry["weight"]]
    won = Counter((one.piece, one.kind) for one in silenced if any(one.step in steps for steps in none) and one.piece)
    if not won:
        return None
    ((piece, kind), times) = won.most_common(1)[0]
    most = f", most often ({times}×) the {kind} token {piece!r}" if times > 1 else ""
    have, them = ("has", "it") if len(none) == 1 else ("have", "them")
    return (
        f"{len(none)} of {len(words)} words {have} no visual weight: text raised {them} more than the image did{most}."
    )


def tell(told: dict[str, Any], *, grid: tuple[int, int]) -> None:
    """Print a `record`; ``grid`` is rows and columns of the map."""
    words, weights = [entry["word"] for entry in told["words"]], [entry["weight"] for entry in told["words"]]
    line("question", " ".join(told["question"].split()))
    line("answer", shaded(words, weights))
    line("", Text(legend(), style="dim"))
    OUT.print()
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("word")
    table.add_column("visual weight", min_width=16)
    table.add_column(f"its map peaks (cell of {grid[0]}×{grid[1]})")
    truth = any("there" in entry for entry in told["words"])
    if truth:
        table.add_column("what lies there")
    most = max(weights, default=0.0)
    for entry in told["words"]:
        weight, peak = entry["weight"], entry["peak"]
        share = weight / most if most > 0 and np.isfinite(weight) else 0.0
        cell = f"{peak['words']} (row {peak['row'] + 1}, col {peak['col'] + 1})" if peak else ""
        amount = " <.01" if 0 < weight < 0.005 else f"{weight:5.2f}"  # 0.00 is said of nothing else
        cells = [Text(entry["word"]), Text(f"{amount} {bar(share)}"), Text(cell or f"nowhere: {entry['status']}")]
        table.add_row(*cells, *([Text(entry["there"] or "")] if truth else []))
    OUT.print(table)
    OUT.print()
    reasons = [reason for entry in told["words"] for reason in entry["why_empty"]]
    for reason in dict.fromkeys([*([told["silenced"]] if told["silenced"] else []), *reasons]):
        OUT.print(Text(f"· {reason}"), style="dim", soft_wrap=True)
