"""Writes the numbers that Python and TypeScript must both give: ``python -m tests.golden.make``.

Each file holds one case of `cases.py` as it travels to the browser and, for a set of options, what
`Explanation` makes of it. It also writes the front end's colour stops from `figures.py`.
"""

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

from dexar_widgets.explanation import Explanation
from dexar_widgets.figures import COLOUR_TABLES, colour_stops_json
from dexar_widgets.maps import upsample
from dexar_widgets.types import HeatMap
from dexar_widgets.widgets import wire
from tests.golden.cases import CASES

HERE = Path(__file__).parent
COLOUR_STOPS = HERE.parents[1] / "js" / "src" / "colour_stops.json"

DEFAULTS: dict[str, Any] = {
    "layers": None,
    "heads": None,
    "text_set": None,
    "head_filter": "max",
    "filler_filter": "max",
    "relu": True,
    "preset": "paper",
}
CHOICES: list[dict[str, Any]] = [
    {},
    {"head_filter": "none"},
    {"filler_filter": "none"},
    {"head_filter": "none", "filler_filter": "none"},
    {"layers": 0},
    {"layers": slice(1, None)},
    {"preset": "released"},
    {"preset": "released", "head_filter": "none", "layers": slice(0, None)},
]
WITH_TENSOR: list[dict[str, Any]] = [
    {"head_filter": 0.1},
    {"head_filter": 0.5, "filler_filter": "avg"},
    {"filler_filter": 0.3, "text_set": "no_special"},
    {"text_set": "content"},
    {"text_set": "answer", "layers": slice(0, 2)},
    {"relu": False},
    {"heads": [(0, 1), (1, 0), (2, 0)]},
    {"heads": [(0, 0), (1, 1)], "layers": slice(0, 2), "relu": False, "head_filter": 0.1},
    {"preset": "released", "relu": False, "filler_filter": "avg", "head_filter": 0.2},
]


def expected(e: Explanation, choice: dict[str, Any]) -> dict[str, Any]:
    """What Python says, with the options as the browser writes them."""
    options = e.options(**DEFAULTS | choice)
    entries = [e.layers.index(layer) for layer in (options.layers[0], options.layers[-1])]
    given = {"layers": slice(entries[0], entries[1] + 1), **{k: v for k, v in choice.items() if k != "layers"}}
    delta = e.head_weights(**given)
    words = [w for w in e.word_weights(options).tolist() if w == w]  # NaN: not explained
    return {
        "options": {
            "layers": entries,
            "heads": None if options.heads is None else [e.layers.index(li) * e.heads + h for li, h in options.heads],
            "textSet": options.text_set,
            "headFilter": options.head_filter,
            "fillerFilter": options.filler_filter,
            "relu": options.relu,
            "preset": options.preset,
        },
        "headWeights": delta[:, entries[0] : entries[1] + 1].ravel().tolist(),
        "kept": int((delta[:, entries[0] : entries[1] + 1] > 0).sum()),
        "stepWeights": e.step_weights(**given).tolist(),
        "silencedWords": words.count(0.0),
        "tokenMaps": [e.heatmap(step=t, **given).values.astype(float).ravel().tolist() for t in e.steps],
        "sumMap": e.heatmap(step=list(e.steps), **given).values.astype(float).ravel().tolist(),
        "sequenceMap": e.sequence_map(**given).values.astype(float).ravel().tolist(),
    }


def attention(e: Explanation) -> list[dict[str, Any]]:
    """The attention itself on the image's cells: mean over heads and over the layers, summed over the steps."""
    if e.attention is None:
        return []
    rows = e.attention[..., e.layout.tokens_of(0)].astype(float)
    ends = [(0, len(e.layers) - 1), (0, 0), (1, len(e.layers) - 1)]
    return [{"layers": [a, b], "map": rows[:, a : b + 1].mean((1, 2)).sum(0).tolist()} for a, b in ends]


def methods(e: Explanation) -> dict[str, Any]:
    """Other methods' maps: of each step that a method has (the answer's where it has no other), and of the answer."""

    def values(heat: HeatMap) -> list[float]:
        return heat.values.astype(float).ravel().tolist()

    return {
        name: {
            "steps": {t: values(found.sequence_map() if found.whole else found.heatmap(t)) for t in found.steps},
            "answer": values(found.sequence_map()),
        }
        for name, found in e.attributions.items()
    }


def lens(e: Explanation) -> dict[str, Any] | None:
    """The lens as Python has it, in the order of the blocks."""
    if e.lens is None:
        return None
    words = [word for step in e.lens.top_words for layer in step for word in layer]
    return {"logit": e.lens.logit.ravel().tolist(), "rank": e.lens.rank.ravel().tolist(), "top": words}


def golden(name: str) -> dict[str, Any]:
    """Everything one file holds."""
    e = CASES[name]()
    document, payload = wire.document([e], title=name)
    choices = CHOICES + (WITH_TENSOR if e.gradients is not None else [])
    heat = e.heatmap(step=0, head_filter="none")
    left, top, right, bottom = (int(side) for side in heat.grid.box)
    return {
        "document": document,
        "payload": b64encode(payload).decode(),
        "expected": [expected(e, choice) for choice in choices],
        "upsampled": upsample(heat).values[top:bottom, left:right].astype(float).tolist(),
        "silenced": [
            {"step": s.step, "visual": s.visual, "text": s.text, "layer": s.layer, "head": s.head, "token": s.token}
            for s in e.silenced()
        ],
        "attention": attention(e),
        "methods": methods(e),
        "lens": lens(e),
    }


def main() -> None:
    """Write every file."""
    for name in CASES:
        (HERE / f"{name}.json").write_text(json.dumps(golden(name)) + "\n")
    tables = {name: table.ravel().tolist() for name, table in COLOUR_TABLES.items()}
    (HERE / "colours").mkdir(exist_ok=True)
    (HERE / "colours" / "tables.json").write_text(json.dumps(tables) + "\n")
    COLOUR_STOPS.write_text(colour_stops_json() + "\n")


if __name__ == "__main__":
    main()
