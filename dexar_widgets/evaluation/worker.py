"""One worker: a model in memory, and samples one after the other, each made into records of its units.

A record is a function of the configuration and the sample: whoever makes it, and whenever, it is the same, but for what
it took. A sample that is broken, and a method that fails on it, are records with their reason.
"""

import json
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
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
from dexar_widgets.evaluation.records import Record, Status, told, unmeasured
from dexar_widgets.evaluation.samples import BrokenSampleError, Dataset, Sample
from dexar_widgets.methods import Need as Share
from dexar_widgets.metrics import Case, Curve, Need, Score
from dexar_widgets.plugins import get
from dexar_widgets.types import HeatMap

if TYPE_CHECKING:
    from dexar_widgets.vlm import VLM

__all__ = ["Worker"]


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
        self.vlm: VLM = dx.load(
            model, device=configuration.device, dtype=configuration.dtype, revision=configuration.commit(model)
        )
        self._first = frozenset(dataset.ids[: configuration.randomised])
        self._shared = frozenset[Share]().union(*(get("methods", one.method).NEEDS for one in configuration.methods))

    def records(self, id_: str, variants: Collection[str] | None = None) -> list[Record]:
        """The records of one sample, one per variant, in the configuration's order; never raises for a bad sample.

        ``variants``: only those of these names; what comes of one does not depend on the others. Each tells what all of
        it took, too: seconds, and images through the model but to generate the answer.
        """
        wanted = [one for one in self.configuration.variants if variants is None or one.name in variants]
        with engine.metered(self.vlm, memory=False) as whole:
            found = self._records(id_, wanted)
        took = {"seconds_sample": round(whole.seconds, 6), "forwards_sample": whole.forwards}
        return [record | {"costs": record.get("costs", {}) | took} for record in found]

    def _records(self, id_: str, variants: Sequence[Variant]) -> list[Record]:
        try:
            sample = self.dataset.load(id_)
            asked = self._asked(sample)
        except Exception as error:  # noqa: BLE001 (whatever a sample does, it takes no other with it)
            return [self._unmeasured(id_, variant, error, "broken") for variant in variants]
        return list(self._measured(sample, asked, variants))

    def _asked(self, sample: Sample) -> Asked:
        """The sample's answer, given or generated."""
        with engine.enough_memory(self.vlm, "The answer", "load the model in a smaller data type"):
            asked = ask(
                self.vlm, sample.image, sample.prompt, answer=sample.answer, steps=None, on_word=None,
                decoding=engine.Decoding(),
            )  # fmt: skip
        if not asked.steps:
            raise BrokenSampleError(f"The answer to {sample.id} is empty.")
        return asked

    def _measured(self, sample: Sample, asked: Asked, variants: Sequence[Variant]) -> Iterator[Record]:
        judged = Judged(asked, sample, self.configuration, among_first=sample.id in self._first)
        found, failed = _attributed(asked, [one for one in variants if one.method not in ORACLES], self._shared)
        for variant in variants:
            try:
                if variant.method in ORACLES and (made := oracle(asked, sample, variant.method)) is not None:
                    found[variant.name] = made
                if variant.name not in found:
                    raise failed.get(variant.name) or BrokenSampleError("There is no mask to make a map of.")
                with engine.enough_memory(self.vlm, "What metrics need", "take a smaller batch size"):
                    record = self._record(sample, variant, found[variant.name], judged)
                yield record
            except Exception as error:  # noqa: BLE001 (of this map; others may have their numbers)
                yield self._unmeasured(sample.id, variant, error, "failed")

    def _unmeasured(self, id_: str, variant: Variant, error: Exception, status: Status) -> Record:
        return unmeasured(self.configuration, self.model, id_, variant, error, status)

    def _record(self, sample: Sample, variant: Variant, found: Attribution, judged: Judged) -> Record:
        """Measures, with the time that each stage takes."""
        started = time.perf_counter()
        heat = found.sequence_map()
        drawn: Mapping[CurveKind, Curve] = {}
        if judged.ends is not None:
            key = f"{self.configuration.seed} {sample.id}"
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
            forwards=found.cost.forwards + sum(map(curves.forwards_of, drawn.values())),
            forwards_randomised=judged.took["randomised"].forwards - before["randomised"].forwards,
            backwards=found.cost.backwards,
            peak_bytes=found.cost.peak_bytes,
        )
        return (
            told(self.configuration, self.model, sample.id, variant, facts=sample.facts)
            | _raw(found, heat, drawn)
            | {"energies": judged.energies(found).tolist(), "scores": scores}
            | {"costs": vars(took) | {"by": _by(self.vlm)}}
        )


def _raw(found: Attribution, heat: HeatMap, drawn: Mapping[CurveKind, Curve]) -> Record:
    """The answer, its map, and the curves that were drawn: all that other readings of the metrics need."""
    return {
        "answer": found.generation.text,
        "ids": found.generation.ids.tolist(),
        "log_probs": [float(value) for value in found.generation.log_probs],
        "rows": found.grid.rows,
        "cols": found.grid.cols,
        "box": list(map(float, found.grid.box)),
        "map": heat.values.ravel().tolist(),
        "weights": found.weights.astype(float).tolist(),
        "levels": [] if not drawn else next(iter(drawn.values())).fractions.tolist(),
        "sizes": [] if "negative" not in drawn else np.asarray(drawn["negative"].sizes).tolist(),
        **{kind: drawn[kind].nll.tolist() if kind in drawn else [] for kind in CURVES},
    }


def _attributed(
    asked: Asked, variants: Sequence[Variant], shared: frozenset[Share]
) -> tuple[dict[str, Attribution], dict[str, Exception]]:
    """The maps of these variants, and why some have none: one that cannot explain the answer takes no other with it.

    They read the pass that all methods share, whichever are asked for: one for fewer may have other last digits.
    """
    if not variants:
        return {}, {}
    try:
        return _ran(asked, variants, shared)
    except Exception:  # noqa: BLE001 (a third party's method may raise anything; whose it was is seen below)
        found: dict[str, Attribution] = {}
        failed: dict[str, Exception] = {}
    for variant in variants:
        try:
            maps, reasons = _ran(asked, [variant], frozenset())
            found, failed = found | maps, failed | reasons
        except Exception as error:  # noqa: BLE001
            failed[variant.name] = error
    return found, failed


def _ran(
    asked: Asked, variants: Sequence[Variant], shared: frozenset[Share]
) -> tuple[dict[str, Attribution], dict[str, Exception]]:
    ran = run(
        asked,
        {variant.name: options_of(variant.method, variant.options) for variant in variants},
        shared,
        methods={variant.name: variant.method for variant in variants},
    )
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
