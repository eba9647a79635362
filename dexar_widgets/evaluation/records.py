"""The record of a unit: what was measured, or why nothing was; its parts are named by `store`.

Three statuses tell why there is no result. ``broken``, the sample, and ``failed``, the method on it, are the same
whenever they are tried. ``lost`` is what may be there the next time: memory, a file, the device, the worker itself.
"""

import json
from collections.abc import Mapping
from typing import Any, Literal

from dexar_widgets.evaluation.configuration import Configuration, Variant

__all__ = ["FINAL", "Record", "Status", "lost", "told", "unmeasured"]

Record = dict[str, Any]
Status = Literal["ok", "broken", "failed", "lost"]
FINAL: frozenset[Status] = frozenset({"broken", "failed"})
"""Without a result, and the same at every try."""


def told(
    configuration: Configuration, model: str, sample: str, variant: Variant, *,
    status: Status = "ok", reason: str = "", facts: Mapping[str, str] | None = None,
) -> Record:  # fmt: skip
    """What every record tells: of what it is, and whether there is a result."""
    return {
        "unit": configuration.unit(model, sample, variant.name),
        "model": model,
        "data": configuration.data,
        "sample": sample,
        "variant": variant.name,
        "method": variant.method,
        "options": json.dumps(dict(variant.options), sort_keys=True),
        "status": status,
        "reason": reason,
        "facts": json.dumps(dict(facts or {}), sort_keys=True),
    }


def unmeasured(
    configuration: Configuration, model: str, sample: str, variant: Variant, error: BaseException, status: Status
) -> Record:
    """The record of a unit without a result: ``status``, or "lost" where the machine is to blame."""
    reason = f"{type(error).__name__}: {error}"
    return told(configuration, model, sample, variant, status="lost" if lost(error) else status, reason=reason)


def lost(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, is the machine's: of memory, of its files, of the device."""
    while error is not None:
        # Pillow's errors about a damaged file are of OSError, too, but have no number; a CUDA error is a RuntimeError
        numbered = isinstance(error, OSError) and error.errno is not None
        if numbered or isinstance(error, MemoryError | FileNotFoundError) or "CUDA error" in str(error):
            return True
        error = error.__cause__
    return False
