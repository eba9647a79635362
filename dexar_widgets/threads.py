"""How many threads of arithmetic the processes begin with that this one starts."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["threads_of_children"]


@contextmanager
def threads_of_children(count: int) -> Iterator[None]:
    """As long as the block lasts; this process keeps its own."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = str(count)
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before
