"""Carry out a plan, unit by unit. What is done is on disk, whole; a run that was cut short goes on where it stopped."""

import hashlib
import io
import json
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from dexar_widgets.files import write_whole
from dexar_widgets.lab.trust import gates
from dexar_widgets.lab.trust.localisation import adjusted
from dexar_widgets.lab.trust.parts import PARTS, Part, Plan
from dexar_widgets.threads import threads_of_children

if TYPE_CHECKING:
    from dexar_widgets.vlm import VLM

__all__ = ["Unit", "done", "errors", "judge", "observed", "run", "seconds", "units"]

_MADE_BY = ("dexar-widgets", "transformers")
"""What the numbers depend on: a folder holds results of one version."""
_DIGITS_BY = ("numpy", "torch")
"""What their last digits depend on, as on the device: told with each unit, so that machines can share the work."""
Tell = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Unit:
    """Some scenes of one part on one model: what is done whole or not at all."""

    part: str
    model: str
    first: int
    count: int

    def path(self, out: Path) -> Path:
        """Its table."""
        model = self.model.replace("/", "-").strip("-")
        return out / "units" / self.part.replace(", ", "-").replace(" ", "-") / f"{model}-{self.first:05d}.csv"

    def __str__(self) -> str:
        return f"{self.part} on {self.model}, scenes {self.first + 1} to {self.first + self.count}"


def units(plan: Plan) -> list[Unit]:
    """All units of a plan, model by model, so that each is loaded once."""
    found = []
    for model in plan.models:
        for part in _parts(plan):
            if part.models(model):
                count = part.count(plan)
                found += [
                    Unit(part.name, model, first, min(part.chunk, count - first))
                    for first in range(0, count, part.chunk)
                ]
    return found


def _parts(plan: Plan) -> list[Part]:
    wanted = [part for part in PARTS if set(part.tests) & set(plan.tests)]
    return [part for part in wanted if part.needs is None or part.needs in plan.methods]


def run(
    plan: Plan,
    out: Path,
    *,
    jobs: int = 1,
    device: str = "cpu",
    only: Literal["fast", "slow"] | None = None,
    tell: Tell = lambda _done, _all, _text: None,
) -> None:
    """Do every unit that is not done yet; a unit that fails leaves its reason, and the others go on.

    Parameters
    ----------
    out
        The folder of the results. One that holds results of another plan is refused.
    jobs
        Worker processes, each with one thread of arithmetic; 0 works in this process.
    device
        Where the models compute. The units of one folder may be shared between machines: copy their ``units`` together.
    only
        Leave the parts of slow methods, or all others, for another run.
    tell
        Told of units done, of how many, and of which came last.
    """
    out.mkdir(parents=True, exist_ok=True)
    _same_plan(plan, out)
    every = [unit for unit in units(plan) if only is None or (_part(unit.part).needs is not None) == (only == "slow")]
    open_ = [unit for unit in every if not done(unit, out)]
    ready = len(every) - len(open_)
    tell(ready, len(every), "begins")
    for number, text in enumerate(_work(plan, out, open_, jobs, device), ready + 1):
        tell(number, len(every), text)


def _work(plan: Plan, out: Path, open_: Sequence[Unit], jobs: int, device: str) -> Iterator[str]:
    if jobs == 0:
        for unit in open_:
            yield _do(unit, plan, out, device)
        return
    # one thread each: the embedded models are too small to share, and waiting costs more
    with threads_of_children(1), ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(_do, unit, plan, out, device) for unit in open_]
        try:
            for future in as_completed(waiting):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _do(unit: Unit, plan: Plan, out: Path, device: str) -> str:
    """Observe a unit's scenes and write their table, or why there is none."""
    path, started = unit.path(out), time.perf_counter()
    path.parent.mkdir(parents=True, exist_ok=True)
    reason = path.with_suffix(".error.json")
    try:
        table = _observe(unit, plan, device)
    except Exception as error:  # noqa: BLE001 (one unit must not end the report; its reason stands in it)
        text = f"{type(error).__name__}: {error}"
        write_whole(reason, json.dumps({"unit": asdict(unit), "error": text}, indent=1).encode())
        return f"{unit}: {text}"
    took = {"seconds": time.perf_counter() - started, "rows": len(table), "by": _made_by(device)}
    write_whole(path.with_suffix(".json"), json.dumps(asdict(unit) | took, indent=1).encode())
    write_whole(path, table.to_csv(index=False, lineterminator="\n").encode())
    reason.unlink(missing_ok=True)
    return str(unit)


def _made_by(device: str) -> str:
    """Versions and device, as the report tells them."""
    import torch

    where = torch.cuda.get_device_name(device) if device.startswith("cuda") else f"{device} ({platform.machine()})"
    return f"{', '.join(f'{name} {version(name)}' for name in _DIGITS_BY)} on {where}"


def _observe(unit: Unit, plan: Plan, device: str) -> pd.DataFrame:
    part, vlm = _part(unit.part), _loaded(unit.model, device)
    first, methods = part.first_seed(plan) + unit.first, part.methods(plan)
    return pd.concat(
        [part.observe(vlm, part.make(seed), methods, number=seed) for seed in range(first, first + unit.count)],
        ignore_index=True,
    )


def _part(name: str) -> Part:
    return next(part for part in PARTS if part.name == name)


@lru_cache(maxsize=1)
def _loaded(model: str, device: str) -> "VLM":
    import dexar_widgets as dx

    return dx.load(model, device=device, dtype="float32")  # a GPU would take the files' float16


def done(unit: Unit, out: Path) -> bool:
    """Whether its table is there."""
    return unit.path(out).is_file()


def observed(plan: Plan, out: Path) -> dict[str, dict[str, pd.DataFrame]]:
    """The tables that are there, put together: by part, then by model."""
    found: dict[str, dict[str, list[pd.DataFrame]]] = {}
    for unit in units(plan):
        if done(unit, out):
            table = pd.read_csv(io.BytesIO(unit.path(out).read_bytes()), keep_default_na=True, na_values=[""])
            found.setdefault(unit.part, {}).setdefault(unit.model, []).append(table)
    return {
        part: {model: pd.concat(tables, ignore_index=True) for model, tables in models.items()}
        for part, models in found.items()
    }


def judge(plan: Plan, out: Path) -> pd.DataFrame:
    """Every test's results; a part that cannot be judged, and a unit that failed, is a row with its reason."""
    found, wanted = [], set(plan.tests)
    for name, tables in observed(plan, out).items():
        try:
            found.append(_part(name).judge(tables))
        except Exception as error:  # noqa: BLE001 (as above)
            found.append(_failed(plan, name, "", name, f"{type(error).__name__}: {error}"))
    for unit, text in errors(plan, out):
        found.append(_failed(plan, unit.part, unit.model, str(unit), text))
    found = [table for table in found if len(table)]
    if not found:
        return gates.table([])
    every = pd.concat(found, ignore_index=True)
    return adjusted(every[every["test"].isin(wanted)].reset_index(drop=True))


def _failed(plan: Plan, part: str, model: str, what: str, text: str) -> pd.DataFrame:
    """A row for what went wrong, under the first of the part's tests that was asked for."""
    test = next(test for test in _part(part).tests if test in plan.tests)
    row = gates.result(test, what, float("nan"), model=model, note=text)
    return gates.table([row | {"n": 0, "verdict": "error"}])


def errors(plan: Plan, out: Path) -> list[tuple[Unit, str]]:
    """The units that failed, with their reasons."""
    found = []
    for unit in units(plan):
        reason = unit.path(out).with_suffix(".error.json")
        if reason.is_file() and not done(unit, out):
            found.append((unit, str(json.loads(reason.read_text("utf-8"))["error"])))
    return found


def seconds(plan: Plan, out: Path) -> pd.DataFrame:
    """What the units took, as measured when each was done: seconds by part, model, and versions and device."""
    rows = []
    for unit in units(plan):
        took = unit.path(out).with_suffix(".json")
        if done(unit, out) and took.is_file():
            rows.append(json.loads(took.read_text("utf-8")))
    table = pd.DataFrame(rows, columns=["part", "model", "by", "count", "rows", "seconds"])
    return table.groupby(["part", "model", "by"], sort=False, as_index=False).sum()


def _same_plan(plan: Plan, out: Path) -> None:
    """Refuse a folder made with other settings, gates, versions or weights; models and tests may be added."""
    path = out / "plan.json"
    mine: dict[str, Any] = {
        "methods": list(plan.methods),
        "scenes": plan.scenes,
        "slow_scenes": plan.slow_scenes,
        "seed": plan.seed,
        "gates": gates.fingerprint(),
        "versions": {name: version(name) for name in _MADE_BY},
    }
    weights = dict(_weights(plan.models))
    if path.is_file():
        before = json.loads(path.read_text("utf-8"))
        told = before.pop("weights", {})
        changed = [name for name in mine if before.get(name) != mine[name]]
        changed += [f"weights of {name}" for name in weights if told.get(name, weights[name]) != weights[name]]
        if changed:
            raise ValueError(
                f"{str(out)!r} holds results made with other {', '.join(changed)}; give another --out, or delete it."
            )
        weights = told | weights
    write_whole(path, json.dumps(mine | {"weights": weights}, indent=1).encode())


def _weights(models: Iterable[str]) -> Iterator[tuple[str, str]]:
    """A hash of each embedded model's weight file; other models are told apart by their names alone."""
    from dexar_widgets.lab import CHECKPOINTS

    for model in models:
        file = CHECKPOINTS / model.removeprefix("lab/") / "model.safetensors"
        yield model, hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""
