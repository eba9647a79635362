"""What work on a model costs: seconds, memory at its peak, passes through the model."""

import ctypes
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from dexar_widgets.vlm import VLM

__all__ = ["Meter", "count", "metered", "now", "total"]

_PROCESS = Path("/proc/self")


@dataclass
class Meter:
    """``peak_bytes`` is over what was in use before: exact on CUDA, resident memory on Linux, None elsewhere."""

    seconds: float = 0.0
    peak_bytes: int | None = None
    forwards: int = 0
    backwards: int = 0


def total(meters: Iterable[Meter]) -> Meter:
    """Work done one after the other."""
    every = list(meters)
    return Meter(
        sum(meter.seconds for meter in every),
        max((meter.peak_bytes for meter in every if meter.peak_bytes is not None), default=None),
        sum(meter.forwards for meter in every),
        sum(meter.backwards for meter in every),
    )


_open: ContextVar[tuple[Meter, ...]] = ContextVar("meters", default=())


def count(*, forwards: int = 0, backwards: int = 0) -> None:
    """Add passes to every meter that is running; each image of a batch is one."""
    for meter in _open.get():
        meter.forwards += forwards
        meter.backwards += backwards


def now(vlm: "VLM") -> float:
    """A clock that waits for the accelerators."""
    for device in _accelerators(vlm):
        torch.cuda.synchronize(device)
    if vlm.device.type == "mps":
        torch.mps.synchronize()
    return time.perf_counter()


@contextmanager
def metered(vlm: "VLM", *, memory: bool = True) -> Iterator[Meter]:
    """Measure what happens inside.

    ``memory``: also the peak, which begins anew for the whole process, and for CUDA's own statistics; of meters within
    one another the innermost alone has the true one.
    """
    meter = Meter()
    devices = _accelerators(vlm)
    before = _peak_anew(devices) if memory else None
    token = _open.set((*_open.get(), meter))
    started = now(vlm)
    try:
        yield meter
    finally:
        meter.seconds = now(vlm) - started
        _open.reset(token)
        peak = None if before is None else _peak(devices)
        meter.peak_bytes = None if before is None or peak is None else max(0, peak - before)


def _accelerators(vlm: "VLM") -> list[torch.device]:
    """The CUDA devices that hold some of the model."""
    found = {weight.device for weight in vlm.model.parameters() if weight.device.type == "cuda"}
    return sorted(found | {device for device in [vlm.device] if device.type == "cuda"}, key=str)


def _peak_anew(devices: list[torch.device]) -> int | None:
    """What is in use; the peak is forgotten. None where the system cannot tell."""
    if devices:
        for device in devices:
            torch.cuda.reset_peak_memory_stats(device)
        return sum(torch.cuda.memory_allocated(device) for device in devices)
    _give_back()
    try:
        (_PROCESS / "clear_refs").write_text("5", "utf-8")
    except OSError:
        return None
    return _resident("VmRSS")


def _give_back() -> None:
    """Have the C library return what was freed: memory that it keeps for later would hide what is needed anew."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:  # glibc alone has it
        trim(0)


def _peak(devices: list[torch.device]) -> int | None:
    if devices:
        return sum(torch.cuda.max_memory_allocated(device) for device in devices)
    return _resident("VmHWM")


def _resident(name: str) -> int | None:
    try:
        lines = (_PROCESS / "status").read_text("utf-8").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 2**10 for line in lines if line.startswith(f"{name}:")), None)
