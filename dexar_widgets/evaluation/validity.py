"""Whether the perturbation metrics can be believed here: do they put maps whose worth is known in their order?

A map of the masks (the oracle) should be better than DEX-AR, that better than noise, and noise better than the oracle
inverted. And a metric should put the methods in the order in which they agree with interventions, which pull no pixel
out of a picture. Test T12; what is judged is the metric and no method.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from dexar_widgets.evaluation.oracles import ORACLES
from dexar_widgets.evaluation.readings import Reading, cases_of, meaning_of
from dexar_widgets.evaluation.results import Results
from dexar_widgets.evaluation.tables import DRAWS
from dexar_widgets.pages import Cell, Chapter, Table, number
from dexar_widgets.statistics import FEW, Estimate, difference, mean, order

__all__ = ["METRICS", "Order", "Validity", "validities", "validity"]

METRICS = (
    "perplexity_gap", "positive_perplexity", "negative_perplexity", "insertion", "deletion", "information_curve"
)  # fmt: skip
"""Those that are judged; of the first, noise has 0."""
_ROLES = ("oracle", "DEX-AR", "random", "inverted oracle")  # best first
_STEPS = (("oracle", "DEX-AR"), ("DEX-AR", "random"), ("random", "inverted oracle"), ("oracle", "random"))
_THE = {"oracle": "the oracle", "inverted oracle": "the inverted oracle"}
_GATE = 0.7  # Spearman's ρ of a metric's order of the methods with that of causal agreement
_FEWEST = 3  # methods that have an order
_STANDARD_ERRORS = 2.0
_CAUSAL = Reading("causal_agreement", view="word")


@dataclass(frozen=True)
class Order:
    """How far a metric puts the methods in the order of causal agreement: Spearman's ρ, of so many methods.

    Both means are of the same ``samples``, those of which every method has both.
    """

    spearman: Estimate
    methods: int
    samples: int

    @property
    def holds(self) -> bool | None:
        """Whether it reaches the gate; None where nothing can be said."""
        known = np.isfinite(self.spearman.value) and self.samples >= FEW
        return self.spearman.value >= _GATE if known else None


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
    clusters: int

    @property
    def title(self) -> str:
        """The metric's."""
        return meaning_of(self.metric).title

    @property
    def judged(self) -> bool:
        """Whether there are enough samples, of enough clusters, to say anything."""
        return self.clusters >= FEW

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
        clusters = _clusters(shared)
        of = {role: shared[name].to_numpy(float) for role, name in names.items()}
        sign = meaning_of(metric).sign
        yield Validity(
            model, data, metric, len(shared),
            {role: mean(of[role], clusters, draws=DRAWS) for role in _ROLES},
            {step: difference(sign * of[step[0]], sign * of[step[1]], clusters, draws=DRAWS) for step in _STEPS},
            _standard_error(of["random"], clusters),
            _order(sign * values, causal), len(set(clusters)),
        )  # fmt: skip


def _by_variant(scores: pd.DataFrame, reading: Reading) -> pd.DataFrame:
    """A column per variant, a row per case, by cluster, sample and target."""
    return cases_of(scores, reading).pivot(index=["cluster", "sample", "target"], columns="variant", values="value")


def _clusters(cases: pd.DataFrame) -> Int[np.ndarray, " case"]:
    return np.asarray(pd.factorize(cases.index.get_level_values("cluster"))[0])


def _standard_error(values: Float[np.ndarray, " case"], clusters: Int[np.ndarray, " case"]) -> float:
    """Of their mean: of clusters, by what each is away from the mean in all."""
    away = np.bincount(clusters, values - values.mean()) if len(values) else np.zeros(0)
    if len(away) < 2:
        return float("nan")
    return float(np.sqrt((away**2).sum() * len(away) / (len(away) - 1)) / len(values))


def _order(values: pd.DataFrame, causal: pd.DataFrame) -> Order:
    """On the samples that all methods have both numbers for; methods of fewer than `FEW` stand back for the others."""
    sample = ["cluster", "sample"]
    each = [one.groupby(level=sample).mean() for one in (values, causal)]
    both = each[0].reindex(columns=causal.columns) + each[1]  # a number where there are both
    counts = both.notna().sum()
    known = counts[(counts > 0) & (counts >= min(FEW, counts.max()))].index
    if len(known) < _FEWEST:
        return Order(Estimate(np.nan, np.nan, np.nan, 0), len(known), 0)
    shared = both[known].dropna().index
    ours, theirs = (one.loc[shared, known] for one in each)
    found = order(ours.to_numpy(float), theirs.to_numpy(float), _clusters(ours), draws=DRAWS)
    return Order(found, len(known), len(shared))


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
    "images, paired). ✓ the interval is above 0, ≈ it holds 0, ✗ it is below. ρ is Spearman's, over methods that are "
    "not made of the masks, both means of the samples for which all of them have both numbers, with its interval over "
    "images; .7 is asked for."
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
            f"does not order the methods as causal agreement does: ρ = {_rho(one.order)} of {one.order.methods} "
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
    if not np.isfinite(order.spearman.value):
        return Cell("–\nnot measured")
    mark, verdict = {True: ("✓ ", "pass"), False: ("✗ ", "fail"), None: ("", "")}[order.holds]
    few = ": too few" if order.holds is None else ""
    found = _rho(order).replace(" (", "\n(")
    return Cell(f"{mark}{found}\nn {order.methods} methods\n{order.samples} samples{few}", verdict)


def _rho(order: Order) -> str:
    found = order.spearman
    return f"{number(found.value)} ({number(found.low)} to {number(found.high)})"
