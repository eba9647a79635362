"""What can be read off results: a metric's value or one of its parts, of one of three views of the maps.

Results hold a row per score. A reading picks the rows that belong together, so that a mean is of one thing alone.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from dexar_widgets import plugins
from dexar_widgets.evaluation.samples import CLUSTER, EVERY
from dexar_widgets.metrics import CHANCE

__all__ = [
    "SHARE",
    "VIEWS",
    "Meaning",
    "Reading",
    "View",
    "cases_of",
    "clusters_of",
    "form_of",
    "meaning_of",
    "readings_in",
]

View = Literal["answer", "together", "word"]
VIEWS: tuple[View, ...] = get_args(View)
"""The whole answer's map: against each target by itself, or against all of them as one mask. A word's own map: against
what the word names."""
_SAID = {"answer": "", "together": ", all targets as one", "word": ", word's own map"}
_SAME_CHANCE = {("energy_pointing_game", "on_minmaxed"), ("iou", "grid"), ("snr", "on_minmaxed")}
"""Parts on the scale of the metric's value: what a map scores that knows nothing is the same."""
_NO_PART = "part missing"
_BEYOND = "overflow"
_DECIBEL = "decibel"
_BEYOND_WITH_IT = ("", "raw", _DECIBEL)
"""Parts that are infinite where the metric's value is."""
_LOGARITHMS = ("log_auc01", "log_auc09")
"""Parts of a ratio that are none; decibels are compared as the ratio that they are of."""
SHARE = "as shares"
"""The form r ÷ (1 + r) of a ratio r: of what is inside and outside together, how much is inside."""


@dataclass(frozen=True)
class Reading:
    """A metric's value, or a part of it, of one view."""

    metric: str
    part: str = ""
    view: View = "answer"

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Reading":
        """That of a row of a summary."""
        return cls(row["metric"], row["part"], row["view"])

    @property
    def title(self) -> str:
        """As people read it, with an arrow to what is better."""
        part = f", {self.part.replace('_', ' ')}" if self.part else ""
        meaning = meaning_of(self.metric)
        arrow = {1.0: " ↑", -1.0: " ↓", 0.0: ""}[meaning.sign]
        return f"{meaning.title}{part}{_SAID[self.view]}{arrow}"


@dataclass(frozen=True)
class Meaning:
    """What a metric's number means: its title, whether higher is better (None: nobody knows), and the least score.

    ``chance`` says what its chance is, ``ratio`` whether its values are ratios (`metrics.Metric`).
    """

    title: str
    higher_is_better: bool | None
    worst: float
    chance: str = CHANCE
    ratio: bool = False

    @property
    def sign(self) -> float:
        """1 where higher is better, −1 where lower is, 0 where nobody knows."""
        return 0.0 if self.higher_is_better is None else 1.0 if self.higher_is_better else -1.0


@cache
def meaning_of(metric: str) -> Meaning:
    """What is known of a metric; of one that is not installed, nothing but its name."""
    try:
        module = plugins.get("metrics", metric)
    except ValueError:
        return Meaning(metric, None, float("nan"))
    chance, ratio = getattr(module, "CHANCE", CHANCE), getattr(module, "RATIO", False)  # others' metrics may lack them
    return Meaning(module.TITLE, module.HIGHER_IS_BETTER, module.WORST, chance, ratio)


def readings_in(scores: pd.DataFrame) -> list[Reading]:
    """The values that scores hold: each metric in each view."""
    found = scores.loc[scores["metric"].notna(), ["metric", "view", "target"]].drop_duplicates()
    readings: list[Reading] = []
    for (metric, view), some in found.groupby(["metric", "view"]):
        readings.append(Reading(str(metric), "", "word" if view == "word" else "answer"))
        if (some["target"] == EVERY).any():
            readings.append(Reading(str(metric), "", "together"))
    return sorted(readings, key=lambda one: (one.metric, VIEWS.index(one.view)))


def cases_of(scores: pd.DataFrame, reading: Reading) -> pd.DataFrame:
    """A row per case: variant, sample, target, cluster, value, status, chance; and ``compared``, ``compared_chance``.

    Without a number, the value is NaN. Pairs are compared as they are; ratios as `SHARE`, which have a mean where a
    ratio is infinite, so that no pair is lost and none outweighs the others.
    """
    view = "word" if reading.view == "word" else "answer"
    chosen = scores[(scores["metric"] == reading.metric) & (scores["view"] == view)]
    every = chosen["target"] == EVERY
    if reading.view == "together":  # of a sample with one target, that is all of them
        several = set(chosen.loc[every, "sample"])
        chosen = chosen[every | ~chosen["sample"].isin(several)].assign(target=EVERY)
    else:
        chosen = chosen[~every]
    found = chosen[["variant", "sample", "target", "value", "status", "chance"]].reset_index(drop=True)
    found["cluster"] = clusters_of(chosen).to_numpy()
    whole = found["value"].to_numpy(float)
    if reading.part:
        found["value"] = [_part(text, reading.part) for text in chosen["parts"]]
        found.loc[(found["status"] == "ok") & found["value"].isna(), "status"] = _NO_PART
        if (reading.metric, reading.part) not in _SAME_CHANCE:
            found["chance"] = np.nan
    given, chance = (found[name].to_numpy(float) for name in ("value", "chance"))
    if form_of(reading):
        beyond = (found["status"] == _BEYOND).to_numpy() & (reading.part in _BEYOND_WITH_IT)
        ratio = np.where(beyond, np.inf, whole if reading.part == _DECIBEL else given)
        given, chance = (1 - 1 / (1 + values) for values in (ratio, chance))
    return found.assign(compared=given, compared_chance=chance)


def form_of(reading: Reading) -> str:
    """In what form pairs are compared: "" as they are, or `SHARE`."""
    return SHARE if meaning_of(reading.metric).ratio and reading.part not in _LOGARITHMS else ""


def clusters_of(table: pd.DataFrame) -> "pd.Series[str]":
    """What each row's sample belongs to: the image that its facts name, as of several questions about one, or itself.

    Rows of one cluster are not independent, so clusters are what is resampled.
    """
    codes, told = pd.factorize(table["facts"])
    named = np.array([json.loads(facts).get(CLUSTER) for facts in told], object)[codes]
    return pd.Series(named, index=table.index, dtype=object).fillna(table["sample"].astype(object))


def _part(text: object, name: str) -> float:
    """One part of a score; NaN where it is not there, or not finite."""
    value = json.loads(text).get(name) if isinstance(text, str) and text else None
    return float(value) if isinstance(value, int | float) and np.isfinite(value) else float("nan")
