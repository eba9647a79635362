"""Methods at work on one answer: what several can share is made once, and each one's maps come with their cost."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from dexar_widgets import engine, jobs, plugins
from dexar_widgets.asking import Asked
from dexar_widgets.attribution import Attribution, Cost
from dexar_widgets.maps import on_grid
from dexar_widgets.methods import Maps, Need, Subject
from dexar_widgets.options import Preset
from dexar_widgets.vlm import VLM

__all__ = ["Ran", "attributed", "every_method", "options_from", "options_of", "options_of_all", "readable", "run"]

_log = logging.getLogger(__name__)

_FIRST = ("dexar", "dexar_use")  # in a comparison these lead, and controls come last


def options_of(method: str, given: Mapping[str, Any]) -> Any:
    """A method's options from their names and values; any other name is an error that lists those there are."""
    return options_from(plugins.get("methods", method), method, given)


def options_from(module: ModuleType, name: str, given: Mapping[str, Any]) -> Any:
    """The same, of a method that need not be installed."""
    known = {item.name: item.default for item in fields(module.Options)}
    unknown = [option for option in given if option not in known]
    if unknown:
        there = ", ".join(f"{option}={default!r}" for option, default in known.items())
        raise ValueError(f"{name} has no option {unknown[0]!r}; it takes {there or 'no options'}.")
    try:
        return module.Options(**{option: _simple(value) for option, value in given.items()})
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def options_of_all(
    names: Sequence[str], given: Mapping[str, Mapping[str, Any]], preset: Preset | None = None
) -> dict[str, Any]:
    """Every method's options; ``preset`` goes to those that have presets, where they were given none."""
    stray = sorted(set(given) - set(names))
    if stray:
        raise ValueError(f"options are given for {stray[0]!r}, which is not compared; compared: {', '.join(names)}.")
    found = {name: options_of(name, given.get(name, {})) for name in names}
    for name, options in found.items():
        if preset is not None and hasattr(options, "preset") and "preset" not in given.get(name, {}):
            found[name] = replace(options, preset=preset)
    return found


def _simple(value: Any) -> Any:
    """Numbers and sequences of numpy, and ranges, as Python's own numbers and lists."""
    if isinstance(value, np.ndarray | np.generic):
        return _simple(value.tolist())
    if isinstance(value, range | list | tuple):
        return [_simple(one) for one in value]
    return value


def every_method() -> tuple[str, ...]:
    """All methods that can be imported: the paper's and its variant, the others, the controls."""
    places = {}
    for name in plugins.names("methods"):
        try:
            places[name] = (plugins.get("methods", name).CONTROL, name not in _FIRST, name)
        except ValueError as error:  # somebody else's, broken
            _log.warning("A method is left out: %s", error)
    return tuple(sorted(places, key=places.__getitem__))


def readable(vlm: VLM, names: Sequence[str]) -> dict[str, str | None]:
    """Per method None, or why it cannot read this model: flash attention shows no attention."""
    reading: frozenset[Need] = frozenset({"attention", "maps"})
    why = 'reads attention, which flash attention does not show; load the model with attn_implementation="sdpa".'
    blind = not engine.shows_attention(vlm)
    return {name: f"{name} {why}" if blind and plugins.get("methods", name).NEEDS & reading else None for name in names}


class Ran(NamedTuple):
    """What came of several methods: their subject, maps, and the errors of those that ran out of memory."""

    subject: Subject
    found: dict[str, Attribution]
    failed: dict[str, MemoryError]


def run(
    asked: Asked,
    wanted: Mapping[str, Any],
    needs: frozenset[Need] = frozenset(),
    *,
    methods: Mapping[str, str] | None = None,
) -> Ran:
    """Every method on one subject, one after the other; what several need is made before the first.

    ``wanted`` are options by name: that of a method, or any name of which ``methods`` tells the method.
    """
    modules = {name: plugins.get("methods", (methods or {}).get(name, name)) for name in wanted}
    needs = needs.union(*(module.NEEDS for module in modules.values()))
    softcap = bool(asked.provenance.get("softcap", True))
    subject = Subject(asked.vlm, asked.request, asked.said, asked.steps, needs, softcap)
    shared = _shared(subject)
    ran = Ran(subject, {}, {})
    for number, (name, module) in enumerate(modules.items()):
        jobs.progress(0, 0, f"{module.TITLE} (method {number + 1} of {len(modules)})")
        try:
            ran.found[name] = _one(name, module, wanted[name], subject, asked, shared)
        except MemoryError as error:  # others may need less
            ran.failed[name] = error
    return ran


def attributed(asked: Asked, name: str, module: ModuleType, options: Any) -> Attribution:
    """A method that need not be installed, on one answer."""
    subject = Subject(asked.vlm, asked.request, asked.said, asked.steps, module.NEEDS)
    return _one(name, module, options, subject, asked, _shared(subject))


def _shared(subject: Subject) -> dict[Need, engine.Meter]:
    """Make what several methods take, and tell what it took: the pass or the rows alone, and the tensor with them.

    In a comparison one pass serves all who need some of it, and each is charged for the whole of it.
    """
    vlm, needs = subject.vlm, subject.needs
    with engine.enough_memory(vlm, "The pass that methods share", "explain fewer steps at once"):
        with engine.metered(vlm) as rows:
            _ = subject.passed if "gradients" in needs else subject.attention if "attention" in needs else None
        with engine.metered(vlm) as tensor:
            _ = subject.chunks() if "gradients" in needs else None
    return {"attention": rows, "gradients": engine.total([rows, tensor])}


def _one(
    name: str,
    module: ModuleType,
    options: Any,
    subject: Subject,
    asked: Asked,
    shared: Mapping[Need, engine.Meter],
) -> Attribution:
    with engine.enough_memory(asked.vlm, module.TITLE, module.SMALLER), engine.metered(asked.vlm) as own:
        maps = module.attribute(subject, options)
    needs: tuple[Need, ...] = ("gradients", "attention")  # the tensor's meter counts the pass
    taken = next((shared[need] for need in needs if need in module.NEEDS), engine.Meter())
    both = engine.total([taken, own])
    answer, shared_seconds, own_seconds = (round(one, 6) for one in (asked.seconds, taken.seconds, own.seconds))
    cost = Cost(answer, shared_seconds, own_seconds, both.peak_bytes, both.forwards, both.backwards)
    return _attribution(name, module, options, maps, asked, cost)


def _attribution(name: str, module: ModuleType, options: Any, maps: Maps, asked: Asked, cost: Cost) -> Attribution:
    layout = asked.request.layout
    visual = int(layout.is_image.sum())
    if maps.values.ndim != 2 or maps.values.shape[1] != visual:
        raise ValueError(
            f"{name} gave values of shape {maps.values.shape}; expected one per visual token: (map, {visual})."
        )
    cells = np.stack([on_grid(np.asarray(one), layout) for one in maps.values])
    return Attribution(
        method=name,
        title=module.TITLE,
        example=asked.example,
        generation=asked.said.generation,
        grid=layout.grids[0],
        steps=asked.steps,
        maps=cells,
        weights=np.ones(len(cells)) if maps.weights is None else np.asarray(maps.weights, float),
        unit=module.UNIT,
        cost=cost,
        minmaxed=maps.minmaxed,
        gated=maps.gated,
        control=module.CONTROL,
        options=_recorded(options),
        notes=dict(maps.notes),
        provenance=asked.provenance,
    )


def _recorded(options: Any) -> dict[str, Any]:
    """Options as JSON has them; a slice by its name, for a list of three would be three layers."""
    return {
        name: {"slice": [value.start, value.stop, value.step]} if isinstance(value, slice) else value
        for name, value in vars(options).items()
    }
