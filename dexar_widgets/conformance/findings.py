"""One check and what came of it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

__all__ = ["Attempt", "Finding", "attempts", "expect"]

Attempt = tuple[str, Callable[[], str | None]]
"""What should hold, and a function that raises where it does not; what it returns is told beside it."""


@dataclass(frozen=True)
class Finding:
    """What should hold, whether it does, and what there is to say about it."""

    what: str
    ok: bool
    detail: str = ""


def attempts(checks: Iterable[Attempt]) -> Iterator[Finding]:
    """Run checks one after the other; whatever a plug-in raises is its finding."""
    for what, check in checks:
        try:
            yield Finding(what, True, check() or "")  # noqa: FBT003 (a field)
        except Exception as error:  # noqa: BLE001 (a plug-in may raise anything)
            yield Finding(what, False, " ".join(f"{type(error).__name__}: {error}".split()))  # noqa: FBT003


def expect(condition: bool, message: str) -> None:  # noqa: FBT001 (an assertion with words)
    """Raise `ValueError` with the message unless the condition holds."""
    if not condition:
        raise ValueError(message)
