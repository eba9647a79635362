"""What was measured or found about an answer, as plain values for the view: ``js/src/results.ts`` reads them.

Each is ``{kind, about, …}``; what is measured again about the same takes the place of what was there. Numbers have six
digits, and are None where there is none.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from dexar_widgets import causal
from dexar_widgets.causal.chance import jsonable
from dexar_widgets.explanation import Explanation
from dexar_widgets.options import Options
from dexar_widgets.widgets.regions import Outline, outline_of

__all__ = ["MOST", "Result", "joined", "of_checks", "of_deletion", "of_finding", "of_knockout", "settings"]

MOST = 40
"""As many are kept, so that a notebook that saves them stays small."""
Result = dict[str, Any]


def joined(kept: Iterable[Result], new: Sequence[Result]) -> list[Result]:
    """What there is, with new results in place of those about the same."""
    known = [(one["kind"], one["about"]) for one in new]
    return [*(one for one in kept if (one["kind"], one["about"]) not in known), *new][-MOST:]


def of_checks(region: Outline | str, checks: Sequence[causal.Check]) -> Result:
    """What hiding a region did to words, and what hiding random ones does."""
    found = [_check(check) for check in checks]
    return {"kind": "check", "about": {"region": region}, "how": checks[0].how, "checks": found}


def _check(check: causal.Check) -> dict[str, Any]:
    low, high = check.chance_range or (None, None)
    kept_low, kept_high = check.kept_range or (None, None)
    return {
        "steps": list(check.steps),
        "word": check.word,
        "log_prob": _number(check.log_prob),
        "hidden": _number(check.hidden),
        "kept": _number(check.kept),
        "chance": _number(check.chance),
        "low": _number(low),
        "high": _number(high),
        "p": _number(check.p),
        "kept_chance": _number(check.kept_chance),
        "kept_low": _number(kept_low),
        "kept_high": _number(kept_high),
        "kept_p": _number(check.kept_p),
        "randoms": len(check.random_hidden),
        "verdict": check.verdict,
    }


def of_deletion(found: causal.Deletion, about: Mapping[str, Any]) -> Result:
    """The curve of the first word of a `Deletion`; ``about`` are its steps and the `settings` of its map.

    No steps stand for the whole answer, by its sequence map.
    """
    randoms = found.random_curves.shape[1]
    mean = found.random_curves[0].mean(0) if randoms else np.full(len(found.fractions), np.nan)
    low, high = found.random_range
    return {
        "kind": "deletion",
        "about": dict(about),
        "how": found.how,
        "status": found.status[0],
        "fractions": _numbers(found.fractions),
        "own": _numbers(found.curves[0]),
        "mean": _numbers(mean),
        "low": _numbers(low[0]),
        "high": _numbers(high[0]),
        "lost": _number(found.auc[0]),
        "chance": _number(found.random_auc[0].mean() if randoms else None),
        "p": _number(found.p[0]),
        "randoms": randoms,
        "ties": _number(found.ties[0]),
        "verdict": found.verdicts[0],
    }


def settings(method: str, options: Options) -> dict[str, Any]:
    """What a map is of, by the names of the view's traits: a ready-made one's method, or all that shapes DEX-AR's."""
    if method != "dexar":
        return {"method": method}
    plain = {name: value for name, value in options.as_dict().items() if name != "magnitude"}
    heads = None if options.heads is None else [list(pair) for pair in options.heads]
    return {"method": method, **plain, "layers": [options.layers[0], options.layers[-1]], "heads": heads}


def of_knockout(found: causal.Knockout) -> Result:
    """What every word, and last the whole answer, loses by a cut, window by window of layers.

    ``aligned``: the layers of the cut are those that were explained.
    """
    rows = zip(found.words, found.steps, found.total, found.drop, strict=True)
    return {
        "kind": "knockout",
        "about": {"cut": list(found.cut)},
        "depth": found.depth,
        "aligned": found.visual is not None,
        "windows": [[int(window[0]), int(window[-1])] for window in found.windows],
        "words": [
            {"word": word, "steps": list(steps), "total": _number(total), "drop": _numbers(drop)}
            for word, steps, total, drop in rows
        ],
    }


def of_finding(finding: Any, e: Explanation) -> Result:
    """What a failure-case tool found: its sentence and its marks, checked against the answer in view.

    Raises
    ------
    ValueError
        If it is no `dexar_widgets.failures.Finding`, or its marks do not lie in this answer.
    """
    text, marks = getattr(finding, "text", None), getattr(finding, "marks", None)
    if not isinstance(text, str) or not isinstance(marks, Mapping):
        raise ValueError(f"A finding has a text and marks, as those of dx.failures do; got {type(finding).__name__}.")
    makers: dict[str, Callable[[Any, Explanation], Any]] = {"cells": _cells, "regions": _regions, "notes": _notes}
    unknown = sorted(set(marks) - set(makers))
    if unknown:
        raise ValueError(f"marks has {unknown[0]!r}; known: {', '.join(makers)}.")
    name = str(getattr(finding, "kind", type(finding).__name__))
    found = {key: maker(marks.get(key), e) for key, maker in makers.items()}
    return {"kind": "finding", "about": {"name": name}, "text": text, **found}


def _cells(value: Any, e: Explanation) -> list[int]:
    cells = [] if value is None else list(value)
    count = e.layout.grids[0].rows * e.layout.grids[0].cols
    wrong = [cell for cell in cells if not _is_int(cell) or not 0 <= cell < count]
    if wrong:
        raise ValueError(f"marks['cells'] has {wrong[0]!r}; expected cells of the grid, from 0 to {count - 1}.")
    return [int(cell) for cell in cells]


def _regions(value: Any, _e: Explanation) -> list[dict[str, Any]]:
    if not isinstance(value, Mapping | None):
        raise ValueError(f"marks['regions'] is {value!r}; expected names with boxes or polygons.")
    return [{"name": str(name), "outline": outline_of(outline)} for name, outline in (value or {}).items()]


def _notes(value: Any, e: Explanation) -> list[dict[str, Any]]:
    notes, names = [] if value is None else list(value), ("word", "tag", "text")
    for note in notes:
        if not isinstance(note, Mapping) or not all(isinstance(note.get(name), str) for name in names):
            raise ValueError(f"marks['notes'] has {note!r}; expected a dict of steps, word, tag and text.")
    steps = [e.steps_of(given) if np.size(given := note.get("steps")) else () for note in notes]  # (): the whole answer
    return [{"steps": list(s), **{name: note[name] for name in names}} for s, note in zip(steps, notes, strict=True)]


def _is_int(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _number(value: float | np.floating | None) -> float | None:
    plain = None if value is None else jsonable(float(value))
    return None if plain is None else float(f"{plain:.6g}")


def _numbers(values: np.ndarray) -> list[float | None]:
    return [_number(value) for value in values]
