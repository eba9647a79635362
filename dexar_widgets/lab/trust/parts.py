"""The parts of a report: which scenes they show to which models, what they observe, and how that becomes results."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd

from dexar_widgets.lab.scenes import Scene, scene
from dexar_widgets.lab.trust import (
    cascade,
    closed,
    complexity,
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

if TYPE_CHECKING:
    from dexar_widgets.vlm import VLM

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
    observe: "Callable[[VLM, Scene, Plan, int], pd.DataFrame]"
    judge: Callable[[Tables], pd.DataFrame]
    count: Callable[[Plan], int]
    models: Callable[[str], bool] = lambda model: model not in _OTHERS
    chunk: int = 10
    needs: str | None = field(default=None)
    """A method without which there is nothing to do."""

    def first_seed(self, plan: Plan) -> int:
        """Of its scenes."""
        return FIRST_SEED + plan.seed * 1_000_000 + self.place * _APART


def _each(judge: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Tables], pd.DataFrame]:
    """A judgement of one model's table, for every model."""

    def judged(tables: Tables) -> pd.DataFrame:
        return pd.concat([judge(seen).assign(model=model) for model, seen in tables.items()], ignore_index=True)

    return judged


def _scenes(seen: pd.DataFrame) -> pd.DataFrame:
    found = (judge(seen) for judge in (localisation.localisation, localisation.agreement, words.filler, words.subwords))
    return pd.concat(found, ignore_index=True)


def _slow(method: str) -> Part:
    """The first of the same scenes, for one slow method; DEX-AR stands beside it, for the difference."""

    def judge(seen: pd.DataFrame) -> pd.DataFrame:
        found = pd.concat([localisation.localisation(seen), localisation.agreement(seen), words.subwords(seen)])
        return found[found["method"] == method]

    def look(vlm: "VLM", shown: Scene, _plan: Plan, number: int) -> pd.DataFrame:
        return observe(vlm, shown, (method, "dexar"), number=number, named_only=True)

    return Part(
        f"scenes, {method}", ("T1", "T2", "T4"), 0, scene, look, _each(judge), lambda plan: plan.slow_scenes,
        chunk=5, needs=method,
    )  # fmt: skip


_Observe = Callable[..., pd.DataFrame]


def _with(look: _Observe, *, some: tuple[str, ...] | None = None) -> "Callable[[VLM, Scene, Plan, int], pd.DataFrame]":
    """``look`` with the plan's fast methods, or those of them that are named."""

    def seen(vlm: "VLM", shown: Scene, plan: Plan, number: int) -> pd.DataFrame:
        methods = [name for name in plan.fast if some is None or name in some]
        return look(vlm, shown, methods, number=number)

    return seen


def _every(look: _Observe) -> "Callable[[VLM, Scene, Plan, int], pd.DataFrame]":
    """``look`` with all of the plan's methods, slow ones too."""
    return lambda vlm, shown, plan, number: look(vlm, shown, list(plan.methods), number=number)


def _part_of(*share: int) -> Callable[[Plan], int]:
    """That part of the plan's scenes, at least one."""
    return lambda plan: max(1, plan.scenes * share[0] // share[1])


def _beside_clean(part: str) -> Callable[[str], bool]:
    return lambda model: model in (CLEAN, PLANTED[part])


def _two(seed: int) -> Scene:
    return scene(seed, objects=2, prompt="Describe the image.")


PARTS: tuple[Part, ...] = (
    Part(
        "closed form", ("T6", "T7", "T8"), 1, closed.coloured, _every(closed.observe_closed), _each(closed.closed),
        lambda plan: min(12, plan.scenes), lambda model: model == "lab/analytic",
    ),
    Part(
        "numerics", ("T15",), 2, lambda seed: scene(seed, objects=1), _every(numerics.observe_numerics),
        _each(numerics.numerics), lambda plan: min(3, plan.scenes), chunk=1,
    ),
    Part(
        "scenes", ("T1", "T2", "T3", "T4"), 0, scene, _with(observe), _each(_scenes), _part_of(1, 1), chunk=25,
    ),
    *(_slow(method) for method in SLOW),
    Part(
        "repeats", ("T5",), 3, repeats.scene_with_repeat, _with(repeats.observe_repeats), _each(repeats.repeats),
        _part_of(2, 5), chunk=25,
    ),
    Part(
        "sinks", ("T6",), 4, scene, _with(closed.observe_sinks), _each(closed.sinks), _part_of(1, 5),
        lambda model: model not in _OTHERS or model == "lab/registers", chunk=25,
    ),
    Part(
        "water", ("T9",), 5, planted.faint_boat, _with(planted.observe_water), verdicts.water, _part_of(2, 5),
        _beside_clean("water"), chunk=25,
    ),
    Part(
        "trigger", ("T10",), 6, planted.patched, _with(planted.observe_trigger), verdicts.trigger, _part_of(2, 5),
        _beside_clean("trigger"), chunk=25,
    ),
    Part(
        "decoy", ("decoy",), 7, planted.swatched, _with(planted.observe_decoy), verdicts.decoy, _part_of(2, 5),
        _beside_clean("decoy"), chunk=25,
    ),
    Part(
        "permuted", ("T11",), 8, _two, _with(planted.observe_permuted), verdicts.permuted, _part_of(2, 5),
        _beside_clean("permuted"), chunk=25,
    ),
    Part(
        "cascade", ("T11",), 9, _two, _with(cascade.observe_cascade), _each(cascade.cascade), _part_of(1, 25),
        chunk=5,
    ),
    Part(
        "head filter", ("filters",), 10, filters.of_many_sizes, _with(filters.observe_filters), _each(filters.filters),
        _part_of(1, 1), chunk=50,
    ),
    Part(
        "reasons", ("reasons",), 11, scene, _with(filters.observe_reasons), _each(filters.reasons), _part_of(1, 5),
        chunk=25,
    ),
    Part(
        "hard scenes", ("complex",), 12, complexity.hard_scene,
        _with(complexity.observe_complexity, some=("dexar", "dexar_use", "tam", "random")),
        _each(complexity.complexity), _part_of(3, 5), chunk=25,
    ),
    Part(
        "failure cases", ("failures",), 13, tales.tale, _with(tales.observe_tales), _each(tales.tales),
        lambda plan: 7 * max(1, plan.scenes // 20), chunk=35,
    ),
)  # fmt: skip
TESTS = tuple(dict.fromkeys(test for part in PARTS for test in part.tests))


def offered(there: Sequence[str]) -> tuple[str, ...]:
    """Of the models there are, those that some part is about: families first."""
    order = (*FAMILIES, *(name for name in there if name not in FAMILIES))
    return tuple(name for name in order if name in there and any(part.models(name) for part in PARTS))
