"""Data sets that are lists of rows: how they are drawn by a seed, listed, and read one by one."""

import hashlib
import json
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar

from dexar_widgets.evaluation.samples import Sample

__all__ = ["Listed", "drawn", "lot", "picked", "settings_of"]

Row = TypeVar("Row")
Item = TypeVar("Item")


@dataclass(eq=False)
class Listed(Generic[Row]):
    """A data set of rows. ``read`` makes one's sample, from its id and the row; it must be of a kind that pickles."""

    name: str
    settings: Mapping[str, Any]
    rows: Mapping[str, Row]
    read: Callable[[str, Row], Sample]

    @property
    def ids(self) -> Sequence[str]:
        """In the order of the rows."""
        return tuple(self.rows)

    def load(self, id_: str) -> Sample:
        """Read one sample."""
        if id_ not in self.rows:
            raise ValueError(f"{self.name} has no sample {id_!r}.")
        return self.read(id_, self.rows[id_])


def settings_of(options: Any, listed: object, **more: Any) -> dict[str, Any]:
    """Options as JSON values, with a digest of what is known before any image is opened."""
    told = {**asdict(options), **more, "listed": hashlib.sha256(_json(listed).encode()).hexdigest()[:16]}
    return dict(json.loads(_json(told)))


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def lot(seed: int, text: str) -> bytes:
    """What a text draws under a seed; to be sorted by."""
    return hashlib.sha256(f"{seed} {text}".encode()).digest()


def drawn(
    items: Iterable[Item],
    count: int | None,
    seed: int,
    *,
    key: Callable[[Item], str],
    group: Callable[[Item], Hashable] = lambda _: None,
) -> list[Item]:
    """``count`` items (None: all), in their order, spread over the groups as evenly as these allow.

    Each item's lot is a hash of its key: no library's generator comes in, and a smaller draw is part of a larger one.
    """
    given = list(items)
    if count is None:
        return given
    if count > len(given):
        raise ValueError(f"count={count} asks for more than the {len(given)} samples there are; count=None takes all.")
    order = sorted(range(len(given)), key=lambda place: lot(seed, key(given[place])))
    groups: dict[Hashable, int] = {}
    turns = {}
    for place in order:
        one = group(given[place])
        groups[one] = turns[place] = groups.get(one, -1) + 1
    chosen = sorted(order, key=lambda place: (turns[place], lot(seed, str(group(given[place])))))[:count]
    return [given[place] for place in sorted(chosen)]


def picked(values: Sequence[Item], seed: int, text: str) -> Item:
    """One of the values, by a hash of the text."""
    return values[int.from_bytes(lot(seed, text)) % len(values)]
