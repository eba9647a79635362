"""Best and worst cases as pictures: the image with what was looked for, DEX-AR's map, and that of the best other."""

import base64
import io
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, UInt8
from PIL import Image

from dexar_widgets.evaluation.oracles import ORACLES
from dexar_widgets.evaluation.readings import Reading, cases_of, meaning_of, readings_in
from dexar_widgets.evaluation.results import Results
from dexar_widgets.evaluation.samples import BrokenSampleError, Dataset, Sample
from dexar_widgets.evaluation.tables import rows_of
from dexar_widgets.figures import overlay
from dexar_widgets.images import open_image
from dexar_widgets.maps import status_of
from dexar_widgets.pages import Cell, Chapter, Table, number
from dexar_widgets.types import Grid, HeatMap

__all__ = ["examples"]

_SIDE = 128  # of a picture, the longer one, in pixels
_EACH = 2
"""Cases of each kind."""
_MOST_TABLES = 4
_BY = ("energy_pointing_game", "iou", "soft_iou", "snr", "perplexity_gap", "positive_perplexity", "deletion")
"""What cases are chosen by: the first of these that was measured, else any."""
_OUTLINE = (255, 0, 200)
Pixels = UInt8[np.ndarray, "height width 3"]
Small = UInt8[np.ndarray, "down across 3"]


def examples(results: Results, references: Mapping[str, str], datasets: Mapping[str, Dataset]) -> Chapter | None:
    """Cases where DEX-AR does best, worst, and is furthest behind; None without DEX-AR.

    ``references`` and ``datasets`` go by the data's name on the page.
    """
    told: list[str] = []
    tables: list[Table] = []
    for key, some in results.scores.groupby(["data", "model"], sort=False):
        data, model = map(str, key)
        reading = _reading(some, references.get(data, ""))
        if reading is None or len(tables) == _MOST_TABLES:
            continue
        if data not in datasets:
            told.append(f"The images of {data} are not at hand here: give --data NAME:FOLDER to show its cases.")
            continue
        units = results.units[(results.units["data"] == data) & (results.units["model"] == model)]
        rows = list(_rows(some[~some["method"].isin(ORACLES)], units, reading, references[data], datasets[data]))
        caption = f"{model}, {data}: by {reading.title}"
        tables.append(Table(caption, ("case", "image", "DEX-AR", "best other", "question and answer"), rows))
    if not tables and not told:
        return None
    said = (
        "Maps are of the whole answer, each on a scale of its own; what was looked for is outlined. Chosen by one "
        "metric alone: an example shows what happens, not how often."
    )
    return Chapter("Best and worst cases", (said, *dict.fromkeys(told)), tables)


def _reading(scores: pd.DataFrame, reference: str) -> Reading | None:
    """What cases are chosen by."""
    own = scores[(scores["variant"] == reference) & (scores["status"] == "ok")]
    there = [one for one in readings_in(own) if one.view != "word"]
    there.sort(key=lambda one: (_BY.index(one.metric) if one.metric in _BY else len(_BY), one.view != "together"))
    return there[0] if there else None


def _rows(
    scores: pd.DataFrame, units: pd.DataFrame, reading: Reading, reference: str, dataset: Dataset
) -> Iterator[list[Cell]]:
    sign = meaning_of(reading.metric).sign or 1.0
    cases = cases_of(scores, reading)
    values = cases.groupby(["sample", "variant"], sort=False)["value"].mean().unstack() * sign
    own, others = values[reference].dropna(), values.drop(columns=reference)
    behind = (others.max(axis=1) - own).dropna()
    ordered = own.sort_values(kind="stable").index
    chosen = [("best", sample) for sample in ordered[::-1][:_EACH]] + [("worst", sample) for sample in ordered[:_EACH]]
    chosen += [
        ("furthest behind", sample)
        for sample in behind[behind > 0].sort_values(ascending=False, kind="stable").index[:_EACH]
    ]
    for kind, sample in chosen:
        best = others.loc[sample].idxmax() if others.loc[sample].notna().any() else None
        shown = {name: sign * values.loc[sample, name] for name in (reference, best) if name is not None}
        yield _row(kind, str(sample), shown, units[units["sample"] == sample], dataset)


def _row(kind: str, id_: str, shown: Mapping[str, float], units: pd.DataFrame, dataset: Dataset) -> list[Cell]:
    case = "\n".join([kind, id_, *(f"{name} {number(value)}" for name, value in shown.items())])
    try:
        sample = dataset.load(id_)
        image = open_image(sample.image).image
    except (BrokenSampleError, ValueError, OSError) as error:
        return [Cell(case), Cell(f"cannot be shown: {error}"), Cell(""), Cell(""), Cell("")]
    small = _small(image)
    by_variant = {unit["variant"]: unit for unit in rows_of(units)}
    maps = [_map(small, image, by_variant[name], name) for name in shown]
    answer = str(by_variant[next(iter(shown))]["answer"])
    asked = sample.prompt or "(the family's own question)"
    cells = [Cell(case), Cell(f"the image of {id_}", picture=_png(_outlined(small, sample))), *maps]
    return [*cells, *[Cell("")] * (2 - len(maps)), Cell(f"{asked}\n{answer}")]


def _small(image: Pixels) -> Small:
    height, width = image.shape[:2]
    share = min(1.0, _SIDE / max(height, width))
    size = max(1, round(width * share)), max(1, round(height * share))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))


def _map(small: Small, image: Pixels, unit: Mapping[str, Any], name: str) -> Cell:
    """The map over the part of the image that it covers."""
    (height, width), (down, across) = image.shape[:2], small.shape[:2]
    left, top, right, bottom = unit["box"]
    scaled = (left * across / width, top * down / height, right * across / width, bottom * down / height)
    rows, cols = int(unit["rows"]), int(unit["cols"])
    values = np.asarray(unit["map"], np.float32).reshape(rows, cols)
    status = status_of(values, weighted=bool(values.any()))
    heat = HeatMap(values, Grid(rows, cols, scaled, (across, down)), name, (0,), status=status)
    return Cell(f"the map of {name}", picture=_png(overlay(small, heat)))


def _outlined(small: Small, sample: Sample) -> Small:
    """The image with the edge of every target."""
    shown, size = small.copy(), (small.shape[1], small.shape[0])
    for target in sample.targets:
        mask = np.asarray(Image.fromarray(target.mask).resize(size, Image.Resampling.NEAREST))
        shown[_edge(mask)] = _OUTLINE
    return shown


def _edge(mask: Bool[np.ndarray, "height width"]) -> Bool[np.ndarray, "height width"]:
    padded = np.pad(mask, 1)
    inside = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return np.asarray(mask & ~inside)


def _png(pixels: Small) -> str:
    """In base64, in few colours: a page holds dozens."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).quantize(64, Image.Quantize.MEDIANCUT).save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()
