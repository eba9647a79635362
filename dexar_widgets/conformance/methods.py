"""What a method must keep to: the same on every family's tiny model."""

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from types import ModuleType
from typing import Any, get_args

import numpy as np
import torch

from dexar_widgets import attributions, engine, plugins, verbs, vlm
from dexar_widgets.asking import Asked, ask
from dexar_widgets.attribution import Attribution
from dexar_widgets.conformance.findings import Attempt, expect
from dexar_widgets.conformance.state import state_of
from dexar_widgets.methods import Need

__all__ = ["checks"]

_IMAGE = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
_TOKENS = 5
Run = Callable[[Asked], Attribution]


def checks(module: ModuleType, options: Mapping[str, Any]) -> Iterator[Attempt]:
    """Its facts, its options, then each family in turn; wrong ``options`` are an error of the caller."""
    if dataclasses.is_dataclass(module.Options):
        attributions.options_from(module, module.__name__.rpartition(".")[2], options)
    yield "says what it is: TITLE, UNIT, CONTROL, NEEDS, SMALLER", partial(_facts, module)
    yield "names its source in its docstring", partial(_source, module)
    yield "Options is a frozen dataclass with a default for each", partial(_options, module)
    for name in plugins.names("families"):
        for what, check in _ON_A_MODEL.items():
            yield f"{name}: {what}", partial(_on_family, check, partial(_run, module, options), name)


def _on_family(check: Callable[[Run, Asked], str | None], run: Run, family: str) -> str | None:
    """A family that cannot make its tiny model is a finding, like whatever else goes wrong."""
    return check(run, _asked(family))


def _facts(module: ModuleType) -> str:
    for name in ("TITLE", "UNIT", "SMALLER"):
        value = getattr(module, name)
        expect(isinstance(value, str) and value.strip() != "", f"{name} is {value!r}; expected some words.")
    expect(isinstance(module.CONTROL, bool), f"CONTROL is {module.CONTROL!r}; expected True or False.")
    stray = set(module.NEEDS) - set(get_args(Need))
    expect(not stray, f"NEEDS holds {sorted(stray)}; it may hold {', '.join(get_args(Need))}.")
    return f"{module.TITLE}: {module.UNIT}"


def _source(module: ModuleType) -> None:
    doc = module.__doc__ or ""
    expect(
        "Source:" in doc or module.CONTROL, "There is no 'Source:' in the docstring: the paper, the equation, or none."
    )


def _options(module: ModuleType) -> str:
    kind = module.Options
    expect(dataclasses.is_dataclass(kind), "Options is no dataclass.")
    expect(kind.__dataclass_params__.frozen, "Options can be changed; write @dataclass(frozen=True, kw_only=True).")
    taken = {item.name for item in dataclasses.fields(kind)} & set(inspect.signature(verbs.attribute).parameters)
    expect(not taken, f"Options has {', '.join(sorted(taken))}, which dx.attribute itself takes; name it otherwise.")
    given = vars(kind())
    return ", ".join(f"{name}={value!r}" for name, value in given.items()) or "none"


@cache
def _asked(family: str) -> Asked:
    """A tiny model's answer; kept, for most checks ask the same."""
    return _asked_anew(plugins.get("families", family))


def _asked_anew(family: ModuleType) -> Asked:
    handle = vlm.load(family.tiny())
    return ask(
        handle,
        _IMAGE,
        None,
        answer=None,
        steps=None,
        on_word=None,
        decoding=engine.Decoding(max_new_tokens=_TOKENS + 2 * handle.anatomy.cross_attention),
    )


def _run(module: ModuleType, options: Mapping[str, Any], asked: Asked) -> Attribution:
    name = module.__name__.rpartition(".")[2]
    return attributions.attributed(asked, name, module, attributions.options_from(module, name, options))


def _maps(run: Run, asked: Asked) -> str:
    found = run(asked)
    expect(bool(found.maps.any()), "Every map is zero.")
    cost = found.cost
    return f"{len(found.maps)} maps of {found.grid.rows}×{found.grid.cols}, {cost.forwards} + {cost.backwards} passes"


def _same_again(run: Run, asked: Asked) -> None:
    one, other = run(asked), run(asked)
    expect(np.array_equal(one.maps, other.maps), "Two runs differ; draw from a seed that is an option.")


def _steps_alone(run: Run, asked: Asked) -> str | None:
    every = run(asked)
    if every.whole:
        return "one map for the whole answer"
    some = run(dataclasses.replace(asked, steps=asked.steps[1:3]))
    apart = float(np.abs(some.maps - every.maps[1:3]).max())
    expect(
        apart <= 1e-4 * max(float(np.abs(every.maps).max()), 1e-12),
        f"Steps 1 and 2 asked for alone differ by {apart:.2g} from what they are among all.",
    )
    return None


def _left_as_found(run: Run, asked: Asked) -> None:
    with _unchanged(asked) as fresh:
        run(fresh)


def _left_after_failure(run: Run, asked: Asked) -> str | None:
    def fail(*_args: Any, **_options: Any) -> None:
        raise RuntimeError("made to fail")

    with _unchanged(asked) as fresh:
        last: Any = fresh.vlm.anatomy.projections[-1]
        last.forward = fail
        try:
            run(fresh)
        except RuntimeError as error:
            expect("made to fail" in str(error), f"Another error came of it: {error}")
        else:
            return "it does not run the last block"
        finally:
            del last.forward
    return None


@contextmanager
def _unchanged(asked: Asked) -> Iterator[Asked]:
    """The same answer of a new model, which must be afterwards as it was, as must torch's random state."""
    fresh = _asked_anew(asked.vlm.family)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(20)  # no method's own seed
        before = state_of(fresh.vlm.model)
        yield fresh
        after = state_of(fresh.vlm.model)
    changed = [what for what, state in after.items() if state != before[what]]
    expect(not changed, f"The {', '.join(changed)} changed.")


def _in_inference_mode(run: Run, asked: Asked) -> None:
    expected = run(asked).maps
    with torch.inference_mode():
        found = run(asked).maps
    expect(np.array_equal(found, expected), "The maps differ inside torch.inference_mode().")


_ON_A_MODEL: dict[str, Callable[[Run, Asked], str | None]] = {
    "gives finite raw maps on the grid": _maps,
    "gives the same twice": _same_again,
    "gives some steps what they have among all": _steps_alone,
    "leaves the model as it was": _left_as_found,
    "leaves the model as it was when it fails": _left_after_failure,
    "works in a caller's inference mode": _in_inference_mode,
}
