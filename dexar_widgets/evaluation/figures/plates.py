"""What a figure is made of: plates of pictures in rows and columns, each with what was measured on it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import UInt8

__all__ = ["Figure", "Mark", "Picture", "Pixels", "Plate", "Row"]

Pixels = UInt8[np.ndarray, "height width 3"]
Mark = Literal["named", "suspect", "ring", "map", "signed"]
"""What a legend explains: both outlines, circles, and the colours of a map, and of one with negative values."""


@dataclass(frozen=True, eq=False)
class Picture:
    """An image or a map over it; ``lines`` stand under it, ``numbers`` are all that was measured on it, by name."""

    pixels: Pixels
    lines: Sequence[str] = ()
    numbers: Mapping[str, float | str] = field(default_factory=dict)
    marks: frozenset[Mark] = frozenset()


@dataclass(frozen=True, eq=False)
class Row:
    """Pictures side by side, in the plate's columns (None: there is none), and a sentence on what is to be seen."""

    title: str
    pictures: Sequence[Picture | None]
    says: str = ""


@dataclass(frozen=True, eq=False)
class Plate:
    """A table of pictures; ``notes`` say how its cases were chosen.

    ``apart``: each row is a case of its own, and on the page its sentence stands right above it.
    """

    title: str
    heads: Sequence[str]
    rows: Sequence[Row]
    notes: Sequence[str] = ()
    apart: bool = False

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row.pictures) != len(self.heads):
                raise ValueError(f"{row.title!r} has {len(row.pictures)} pictures for {len(self.heads)} columns.")


@dataclass(frozen=True, eq=False)
class Figure:
    """A figure of the paper, made again. ``lost`` says of each sample that could not be shown why."""

    name: str
    title: str
    notes: Sequence[str]
    plates: Sequence[Plate]
    lost: Sequence[str] = ()

    @property
    def pictures(self) -> Iterator[Picture]:
        """Every picture of every plate."""
        return (one for plate in self.plates for row in plate.rows for one in row.pictures if one is not None)

    @property
    def marks(self) -> frozenset[Mark]:
        """What a legend has to explain."""
        return frozenset().union(*(picture.marks for picture in self.pictures))
