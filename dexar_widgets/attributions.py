"""Methods at work on one answer: what several can share is made once, and each one's maps come with their cost."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from types import ModuleType
from typing import Any

import numpy as np
import torch

from dexar_widgets import engine, jobs, plugins
from dexar_widgets.asking import Asked
from dexar_widgets.attribution import Attribution, Cost
from dexar_widgets.maps import on_grid
from dexar_widgets.methods import Maps, Need, Subject

__all__ = ["attributed", "every_method", "options_of", "run"]

_FIRST = ("dexar", "dexar_use")  # in a comparison these lead, and controls come last


def options_of(method: str, given: Mapping[str, Any]) -> Any:
    """A method's options from their names and values; any other name is an error that lists those there are."""
    kind = plugins.get("methods", method).Options
    known = {item.name: item.default for item in fields(kind)}
    unknown = [name for name in given if name not in known]
    if unknown:
        there = ", ".join(f"{name}={default!r}" for name, default in known.items())
        raise ValueError(f"{method} has no option {unknown[0]!r}; it takes {there or 'no options'}.")
    try:
        return kind(**given)
    except ValueError as error:
        raise ValueError(f"{method}: {error}") from error


def every_method() -> tuple[str, ...]:
    """All methods there are: the paper's and its variant, the others, the controls."""

    def place(name: str) -> tuple[bool, bool, str]:
        return plugins.get("methods", name).CONTROL, name not in _FIRST, name

    return tuple(sorted(plugins.names("methods"), key=place))


def run(
    asked: Asked, wanted: Mapping[str, Any], needs: frozenset[Need] = frozenset()
) -> tuple[Subject, dict[str, Attribution]]:
    """Every method on one subject; what several need is made before the first."""
    modules = {name: plugins.get("methods", name) for name in wanted}
    needs = needs.union(*(module.NEEDS for module in modules.values()))
    subject = Subject(asked.vlm, asked.request, asked.said, asked.steps, needs)
    with _enough_memory("The shared pass", "explain fewer steps at once"), engine.metered(asked.vlm) as shared:
        subject.share(needs)
    found = {}
    for number, (name, module) in enumerate(modules.items()):
        jobs.progress(0, 0, f"{module.TITLE} (method {number + 1} of {len(modules)})")
        found[name] = _one(name, module, wanted[name], subject, asked, shared)
    return subject, found


def attributed(asked: Asked, name: str, module: ModuleType, options: Any) -> Attribution:
    """A module that is no installed plug-in, on one answer."""
    subject = Subject(asked.vlm, asked.request, asked.said, asked.steps, module.NEEDS)
    return _one(name, module, options, subject, asked, engine.Meter())


def _one(
    name: str, module: ModuleType, options: Any, subject: Subject, asked: Asked, shared: engine.Meter
) -> Attribution:
    with _enough_memory(module.TITLE, module.SMALLER), engine.metered(asked.vlm) as own:
        maps = module.attribute(subject, options)
    cost = _cost(asked, shared if module.NEEDS else engine.Meter(), own)
    return _attribution(name, module, options, maps, asked, cost)


def _cost(asked: Asked, shared: engine.Meter, own: engine.Meter) -> Cost:
    peaks = [meter.peak_bytes for meter in (shared, own) if meter.peak_bytes is not None]
    return Cost(
        round(asked.seconds, 6),
        round(shared.seconds, 6),
        round(own.seconds, 6),
        max(peaks, default=None),
        shared.forwards + own.forwards,
        shared.backwards + own.backwards,
    )


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
        options=_plain(options),
        notes=dict(maps.notes),
        provenance=asked.provenance,
    )


def _plain(options: Any) -> dict[str, Any]:
    """Options as JSON has them."""
    return {
        name: [value.start, value.stop, value.step] if isinstance(value, slice) else value
        for name, value in asdict(options).items()
    }


@contextlib.contextmanager
def _enough_memory(what: str, smaller: str) -> Iterator[None]:
    """Say what to lower where memory runs out; on the CPU torch raises a `RuntimeError`."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError, RuntimeError) as error:
        if type(error) is RuntimeError and "allocate memory" not in str(error):
            raise
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        raise MemoryError(f"{what} ran out of memory: {smaller}, or load the model with dtype='bfloat16'.") from error
