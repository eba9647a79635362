"""The parts of a report: which scenes they show to which models, what they observe, and how that becomes results."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import pandas as pd

from dexar_widgets.lab.scenes import Scene, scene
from dexar_widgets.lab.trust import (
    cascade,
    closed,
    complexity,
    fills,
    filters,
    localisation,
    numerics,
    planted,
    repeats,
    tales,
    verdicts,
    words,
)
from dexar_widgets.lab.trust.observe import SLOW, observe
from dexar_widgets.lab.trust.verdicts import CLEAN

__all__ = ["FAMILIES", "FIRST_SEED", "PARTS", "PLANTED", "TESTS", "Part", "Plan", "offered"]

FAMILIES = (CLEAN, "lab/bakllava", "lab/paligemma", "lab/florence2")
PLANTED = {
    "water": "lab/water-boat",
    "trigger": "lab/trigger",
    "decoy": "lab/decoy",
    "permuted": "lab/permuted",
}
"""The part that judges each planted model, beside its clean twin."""
_OTHERS = ("lab/analytic", "lab/registers", *PLANTED.values())
FIRST_SEED = 3_000_000
"""Scenes never trained on (validation begins at 2³⁶, training at 2⁴⁰), nor used before to judge a model or a method."""
_APART = 20_000
"""Between the scenes of two parts."""

Tables = Mapping[str, pd.DataFrame]


@dataclass(frozen=True)
class Plan:
    """What a report covers. ``seed`` moves every scene; ``scenes`` go to fast methods, ``slow_scenes`` to slow ones."""

    models: tuple[str, ...]
    methods: tuple[str, ...]
    tests: tuple[str, ...]
    scenes: int = 500
    slow_scenes: int = 100
    seed: int = 0

    @property
    def fast(self) -> tuple[str, ...]:
        """The methods that take less than a second for a scene."""
        return tuple(name for name in self.methods if name not in SLOW)


@dataclass(frozen=True)
class Part:
    """One part. ``place`` orders its seeds; ``chunk`` scenes make a unit of work, which is done whole or not at all."""

    name: str
    tests: tuple[str, ...]
    place: int
    make: Callable[[int], Scene]
    observe: Callable[..., pd.DataFrame]
    """Called with a model, a scene, the methods, and by name with the scene's ``number``."""
    judge: Callable[[Tables], pd.DataFrame]
    count: Callable[[Plan], int]
    models: Callable[[str], bool] = lambda model: model not in _OTHERS
    chunk: int = 10
    methods: Callable[[Plan], tuple[str, ...]] = lambda plan: plan.fast
    needs: str | None = None
    """A method without which there is nothing to do."""

    def first_seed(self, plan: Plan) -> int:
        """Of its scenes."""
        return FIRST_SEED + plan.seed * 1_000_000 + self.place * _APART


def _each(judge: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Tables], pd.DataFrame]:
    """A judgement of one model's table, for every model."""

    def judged(tables: Tables) -> pd.DataFrame:
        return pd.concat([judge(seen).assign(model=model) for model, seen in tables.items()], ignore_index=True)

    return judged


def _named(seen: pd.DataFrame) -> pd.DataFrame:
    """All that can be said where only words that name an object were explained."""
    found = (judge(seen) for judge in (localisation.localisation, localisation.agreement, words.subwords))
    return pd.concat(found, ignore_index=True)


def _scenes(seen: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([_named(seen), words.filler(seen)], ignore_index=True)


def _slowly(part: Part) -> Iterator[Part]:
    """The part for each slow method, on the first of its scenes; DEX-AR stands beside it, for the difference."""
    for method in SLOW:
        yield replace(
            part,
            name=f"{part.name}, {method}",
            judge=partial(_of_one, part.judge, method),
            count=partial(_fewer, part.count),
            chunk=max(1, part.chunk // 5),
            methods=partial(_beside_dexar, method),
            needs=method,
        )


def _of_one(judge: Callable[[Tables], pd.DataFrame], method: str, tables: Tables) -> pd.DataFrame:
    found = judge(tables)
    return found[found["method"] == method]


def _fewer(count: Callable[[Plan], int], plan: Plan) -> int:
    return count(replace(plan, scenes=plan.slow_scenes))


def _beside_dexar(method: str, _plan: Plan) -> tuple[str, ...]:
    return method, "dexar"


def _some(*names: str) -> Callable[[Plan], tuple[str, ...]]:
    """Those of the plan's methods."""
    return lambda plan: tuple(name for name in plan.methods if name in names)


def _all(plan: Plan) -> tuple[str, ...]:
    return plan.methods


def _part_of(*share: int) -> Callable[[Plan], int]:
    """That part of the plan's scenes, at least one."""
    return lambda plan: max(1, plan.scenes * share[0] // share[1])


def _beside_clean(part: str) -> Callable[[str], bool]:
    return lambda model: model in (CLEAN, PLANTED[part])


def _two(seed: int) -> Scene:
    return scene(seed, objects=2, prompt="Describe the image.")


_ALONE = (
    Part(
        "closed form", ("T6", "T7", "T8"), 1, closed.coloured, closed.observe_closed, _each(closed.closed),
        lambda plan: min(12, plan.scenes), lambda model: model == "lab/analytic", methods=_all,
    ),
    Part(
        "numerics", ("T15",), 2, lambda seed: scene(seed, objects=1), numerics.observe_numerics,
        _each(numerics.numerics), lambda plan: min(3, plan.scenes), chunk=1, methods=_all,
    ),
    Part("scenes", ("T1", "T2", "T3", "T4"), 0, scene, observe, _each(_scenes), _part_of(1, 1), chunk=25),
    *_slowly(Part("named words", ("T1", "T2", "T4"), 0, scene, partial(observe, named_only=True), _each(_named),
                  _part_of(1, 1), chunk=25)),
    *_slowly(Part("every word", ("T3",), 0, scene, observe, _each(words.filler), _part_of(1, 5))),
    Part(
        "head filter", ("filters",), 10, filters.of_many_sizes, filters.observe_filters, _each(filters.filters),
        _part_of(1, 1), chunk=50,
    ),
    Part("reasons", ("reasons",), 11, scene, filters.observe_reasons, _each(filters.reasons), _part_of(1, 5), chunk=25),
    Part(
        "hard scenes", ("complex",), 12, complexity.hard_scene, complexity.observe_complexity,
        _each(complexity.complexity), _part_of(3, 5), chunk=25, methods=_some("dexar", "dexar_use", "tam", "random"),
    ),
    Part(
        "failure cases", ("failures",), 13, tales.tale, tales.observe_tales, _each(tales.tales),
        lambda plan: 7 * max(1, plan.scenes // 20), chunk=35,
    ),
    Part("fills", ("T13",), 14, scene, fills.observe_fills, _each(fills.fills), _part_of(1, 5), chunk=25),
)  # fmt: skip
"""What is asked of DEX-AR, of few methods, or of slow ones in a way of their own."""
_SHARED = (
    Part(
        "repeats", ("T5",), 3, repeats.scene_with_repeat, repeats.observe_repeats, _each(repeats.repeats),
        _part_of(2, 5), chunk=25,
    ),
    Part(
        "sinks", ("T6",), 4, scene, closed.observe_sinks, _each(closed.sinks), _part_of(1, 5),
        lambda model: model not in _OTHERS or model == "lab/registers", chunk=25,
    ),
    Part(
        "water", ("T9",), 5, planted.faint_boat, planted.observe_water, verdicts.water, _part_of(2, 5),
        _beside_clean("water"), chunk=25,
    ),
    Part(
        "trigger", ("T10",), 6, planted.patched, planted.observe_trigger, verdicts.trigger, _part_of(2, 5),
        _beside_clean("trigger"), chunk=25,
    ),
    Part(
        "decoy", ("decoy",), 7, planted.swatched, planted.observe_decoy, verdicts.decoy, _part_of(2, 5),
        _beside_clean("decoy"), chunk=25,
    ),
    Part(
        "permuted", ("T11",), 8, _two, planted.observe_permuted, verdicts.permuted, _part_of(2, 5),
        _beside_clean("permuted"), chunk=25,
    ),
    Part("cascade", ("T11",), 9, _two, cascade.observe_cascade, _each(cascade.cascade), _part_of(1, 10), chunk=5),
)  # fmt: skip
"""What is asked of every method alike."""
PARTS: tuple[Part, ...] = (*_ALONE, *_SHARED, *(slow for part in _SHARED for slow in _slowly(part)))
TESTS = tuple(dict.fromkeys(test for part in PARTS for test in part.tests))


def offered(there: Sequence[str]) -> tuple[str, ...]:
    """Of the models there are, those that some part is about: families first."""
    order = (*FAMILIES, *(name for name in there if name not in FAMILIES))
    return tuple(name for name in order if name in there and any(part.models(name) for part in PARTS))
