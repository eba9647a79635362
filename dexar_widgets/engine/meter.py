"""What work on a model costs: seconds, memory at its peak, passes through the model."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from dexar_widgets.vlm import VLM

__all__ = ["Meter", "count", "metered", "now"]

_PROCESS = Path("/proc/self")


@dataclass
class Meter:
    """``peak_bytes`` is over what was in use before: exact on CUDA, resident memory on Linux, None elsewhere."""

    seconds: float = 0.0
    peak_bytes: int | None = None
    forwards: int = 0
    backwards: int = 0


_open: ContextVar[tuple[Meter, ...]] = ContextVar("meters", default=())


def count(*, forwards: int = 0, backwards: int = 0) -> None:
    """Add passes to every meter that is running; each image of a batch is one."""
    for meter in _open.get():
        meter.forwards += forwards
        meter.backwards += backwards


def now(vlm: "VLM") -> float:
    """A clock that waits for the accelerator."""
    if torch.device(vlm.device).type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


@contextmanager
def metered(vlm: "VLM") -> Iterator[Meter]:
    """Measure what happens inside; meters may lie within one another, but the innermost alone has the true peak."""
    meter = Meter()
    cuda = torch.device(vlm.device).type == "cuda"
    before = torch.cuda.memory_allocated() if cuda else _resident("VmRSS")
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    elif not _forget_peak():
        before = None
    token = _open.set((*_open.get(), meter))
    started = now(vlm)
    try:
        yield meter
    finally:
        meter.seconds = now(vlm) - started
        _open.reset(token)
        peak = torch.cuda.max_memory_allocated() if cuda else _resident("VmHWM")
        meter.peak_bytes = None if before is None or peak is None else max(0, peak - before)


def _forget_peak() -> bool:
    """Begin the process's peak of resident memory anew; False where the system cannot."""
    try:
        (_PROCESS / "clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _resident(name: str) -> int | None:
    try:
        lines = (_PROCESS / "status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 2**10 for line in lines if line.startswith(f"{name}:")), None)
