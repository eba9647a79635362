"""What a metric must keep to: the oracle's map beats chance, chance its opposite, and nothing fails in silence."""

from collections.abc import Iterator
from functools import partial
from types import ModuleType

import numpy as np
from jaxtyping import Bool, Float

from dexar_widgets.conformance.findings import Attempt, expect
from dexar_widgets.maps import coverage
from dexar_widgets.types import Grid, HeatMap

__all__ = ["checks"]

_GRID = Grid(8, 10, (0.0, 0.0, 100.0, 80.0), (100, 80))


def checks(module: ModuleType) -> Iterator[Attempt]:
    """Its facts, an order that must hold, and the cases in which there is no number."""
    yield "says what it is: TITLE, HIGHER_IS_BETTER", partial(_facts, module)
    yield "ranks the oracle over noise over the inverted oracle, on twenty masks", partial(_order, module)
    yield "gives the same twice", partial(_same, module)
    for name in ("constant", "zero", "NaN", "empty mask", "full mask"):
        yield f"{name}: a status and no number", partial(_degenerate, module, name)


def _facts(module: ModuleType) -> str:
    expect(isinstance(module.TITLE, str) and module.TITLE.strip() != "", f"TITLE is {module.TITLE!r}.")
    expect(isinstance(module.HIGHER_IS_BETTER, bool), f"HIGHER_IS_BETTER is {module.HIGHER_IS_BETTER!r}.")
    return f"{module.TITLE}, {'higher' if module.HIGHER_IS_BETTER else 'lower'} is better"


def _mask(seed: int) -> Bool[np.ndarray, "height width"]:
    random = np.random.default_rng(seed)
    mask = np.zeros((80, 100), bool)
    top, left = random.integers(0, 50), random.integers(0, 70)
    mask[top : top + random.integers(10, 30), left : left + random.integers(10, 30)] = True
    return mask


def _heat(values: Float[np.ndarray, "row col"]) -> HeatMap:
    return HeatMap(values.astype(np.float32), _GRID, "made", (0,))


def _order(module: ModuleType) -> str:
    sign = 1 if module.HIGHER_IS_BETTER else -1
    scores = []
    for seed in range(20):
        mask = _mask(seed)
        oracle = coverage(mask, _GRID)
        noise = np.random.default_rng(seed).random(oracle.shape)
        row = [sign * module.measure(_heat(values), mask).value for values in (oracle, noise, 1 - oracle)]
        expect(row[0] > row[1] > row[2], f"Mask {seed}: oracle, noise and inverted score {[round(v, 3) for v in row]}.")
        scores.append(row)
    return ", ".join(f"{value * sign:.3f}" for value in np.mean(scores, 0))


def _same(module: ModuleType) -> None:
    heat, mask = _heat(np.random.default_rng(1).random((8, 10))), _mask(1)
    expect(module.measure(heat, mask) == module.measure(heat, mask), "Two runs differ.")


def _degenerate(module: ModuleType, name: str) -> str:
    values, mask = np.random.default_rng(2).random((8, 10)), _mask(2)
    cases = {
        "constant": (np.ones((8, 10)), mask),
        "zero": (np.zeros((8, 10)), mask),
        "NaN": (np.where(values > 0.5, np.nan, values), mask),
        "empty mask": (values, np.zeros_like(mask)),
        "full mask": (values, np.ones_like(mask)),
    }
    score = module.measure(_heat(cases[name][0]), cases[name][1])
    expect(
        score.status != "ok" and not np.isfinite(score.value), f"It gave {score.value} with status {score.status!r}."
    )
    return str(score.status)
