"""Memory that runs out: an error that says what to lower, and nothing kept of what was tried."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from dexar_widgets.vlm import VLM

__all__ = ["enough_memory"]

_SAID = ("allocate memory", "out of memory", "not enough memory", "alloc_failed")
"""How torch's backends say it in a plain `RuntimeError`: CPU, MPS, Windows, cuBLAS and cuDNN."""


@contextmanager
def enough_memory(vlm: "VLM", what: str, smaller: str) -> Iterator[None]:
    """Raise `MemoryError` with what to lower where memory runs out inside; any other error stays what it is."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        known = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if not known and not any(words in str(error).lower() for words in _SAID):
            raise
        traceback.clear_frames(error.__traceback__)  # else the notebook's last error would keep the tensors
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        halve = ", or load the model with dtype='bfloat16'" if vlm.model.dtype == torch.float32 else ""
        raised = MemoryError(f"{what} ran out of memory: {smaller}{halve}.")
        raised.add_note(str(error))
        raise raised from None
