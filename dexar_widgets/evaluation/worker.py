"""One worker: a model in memory, and samples one after the other, each made into records of its units.

A record is a function of the configuration and the sample: whoever makes it, and whenever, it is the same, but for what
it took. A sample that is broken, and a method that fails on it, are records with their reason.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import dexar_widgets as dx
from dexar_widgets import engine
from dexar_widgets.asking import Asked, ask
from dexar_widgets.attribution import Attribution
from dexar_widgets.attributions import options_of, run
from dexar_widgets.evaluation import curves
from dexar_widgets.evaluation.cases import INTERVENTIONS, Judged, View, cases
from dexar_widgets.evaluation.configuration import CURVES, Configuration, CurveKind, Variant
from dexar_widgets.evaluation.oracles import ORACLES, oracle
from dexar_widgets.evaluation.samples import BrokenSampleError, Dataset, Sample
from dexar_widgets.metrics import Case, Curve, Need, Score
from dexar_widgets.plugins import get

if TYPE_CHECKING:
    from dexar_widgets.vlm import VLM

__all__ = ["Worker"]

Record = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class _Took:
    """Seconds by stage, passes and memory of one unit; the first that needs what a sample's units share pays for it."""

    seconds_answer: float
    seconds_shared: float
    seconds_own: float
    seconds_curves: float
    seconds_effects: float
    seconds_randomised: float
    seconds_metrics: float
    forwards: int
    forwards_randomised: int
    backwards: int
    peak_bytes: int | None


class Worker:
    """Loads a model once; `records` can be called for any samples in any order."""

    def __init__(self, configuration: Configuration, dataset: Dataset, model: str) -> None:
        self.configuration, self.dataset, self.model = configuration, dataset, model
        torch.set_num_threads(configuration.threads)
        self.vlm: VLM = dx.load(model, device=configuration.device, dtype=configuration.dtype)
        self._first = frozenset(dataset.ids[: configuration.randomised])

    def records(self, id_: str) -> list[Record]:
        """The records of one sample, one per variant, in the configuration's order; never raises for a bad sample.

        Each tells what the whole sample took, too: seconds, and images through the model but to generate the answer.
        """
        with engine.metered(self.vlm, memory=False) as whole:
            found = self._records(id_)
        took = {"seconds_sample": round(whole.seconds, 6), "forwards_sample": whole.forwards}
        return [record | {"costs": record.get("costs", {}) | took} for record in found]

    def _records(self, id_: str) -> list[Record]:
        try:
            sample = self.dataset.load(id_)
            asked = self._asked(sample)
        except Exception as error:  # noqa: BLE001 (whatever a sample does, it takes no other with it)
            return [self._failed(id_, variant, "broken", error) for variant in self.configuration.variants]
        return list(self._measured(sample, asked))

    def _asked(self, sample: Sample) -> Asked:
        """The sample's answer, given or generated."""
        with engine.enough_memory(self.vlm, "The answer", "load the model in a smaller data type"):
            return ask(
                self.vlm, sample.image, sample.prompt, answer=sample.answer, steps=None, on_word=None,
                decoding=engine.Decoding(),
            )  # fmt: skip

    def _measured(self, sample: Sample, asked: Asked) -> Iterator[Record]:
        configuration = self.configuration
        if not asked.steps:
            error = BrokenSampleError(f"The answer to {sample.id} is empty.")
            yield from (self._failed(sample.id, variant, "broken", error) for variant in configuration.variants)
            return
        judged = Judged(asked, sample, configuration, among_first=sample.id in self._first)
        found, failed = _attributed(asked, configuration.methods)
        for variant in configuration.variants:
            try:
                if variant.method in ORACLES and (made := oracle(asked, sample, variant.method)) is not None:
                    found[variant.name] = made
                if variant.name not in found:
                    raise failed.get(variant.name) or BrokenSampleError("There is no mask to make a map of.")
                yield self._record(sample, variant, found[variant.name], judged)
            except Exception as error:  # noqa: BLE001 (of this map; others may have their numbers)
                yield self._failed(sample.id, variant, "failed", error)

    def _record(self, sample: Sample, variant: Variant, found: Attribution, judged: Judged) -> Record:
        started = time.perf_counter()
        key = f"{self.configuration.seed} {sample.id}"
        heat = found.sequence_map()
        drawn: Mapping[CurveKind, Curve] = {}
        if judged.ends is not None:
            drawn = curves.curves(judged.asked, heat, judged.ends, self.configuration, key)
        measured, before = time.perf_counter(), dict(judged.took)
        scores = list(_scores(self.configuration.metrics, found, judged, drawn))
        seconds = {name: judged.took[name].seconds - before[name].seconds for name in INTERVENTIONS}
        took = _Took(
            seconds_answer=found.cost.answer,
            seconds_shared=found.cost.shared,
            seconds_own=found.cost.own,
            seconds_curves=round(measured - started, 6),
            seconds_effects=round(seconds["effects"], 6),
            seconds_randomised=round(seconds["randomised"], 6),
            seconds_metrics=round(time.perf_counter() - measured - sum(seconds.values()), 6),
            forwards=found.cost.forwards + sum(len(curve.fractions) - 2 for curve in drawn.values()),
            forwards_randomised=judged.took["randomised"].forwards - before["randomised"].forwards,
            backwards=found.cost.backwards,
            peak_bytes=found.cost.peak_bytes,
        )
        rows: Record = {kind: drawn[kind].nll.tolist() if kind in drawn else [] for kind in CURVES}
        return (
            rows
            | self._told(sample.id, variant, "ok", "", dict(sample.facts))
            | {
                "answer": found.generation.text,
                "ids": found.generation.ids.tolist(),
                "log_probs": [float(value) for value in found.generation.log_probs],
                "rows": found.grid.rows,
                "cols": found.grid.cols,
                "box": list(map(float, found.grid.box)),
                "map": heat.values.ravel().tolist(),
                "weights": found.weights.astype(float).tolist(),
                "energies": judged.energies(found).tolist(),
                "levels": [] if not drawn else next(iter(drawn.values())).fractions.tolist(),
                "sizes": [] if "negative" not in drawn else np.asarray(drawn["negative"].sizes).tolist(),
                "scores": scores,
                "costs": vars(took) | {"by": _by(self.vlm)},
            }
        )

    def _failed(self, id_: str, variant: Variant, status: str, error: Exception) -> Record:
        return self._told(id_, variant, status, f"{type(error).__name__}: {error}", {})

    def _told(self, id_: str, variant: Variant, status: str, reason: str, facts: Mapping[str, str]) -> Record:
        return {
            "unit": self.configuration.unit(self.model, id_, variant.name),
            "model": self.model,
            "data": self.dataset.name,
            "sample": id_,
            "variant": variant.name,
            "method": variant.method,
            "options": json.dumps(dict(variant.options), sort_keys=True),
            "status": status,
            "reason": reason,
            "facts": json.dumps(dict(facts), sort_keys=True),
        }


def _attributed(asked: Asked, variants: Sequence[Variant]) -> tuple[dict[str, Attribution], dict[str, Exception]]:
    """The maps of all variants, and why some have none: one that cannot explain the answer takes no other with it."""
    try:
        ran = run(
            asked,
            {variant.name: options_of(variant.method, variant.options) for variant in variants},
            methods={variant.name: variant.method for variant in variants},
        )
    except Exception as error:  # noqa: BLE001 (a third party's method may raise anything)
        if len(variants) < 2:
            return {}, {variant.name: error for variant in variants}
        found: dict[str, Attribution] = {}
        failed: dict[str, Exception] = {}
        for variant in variants:
            maps, reasons = _attributed(asked, [variant])
            found |= maps
            failed |= reasons
        return found, failed
    return ran.found, dict(ran.failed)


def _scores(
    metrics: Sequence[str], found: Attribution, judged: Judged, drawn: Mapping[CurveKind, Curve]
) -> Iterator[dict[str, Any]]:
    """A row per metric and case; metrics of the same needs judge the same cases, which are made once."""
    made: dict[frozenset[Need], list[tuple[View, str, Case]]] = {}
    for name in metrics:
        metric = get("metrics", name)
        if metric.NEEDS not in made:
            made[metric.NEEDS] = list(cases(found, judged, drawn, metric.NEEDS))
        for view, target, case in made[metric.NEEDS]:
            yield _score(metric.measure(case), view, target)


def _score(score: Score, view: str, target: str) -> dict[str, Any]:
    parts = {name: float(value) if np.isfinite(value) else str(value) for name, value in score.parts.items()}
    return {
        "metric": score.name,
        "view": view,
        "target": target,
        "value": score.value,
        "status": score.status,
        "chance": score.chance,
        "parts": json.dumps(parts, sort_keys=True),
    }


def _by(vlm: "VLM") -> str:
    """Versions and device."""
    told = vlm.provenance()
    return json.dumps({name: told[name] for name in ("versions", "device", "dtype", "attention")}, sort_keys=True)
