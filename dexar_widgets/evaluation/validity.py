"""Whether the perturbation metrics can be believed here: do they put maps whose worth is known in their order?

A map of the masks (the oracle) should be better than DEX-AR, that better than noise, and noise better than the oracle
inverted. And a metric should put the methods in the order in which they agree with interventions, which pull no pixel
out of a picture. Test T12; what is judged is the metric and no method.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from dexar_widgets.evaluation.oracles import ORACLES
from dexar_widgets.evaluation.readings import Reading, cases_of, meaning_of
from dexar_widgets.evaluation.results import Results
from dexar_widgets.evaluation.tables import agreement
from dexar_widgets.pages import Cell, Chapter, Table, number
from dexar_widgets.statistics import FEW, Estimate, difference, mean

__all__ = ["METRICS", "Order", "Validity", "validities", "validity"]

METRICS = (
    "perplexity_gap", "positive_perplexity", "negative_perplexity", "insertion", "deletion", "information_curve"
)  # fmt: skip
"""Those that are judged; of the first, noise has 0."""
_ROLES = ("oracle", "DEX-AR", "random", "inverted oracle")  # best first
_STEPS = (("oracle", "DEX-AR"), ("DEX-AR", "random"), ("random", "inverted oracle"), ("oracle", "random"))
_THE = {"oracle": "the oracle", "inverted oracle": "the inverted oracle"}
_GATE = 0.7  # Spearman's ρ of a metric's order of the methods with that of causal agreement
_STANDARD_ERRORS = 2.0
_CAUSAL = Reading("causal_agreement", view="word")


@dataclass(frozen=True)
class Order:
    """How far a metric puts the methods in the order of causal agreement: Spearman's ρ, of so many methods.

    ``samples``: of those that have the fewest, how many their causal agreement is of.
    """

    spearman: float
    methods: int
    samples: int

    @property
    def holds(self) -> bool | None:
        """Whether it reaches the gate; None where nothing can be said."""
        return self.spearman >= _GATE if np.isfinite(self.spearman) and self.samples >= FEW else None


@dataclass(frozen=True)
class Validity:
    """One metric of one model and data set, on the samples that all four maps have a number for.

    ``means`` are by role; ``steps`` say by how much the first of two is better, so that above 0 is right, whether high
    or low numbers are. ``error`` is the standard error of noise's mean.
    """

    model: str
    data: str
    metric: str
    samples: int
    means: Mapping[str, Estimate]
    steps: Mapping[tuple[str, str], Estimate]
    error: float
    order: Order

    @property
    def title(self) -> str:
        """The metric's."""
        return meaning_of(self.metric).title

    @property
    def judged(self) -> bool:
        """Whether there are enough samples to say anything."""
        return self.samples >= FEW

    @property
    def random_is_zero(self) -> bool | None:
        """Whether noise has 0 within two standard errors; None of a metric whose zero means nothing."""
        return None if self.metric != METRICS[0] else abs(self.means["random"].value) <= _STANDARD_ERRORS * self.error

    @property
    def inverted_is_below(self) -> bool | None:
        """Whether the inverted oracle is below 0 with its interval; None of a metric whose zero means nothing."""
        return None if self.metric != METRICS[0] else self.means["inverted oracle"].high < 0

    @property
    def holds(self) -> bool:
        """Whether everything is as it should be that can be judged."""
        others = (self.random_is_zero, self.inverted_is_below, self.order.holds)
        return all(step.low > 0 for step in self.steps.values()) and False not in others


def validities(results: Results, references: Mapping[str, str]) -> list[Validity]:
    """Of every model and data set that has the four maps, each metric that was measured; ``references`` name DEX-AR."""
    return [
        found
        for (model, data), some in results.scores.groupby(["model", "data"], sort=False)
        if (names := _names(results, str(data), references)) is not None
        for found in _of_place(str(model), str(data), some, names)
    ]


def _names(results: Results, data: str, references: Mapping[str, str]) -> dict[str, str] | None:
    """The variant of each role, if there are all."""
    of_method: dict[str, str] = {}
    for name, (method, _) in results.variants(data).items():
        of_method.setdefault(method, name)
    found = (of_method.get(ORACLES[0]), references.get(data), of_method.get("random"), of_method.get(ORACLES[1]))
    return {role: name for role, name in zip(_ROLES, found, strict=True) if name} if all(found) else None


def _of_place(model: str, data: str, scores: pd.DataFrame, names: Mapping[str, str]) -> Iterator[Validity]:
    made = scores.loc[scores["method"].isin(ORACLES), "variant"].unique()
    causal = _by_variant(scores, _CAUSAL).drop(columns=made, errors="ignore")
    for metric in METRICS:
        values = _by_variant(scores, Reading(metric))
        if not set(names.values()) <= set(values.columns):
            continue
        shared = values[list(names.values())].dropna()
        scenes = np.arange(len(shared))
        of = {role: shared[name].to_numpy(float) for role, name in names.items()}
        sign = meaning_of(metric).sign
        yield Validity(
            model, data, metric, len(shared),
            {role: mean(of[role], scenes) for role in _ROLES},
            {step: difference(sign * of[step[0]], sign * of[step[1]], scenes) for step in _STEPS},
            _standard_error(of["random"]),
            _order(sign * values.mean(), causal),
        )  # fmt: skip


def _by_variant(scores: pd.DataFrame, reading: Reading) -> pd.DataFrame:
    """A column per variant, a row per case."""
    return cases_of(scores, reading).pivot(index=["sample", "target"], columns="variant", values="value")


def _standard_error(values: Float[np.ndarray, " case"]) -> float:
    """Of their mean."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")


def _order(means: "pd.Series[float]", causal: pd.DataFrame) -> Order:
    known = [name for name in causal.columns if causal[name].notna().any() and np.isfinite(means.get(name, np.nan))]
    found = agreement(list(means[known]), list(causal[known].mean()))
    samples = [causal[name].dropna().index.get_level_values("sample").nunique() for name in known]
    return Order(found["spearman"], int(found["n"]), min(samples, default=0))


def validity(found: Sequence[Validity]) -> Chapter | None:
    """The chapter; None without results of the four maps."""
    if not found:
        return None
    places = list(dict.fromkeys((one.model, one.data) for one in found))
    each = {place: [one for one in found if (one.model, one.data) == place] for place in places}
    told = [sentence for place in places for sentence in _told(each[place])]
    return Chapter("Can the perturbation metrics be believed?", (_ABOUT, *told, _HOW), [*map(_table, each.values())])


_ABOUT = (
    "Here the metrics are judged, and not the methods. A metric that can be believed finds a map of the masks (oracle) "
    "better than DEX-AR, that better than noise (random), and noise better than the oracle inverted; the perplexity "
    "gap of noise is 0. It puts the methods in the order of causal agreement, which is measured by taking the objects "
    "themselves away. Masks tell where a thing is and not what the model looks at, so of these the oracle beside "
    "DEX-AR says least."
)
_HOW = (
    "Means with 95 % intervals over the samples that all four maps have a number for; “better by” is the mean of the "
    "paired differences, above 0 where it is as it should be, whether high or low numbers are good (bootstrap over "
    "samples, paired). ✓ the interval is above 0, ≈ it holds 0, ✗ it is below. ρ is Spearman's, over methods that are "
    "not made of the masks; .7 is asked for."
)


def _told(found: Sequence[Validity]) -> Iterator[str]:
    """What holds in one place, then what does not, metric by metric."""
    place = f"{found[0].model}, {found[0].data}"
    judged = [one for one in found if one.judged]
    if len(judged) < len(found):
        few = _listed([one.title for one in found if not one.judged])
        yield f"{place}: of fewer than {FEW} samples, so nothing is said of {few}."
    if judged and all(one.order.holds is None for one in judged):
        yield (
            f"{place}: the order of the methods is not judged; it needs causal agreement, of scenes with three objects "
            f"or more, on {FEW} samples and of three methods."
        )
    if good := [one.title for one in judged if one.holds]:
        yield f"{place}: {_listed(good)} {'does' if len(good) == 1 else 'do'} what was asked."
    for one in judged:
        if not one.holds:
            yield f"{place}: {one.title} {'; it '.join(_faults(one))}."


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) < 2 else f"{', '.join(names[:-1])} and {names[-1]}"


def _faults(one: Validity) -> Iterator[str]:
    """What is wrong with a metric, in words that follow its name."""
    for (better, worse), step in one.steps.items():
        if not step.low > 0:
            above, below = _THE.get(better, better), _THE.get(worse, worse)
            wrong = f"puts {below} above {above}" if step.high < 0 else f"does not tell {above} from {below}"
            yield f"{wrong} here (better by {_interval(step)})"
    if one.random_is_zero is False:
        away = abs(one.means["random"].value) / one.error
        yield f"does not give random 0: {number(one.means['random'].value)}, {away:.1f} standard errors away"
    if one.inverted_is_below is False:
        yield f"does not put the inverted oracle below 0: {_interval(one.means['inverted oracle'])}"
    if one.order.holds is False:
        yield (
            f"does not order the methods as causal agreement does: ρ = {one.order.spearman:.2f} of {one.order.methods} "
            f"methods, {_GATE} is asked for"
        )


def _interval(found: Estimate) -> str:
    return f"{number(found.value)}, {number(found.low)} to {number(found.high)}"


def _table(found: Sequence[Validity]) -> Table:
    heads = (
        "metric",
        *_ROLES,
        *(f"{better} better\nthan {worse} by" for better, worse in _STEPS),
        "ρ with causal\nagreement",
    )
    rows = [
        [
            Cell(f"{Reading(one.metric).title}\nn {one.samples}"),
            *(_mean(one, role) for role in _ROLES),
            *(_step(one, step) for step in _STEPS),
            _rank(one.order),
        ]
        for one in found
    ]
    return Table(f"{found[0].model}, {found[0].data}", heads, rows)


def _mean(one: Validity, role: str) -> Cell:
    own = one.means[role]
    zero = {"random": one.random_is_zero, "inverted oracle": one.inverted_is_below}.get(role)
    said = {"random": "0 within 2 SE", "inverted oracle": "below 0"}.get(role, "")
    mark = "" if zero is None or not one.judged else f"{'✓' if zero else '✗ not'} {said}"
    return Cell("\n".join(filter(None, (number(own.value), f"({number(own.low)} to {number(own.high)})", mark))))


def _step(one: Validity, step: tuple[str, str]) -> Cell:
    found = one.steps[step]
    mark, verdict = ("✓", "pass") if found.low > 0 else ("✗", "fail") if found.high < 0 else ("≈", "fail")
    text = f"{number(found.value)}\n({number(found.low)} to {number(found.high)})"
    return Cell(f"{mark} {text}", verdict) if one.judged else Cell(text)


def _rank(order: Order) -> Cell:
    if not np.isfinite(order.spearman):
        return Cell("–\nnot measured")
    mark, verdict = {True: ("✓ ", "pass"), False: ("✗ ", "fail"), None: ("", "")}[order.holds]
    few = f"\n{order.samples} samples: too few" if order.holds is None else ""
    return Cell(f"{mark}{order.spearman:.2f}\nn {order.methods} methods{few}", verdict)
