"""What a metric must keep to: what is right beats chance, chance its opposite, and nothing fails in silence.

Cases are made up. Whatever a metric needs is there in three qualities: right, by chance, and the opposite of right.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import fields, replace
from functools import partial
from types import ModuleType
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Bool, Float, Float64, Int

from dexar_widgets.conformance.findings import Attempt, expect
from dexar_widgets.maps import coverage
from dexar_widgets.metrics import Case, Curve, Effects, Need, Score, Steps
from dexar_widgets.types import Grid, HeatMap

__all__ = ["checks"]

Quality = Literal["right", "chance", "opposite"]
Change = Callable[[Case], Case]

_GRID = Grid(8, 10, (0.0, 0.0, 100.0, 80.0), (100, 80))
_CASES = 20
_DRAWS = 8
"""Of what is by chance there are several: one alone may do as ill as the opposite, such as a peak that misses."""
_TILES = 10
_TILE = np.arange(_TILES).reshape(2, 5)
"""Where each object is that something depends on: the image in equal parts."""
_LEVELS = np.linspace(0, 1, 11)
_NEEDS: tuple[Need, ...] = get_args(Need)
_CURVES = frozenset({"positive", "negative", "insertion"})
_OF_MAPS = frozenset({"mask", "effects", "randomised"}) | _CURVES
"""Needs of metrics that judge the map; those of steps alone need not look at it."""


def checks(module: ModuleType) -> Iterator[Attempt]:
    """Its facts, an order that must hold, and the cases in which there is no number."""
    yield "says what it is: TITLE, HIGHER_IS_BETTER, NEEDS, WORST", partial(_facts, module)
    needs = frozenset(module.NEEDS if isinstance(module.NEEDS, Collection) else ()) & frozenset(_NEEDS)
    if needs:
        yield "ranks what is right over chance over its opposite, on twenty cases", partial(_order, module)
    yield "gives the same twice, and leaves the case as it was", partial(_same, module)
    if "mask" in needs:
        yield "takes no notice of ignored pixels' mask", partial(_ignored, module)
    for need in sorted(needs):
        yield f"no {need}: the status missing", partial(_missing, module, need)
    for name, spoil in _spoilt(needs).items():
        yield f"{name}: a status and no number", partial(_degenerate, module, spoil)
    for name, change in _odd(needs).items():
        yield f"{name}: a number, or a status", partial(_either, module, change)


def _facts(module: ModuleType) -> str:
    expect(isinstance(module.TITLE, str) and module.TITLE.strip() != "", f"TITLE is {module.TITLE!r}.")
    expect(isinstance(module.HIGHER_IS_BETTER, bool), f"HIGHER_IS_BETTER is {module.HIGHER_IS_BETTER!r}.")
    expect(
        isinstance(module.NEEDS, frozenset) and frozenset(_NEEDS) >= module.NEEDS,
        f"NEEDS is {module.NEEDS!r}; expected a frozenset of some of {', '.join(_NEEDS)}.",
    )
    expect(isinstance(module.WORST, float), f"WORST is {module.WORST!r}; expected a float, NaN if there is no bound.")
    return f"{module.TITLE}, {'higher' if module.HIGHER_IS_BETTER else 'lower'} is better"


def _order(module: ModuleType) -> str:
    """No case may be the other way round; all must rank right over opposite, and their means be three numbers."""
    sign = 1 if module.HIGHER_IS_BETTER else -1
    rows = []
    for seed in range(_CASES):
        right, opposite = (_number(module, _case(module, seed, quality)) for quality in ("right", "opposite"))
        draws = [_number(module, _case(module, seed, "chance", draw=draw)) for draw in range(_DRAWS)]
        row = [right * sign, float(np.mean(draws)) * sign, opposite * sign]
        expect(
            row[0] >= row[1] >= row[2] and row[0] > row[2],
            f"Case {seed}: right, chance and opposite score {[round(value * sign, 3) for value in row]}.",
        )
        rows.append(row)
    means = np.mean(rows, 0)
    expect(means[0] > means[1] > means[2], f"Right, chance and opposite score {np.round(means * sign, 3).tolist()}.")
    return ", ".join(f"{value * sign:.3f}" for value in means)


def _number(module: ModuleType, case: Case) -> float:
    """The value of a case that must have one, within the metric's own bound."""
    score = module.measure(case)
    expect(score.status == "ok", f"A sound case has the status {score.status!r}.")
    expect(all(map(np.isfinite, score.parts.values())), f"A part is not finite: {dict(score.parts)}.")
    expect(score.higher_is_better is module.HIGHER_IS_BETTER, "The score's direction is not HIGHER_IS_BETTER.")
    beyond = score.value < module.WORST if module.HIGHER_IS_BETTER else score.value > module.WORST
    expect(not beyond, f"It gave {score.value}, worse than its WORST {module.WORST}.")
    return float(score.value)


def _same(module: ModuleType) -> None:
    case = _case(module, 1, "chance")
    _lock(case)
    one, other = (repr(module.measure(case)) for _ in range(2))  # as words, where NaN equals NaN
    expect(one == other, f"Two runs differ: {one} and {other}.")


def _lock(thing: object) -> None:
    """Make every array of a case read-only, so that whoever writes into one fails."""
    if isinstance(thing, np.ndarray):
        thing.flags.writeable = False
    elif isinstance(thing, tuple):
        for part in thing:
            _lock(part)
    elif isinstance(thing, Case | Curve | Steps | Effects | HeatMap):
        for item in fields(thing):
            _lock(getattr(thing, item.name))


def _ignored(module: ModuleType) -> None:
    case = _case(module, 3, "chance")
    ignored = np.zeros((80, 100), bool)
    ignored[:40, :35] = True
    assert case.mask is not None, "every made-up case has a mask"
    flipped = replace(case, mask=case.mask ^ ignored, ignored=ignored)
    one, other = (module.measure(some) for some in (replace(case, ignored=ignored), flipped))
    expect(repr(one) == repr(other), f"The mask of ignored pixels makes {one.value} {other.value}.")


def _missing(module: ModuleType, need: Need) -> None:
    case = _case(module, 1, "right")
    score = module.measure(_with("negative", case, sizes=None) if need == "sizes" else _with(need, case))
    expect(score.status == "missing", f"It gave {score.value} with status {score.status!r}.")


def _degenerate(module: ModuleType, spoil: Change) -> str:
    score: Score = module.measure(spoil(_case(module, 2, "chance")))
    expect(
        score.status != "ok" and not np.isfinite(score.value), f"It gave {score.value} with status {score.status!r}."
    )
    return str(score.status)


def _either(module: ModuleType, change: Change) -> str:
    score: Score = module.measure(change(_case(module, 2, "chance")))  # if it comes to a score at all
    return f"{score.value:.3g}" if score.status == "ok" else score.status


def _case(module: ModuleType, seed: int, quality: Quality, *, draw: int = 0) -> Case:
    """All that there is to know of a map, and a map of some quality: of the mask, or of the objects' effects."""
    random = np.random.default_rng([seed, draw])
    nats = np.random.default_rng(seed).permutation(_TILES).astype(float)
    tiles = np.arange(_TILES)[:, None, None] == np.kron(_TILE, np.ones((40, 20), int))
    by_effects = "effects" in module.NEEDS
    mask = tiles[nats.argmax()] if by_effects else _mask(seed)
    right = np.kron(nats[_TILE] / nats.max(), np.ones((4, 2))) if by_effects else coverage(mask, _GRID)
    values = {"right": right, "chance": random.random(right.shape), "opposite": 1 - right}[quality]
    early = {"right": 0.4, "chance": random.uniform(0.8, 1.25), "opposite": 2.5}[quality]
    mixed = {"right": (0, 1), "chance": (1, 1), "opposite": (1, 0)}[quality]
    noise = random.random((3, *right.shape))
    return Case(
        _heat(values),
        mask,
        steps=_steps(random, quality),
        positive=Curve(_LEVELS, 1 + 4 * _LEVELS**early, _bytes(1 - _LEVELS)),
        negative=Curve(_LEVELS, 1 + 4 * _LEVELS ** (1 / early), _bytes(1 - _LEVELS)),
        insertion=Curve(_LEVELS, 1 + 4 * (1 - _LEVELS) ** (1 / early), _bytes(_LEVELS)),
        effects=Effects(tiles, nats),
        randomised=tuple(_heat(mixed[0] * values + mixed[1] * one) for one in noise),
    )


def _mask(seed: int) -> Bool[np.ndarray, "height width"]:
    random = np.random.default_rng(seed)
    mask = np.zeros((80, 100), bool)
    top, left = random.integers(0, 50), random.integers(0, 70)
    mask[top : top + random.integers(10, 30), left : left + random.integers(10, 30)] = True
    return mask


def _heat(values: Float[np.ndarray, "row col"]) -> HeatMap:
    return HeatMap(values.astype(np.float32), _GRID, "made", (0,))


def _bytes(shown: Float64[np.ndarray, " level"]) -> Int[np.ndarray, " level"]:
    return (1000 + 9000 * shown).astype(int)


def _steps(random: np.random.Generator, quality: Quality) -> Steps:
    content = random.permutation(np.arange(12) < 5)
    told = {"right": content, "chance": random.random(12) < 0.5, "opposite": ~content}[quality]
    weights = np.where(told, random.uniform(0.5, 1, 12), random.uniform(0.05, 0.2, 12))
    return Steps(weights, weights * random.uniform(0.8, 1.2, 12), content)


def _spoilt(needs: frozenset[Need]) -> dict[str, Change]:
    """What leaves no number, as changes of a sound case, by what a metric needs."""
    changes: dict[str, Change] = {}
    if needs & _OF_MAPS or not needs:
        changes |= {"NaN": _with_map(np.nan), "infinity": _with_map(np.inf)}
    if needs & _OF_MAPS:
        changes |= {"constant": _with_map(1, everywhere=True), "zero": _with_map(0, everywhere=True)}
    if "mask" in needs:
        changes["empty mask"] = lambda case: replace(case, mask=np.zeros((80, 100), bool))
        changes["full mask"] = lambda case: replace(case, mask=np.ones((80, 100), bool))
        changes["mask of ignored pixels alone"] = lambda case: replace(case, ignored=case.mask)
    if "steps" in needs:
        for name, value in (("NaN", np.nan), ("infinite", np.inf), ("zero", 0.0), ("equal", 1.0)):
            changes[f"{name} steps"] = partial(_with, "steps", weights=np.full(12, value), energies=np.full(12, value))
        changes["no content"] = partial(_with, "steps", content=np.zeros(12, bool))
        changes["nothing but content"] = partial(_with, "steps", content=np.ones(12, bool))
        none = np.zeros(0)
        changes["no steps"] = partial(_with, "steps", weights=none, energies=none, content=none.astype(bool))
    for curve in sorted(needs & _CURVES):
        for name, value in (("NaN", np.nan), ("infinity", np.inf)):
            changes[f"{name} in the {curve} curve"] = partial(_with, curve, nll=np.append(np.ones(10), value))
        changes[f"a {curve} curve that ends halfway"] = partial(_with, curve, fractions=_LEVELS / 2)
    if "effects" in needs:
        changes["two objects"] = _two
        changes["NaN effects"] = partial(_with, "effects", nats=np.full(_TILES, np.nan))
        changes["equal effects"] = partial(_with, "effects", nats=np.ones(_TILES))
    if "randomised" in needs:
        changes["no randomised model"] = lambda case: replace(case, randomised=())
        changes["NaN after randomisation"] = lambda case: replace(case, randomised=(_with_map(np.nan)(case).heat,))
    return changes


def _odd(needs: frozenset[Need]) -> dict[str, Change]:
    """What may have a number or not, but must not break a metric."""
    crop = replace(_GRID, box=(20.0, 0.0, 80.0, 80.0))
    changes: dict[str, Change] = {
        "a signed map": lambda case: replace(case, heat=_heat(case.heat.values - 0.5)),
        "a negative map": lambda case: replace(case, heat=_heat(case.heat.values - 2)),
        "one huge cell": _with_map(3e38),
        "a map of a part of the image": lambda case: replace(case, heat=replace(case.heat, grid=crop)),
    }
    for curve in sorted(needs & _CURVES):
        changes[f"a flat {curve} curve"] = partial(_with, curve, nll=np.ones(11))
        changes[f"a {curve} curve the other way round"] = partial(_with, curve, nll=2 - _LEVELS)
        changes[f"a {curve} curve that rises and falls"] = partial(_with, curve, nll=1 + _LEVELS * (1 - _LEVELS))
        changes[f"a {curve} curve beyond all exponents"] = partial(_with, curve, nll=_LEVELS * 2000)
    return changes


def _with(part: str, case: Case, **changes: object) -> Case:
    """A case in which one part is changed; without changes, one that lacks it."""
    changed: dict[str, Any] = {part: replace(getattr(case, part), **changes) if changes else None}
    return replace(case, **changed)


def _with_map(value: float, *, everywhere: bool = False) -> Change:
    """A case's map with so much in its first cell, or in all."""

    def change(case: Case) -> Case:
        values = case.heat.values.copy()
        values[... if everywhere else (0, 0)] = value
        return replace(case, heat=_heat(values))

    return change


def _two(case: Case) -> Case:
    assert case.effects is not None, "every made-up case has effects"
    return replace(case, effects=Effects(case.effects.masks[:2], case.effects.nats[:2]))
