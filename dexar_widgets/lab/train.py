"""``python -m dexar_widgets.lab.train llava``: train an embedded model from nothing; stop and go on at any moment.

Batches and learning rates are functions of (recipe, step), so an interrupted run ends with the same
weights as an uninterrupted one on the same machine.
"""

import argparse
import copy
import json
import logging
import multiprocessing
import os
import platform
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from dexar_widgets.lab.attention import batched_attention
from dexar_widgets.lab.batches import Batch, draw_ahead, validation_batch
from dexar_widgets.lab.learner import Learner, Report
from dexar_widgets.lab.recipes import RECIPES, Recipe

__all__ = ["export", "train"]

_LOG = logging.getLogger(__name__)
_CHECKPOINT = "state.pt"
_SECONDS_BETWEEN_CHECKPOINTS = 60.0
_STEPS_BETWEEN_LINES = 200
_STEPS_BETWEEN_VALIDATIONS = 1000
_VALIDATION_SCENES = 64


def train(
    name: str,
    out: Path,
    *,
    recipe: Recipe | None = None,
    until: int | None = None,
    device: str = "cpu",
    workers: int = 1,
) -> Learner:
    """Train ``name`` in folder ``out``, from its last checkpoint if there is one, to step ``until`` or the end.

    ``workers`` processes draw the batches; how many changes nothing but the speed.
    """
    recipe = recipe or RECIPES[name]
    out.mkdir(parents=True, exist_ok=True)
    learner = Learner(recipe, device=device)
    first, seconds = _resume(learner, out)
    last = recipe.steps if until is None else min(until, recipe.steps)
    learner.model.train()
    steps = range(first, last)
    with batched_attention(learner.model), _stop_signal() as stopped, _batches(learner, steps, workers) as batches:
        started, saved, reports = time.monotonic(), time.monotonic(), []
        for step, batch in enumerate(batches, first):
            reports.append(learner.step(step, batch))
            done = step + 1
            wall = seconds + time.monotonic() - started
            if done % _STEPS_BETWEEN_LINES == 0:
                _log_progress(done, wall, reports)
                reports.clear()
            if done % _STEPS_BETWEEN_VALIDATIONS == 0 and done > recipe.warm_up_steps:
                _log_validation(learner, done, wall)
            if stopped or time.monotonic() - saved > _SECONDS_BETWEEN_CHECKPOINTS or done == last:
                _save(learner, out, done, wall)
                saved = time.monotonic()
            if stopped:
                _LOG.info("stopped at step %d; the same command goes on from here", done)
                break
    return learner


def export(learner: Learner, folder: Path, *, details: dict[str, Any]) -> None:
    """Write the model (float16), its processor and how it was trained, as `load` reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    copy.deepcopy(learner.model).half().save_pretrained(folder)
    learner.processor.save_pretrained(folder)
    (folder / "training.json").write_text(json.dumps(details, indent=1) + "\n", "utf-8")


def _resume(learner: Learner, out: Path) -> tuple[int, float]:
    path = out / _CHECKPOINT
    if not path.exists():
        return 0, 0.0
    state = torch.load(path, weights_only=True, map_location="cpu")
    if state["recipe"] != repr(learner.recipe):
        raise ValueError(f"{path} belongs to another recipe; give another --out, or the same --steps as before.")
    learner.restore(state)
    _LOG.info("going on from step %d", state["step"])
    return state["step"], state["seconds"]


def _save(learner: Learner, out: Path, step: int, seconds: float) -> None:
    partial = out / (_CHECKPOINT + ".partial")
    torch.save({**learner.state(), "step": step, "seconds": seconds, "recipe": repr(learner.recipe)}, partial)
    os.replace(partial, out / _CHECKPOINT)


@contextmanager
def _stop_signal() -> Iterator[list[int]]:
    """A list that is no longer empty once the process was asked to stop."""
    received: list[int] = []
    kinds = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(kind, lambda number, _frame: received.append(number)) for kind in kinds]
    try:
        yield received
    finally:
        for kind, handler in zip(kinds, before, strict=True):
            signal.signal(kind, handler)


@contextmanager
def _batches(learner: Learner, steps: range, workers: int) -> Iterator[Iterator[Batch]]:
    """The batches of some steps, drawn ahead by other processes, each every so manieth."""
    context = multiprocessing.get_context("spawn")
    queues: list[Any] = [context.Queue(maxsize=8) for _ in range(workers)]
    given = (learner.packer.tokenizer, learner.recipe)
    processes = [
        context.Process(target=draw_ahead, args=(queue, *given, steps[place::workers]), daemon=True)
        for place, queue in enumerate(queues)
    ]
    for process in processes:
        process.start()
    try:
        yield (queues[place % workers].get(timeout=120) for place in range(len(steps)))
    finally:
        for process in processes:
            process.terminate()
            process.join()


def _log_progress(step: int, seconds: float, reports: list[Report]) -> None:
    means = [sum(column) / len(reports) for column in zip(*reports, strict=True)]
    line = " ".join(f"{name} {value:.4f}" for name, value in zip(Report._fields, means, strict=True))
    _LOG.info("step %d minutes %.1f %s", step, seconds / 60, line)


def _log_validation(learner: Learner, step: int, seconds: float) -> None:
    learner.model.eval()
    totals: dict[str, tuple[int, int]] = {}
    for objects in (1, 2, 3, 4):
        batch = validation_batch(learner.packer, first=0, count=_VALIDATION_SCENES, objects=objects)
        for kind, (right, asked) in learner.exact(batch).items():
            key = f"caption{objects}" if kind == "caption" else kind
            before = totals.get(key, (0, 0))
            totals[key] = (before[0] + right, before[1] + asked)
    learner.model.train()
    line = " ".join(f"{kind} {right / asked:.2f}" for kind, (right, asked) in totals.items())
    _LOG.info("validation step %d minutes %.1f %s", step, seconds / 60, line)


def _details(name: str, learner: Learner, out: Path, threads: int) -> dict[str, Any]:
    state = torch.load(out / _CHECKPOINT, weights_only=True, map_location="cpu")
    return {
        "model": name,
        "parameters": learner.model.num_parameters(),
        "recipe": asdict(learner.recipe),
        "steps": state["step"],
        "minutes": round(state["seconds"] / 60, 1),
        "threads": threads,
        "machine": platform.machine(),
        "device": torch.cuda.get_device_name() if learner.device.type == "cuda" else "CPU",
        "torch": torch.__version__,
    }


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m dexar_widgets.lab.train", description=__doc__)
    parser.add_argument("model", choices=sorted(RECIPES))
    parser.add_argument("--out", type=Path, help="folder of the run (default: lab-runs/MODEL)")
    parser.add_argument("--steps", type=int, help="length of the schedule (default: the shipped model's)")
    parser.add_argument("--threads", type=int, default=1, help="threads of the arithmetic (default: 1)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    parser.add_argument("--workers", type=int, default=1, help="processes that draw scenes (default: 1)")
    parser.add_argument(
        "--export-only", action="store_true", help="only write the last checkpoint's model to OUT/export"
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    torch.set_num_threads(options.threads)
    recipe = RECIPES[options.model]
    recipe = replace(recipe, steps=options.steps) if options.steps else recipe
    out = options.out or Path("lab-runs") / options.model
    if options.export_only:
        learner = Learner(recipe)
        _resume(learner, out)
    else:
        learner = train(options.model, out, recipe=recipe, device=options.device, workers=options.workers)
    export(learner, out / "export", details=_details(options.model, learner, out, options.threads))
    return 0


if __name__ == "__main__":
    sys.exit(main())
