"""What a table of the paper is made of: data sets, rows, columns. `presets` has the eight that there are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dexar_widgets.evaluation.configuration import Variant
from dexar_widgets.evaluation.corruptions import Corrupted
from dexar_widgets.evaluation.gathered import Gathered
from dexar_widgets.evaluation.published import family_of
from dexar_widgets.evaluation.readings import Reading
from dexar_widgets.evaluation.samples import Dataset

__all__ = ["DREW", "LAB_MODELS", "Column", "Preset", "Row", "Source", "drawn"]

LAB_MODELS = ("lab/llava", "lab/bakllava", "lab/paligemma", "lab/florence2")
_LAB_COUNT = 500
"""Samples of a stand-in, the most that a run can take."""
DREW = {"imagenet": 5000, "vqav2": 1000}
"""How many samples the paper drew of a data set, by its reader; of others it took all."""


def drawn(reader: str, root: Path, **options: Any) -> Dataset:
    """A data set below a folder: as many samples as the paper drew, or all where there are no more.

    Raises `ValueError` as `data.open` does.
    """
    from dexar_widgets.evaluation import data

    most = DREW.get(reader)
    if most is None:
        return data.open(reader, root, **options)
    every = data.open(reader, root, count=None, **options)
    return every if len(every.ids) <= most else data.open(reader, root, count=most, **options)


@dataclass(frozen=True, kw_only=True)
class Source:
    """A data set of the paper, and its stand-in: the lab's scenes with these options, several of them gathered."""

    title: str
    reader: str
    stand_in: str
    lab: tuple[Mapping[str, Any], ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    year: str = ""
    corruption: str | None = None

    @property
    def key(self) -> str:
        """The name of its folder of results."""
        return self.corruption or self.reader

    def names(self, *, lab: bool) -> str:
        """As results name it, or its stand-in."""
        name = ("lab, questions" if len(self.lab) > 1 else "lab") if lab else f"{self.reader}{self.year}"
        return f"{name}/{self.corruption}-5" if self.corruption else name

    def agrees(self, settings: Mapping[str, Any]) -> bool:
        """Whether a lab's data set, by its settings, is the stand-in and not other scenes of that name."""
        inner = settings.get("of", settings)
        parts = list(inner.get("gathered", {"": inner}).values())
        return len(parts) == len(self.lab) and all(
            options.items() <= part.items() for options, part in zip(self.lab, parts, strict=True)
        )

    def open(self, root: Path | None) -> Dataset:
        """The data set below a folder; without one, the stand-in. Raises `ValueError` as `data.open` does."""
        from dexar_widgets.evaluation import data

        if root is not None:
            found = drawn(self.reader, root, **self.options)
        else:
            parts = [data.open("lab", **{"count": _LAB_COUNT, **options}) for options in self.lab]
            found = parts[0] if len(parts) == 1 else Gathered(self.names(lab=True), parts)
        return found if self.corruption is None else Corrupted(found, self.corruption, 5)


@dataclass(frozen=True)
class Row:
    """A row of a table. ``published``: its name in the paper's numbers; ``variant``: None where its setting is lost.

    ``families``: the models of the paper that it is for, as `published.family_of` names them; none: any model.
    """

    title: str
    variant: Variant | None
    published: str = ""
    families: tuple[str, ...] = ()

    def suits(self, model: str) -> bool:
        """Whether it is for this model."""
        return not self.families or family_of(model) in self.families


@dataclass(frozen=True)
class Column:
    """A column: of which data set, and ``published``, its data set and metric in the paper's numbers.

    ``reading`` is what of ours stands beside it, ``factor`` times; without one, seconds of an explanation.
    """

    title: str
    source: str
    published: tuple[str, str]
    reading: Reading | None
    factor: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Preset:
    """One table. ``reference`` is the variant that others are compared with; ``samples`` of a stand-in are measured.

    ``closed``: its rows are settings of one method, and no other method stands beside them. ``also`` are metrics that
    cost nothing more, ``further`` other readings of the same measurement.
    """

    name: str
    title: str
    sources: tuple[Source, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    reference: str = "dexar"
    also: tuple[str, ...] = ()
    further: tuple[Reading, ...] = ()
    samples: int = 50
    closed: bool = False
    models: tuple[str, ...] = LAB_MODELS
    notes: tuple[str, ...] = ()

    @property
    def variants(self) -> tuple[Variant, ...]:
        """What is measured."""
        return tuple(row.variant for row in self.rows if row.variant is not None)

    def variants_of(self, model: str) -> tuple[Variant, ...]:
        """What is measured of one model."""
        return tuple(row.variant for row in self.rows if row.variant and row.suits(model))

    @property
    def metrics(self) -> tuple[str, ...]:
        """Those of its columns, and the others."""
        return tuple(dict.fromkeys([*(one.reading.metric for one in self.columns if one.reading), *self.also]))
