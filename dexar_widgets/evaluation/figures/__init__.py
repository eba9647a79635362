"""The paper's figures, made again: on the lab, or on a checkpoint and one's own images.

Each is a layout (plates of rows and columns, `plates`) that one renderer draws. Which cases are shown is decided by the
scene and the answer, never by a map; beside every map stand the numbers that say what it shows.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dexar_widgets.evaluation.figures import clutter, corrupted, failures, queries, registers, repeats
from dexar_widgets.evaluation.figures.plates import Figure
from dexar_widgets.evaluation.figures.writing import write
from dexar_widgets.evaluation.reproducible import Made, Request
from dexar_widgets.evaluation.runs import Plan

__all__ = ["FIGURES", "FigureOf"]


@dataclass(frozen=True)
class FigureOf:
    """A figure: its page, PNG, SVG, and every number as CSV. ``readers`` are the data sets that it can show."""

    name: str
    title: str
    readers: Mapping[str, Mapping[str, Any]]
    make: Callable[[Request], Figure]

    def carry_out(self, request: Request) -> Made:
        """Make it anew, and write it."""
        stray = sorted(set(request.roots) - set(self.readers))
        if stray:
            raise ValueError(f"{self.name} does not read {stray[0]!r}; it reads {', '.join(self.readers)}.")
        if (request.jobs or 1, request.shard.count, request.engine) != (1, 1, "local"):
            raise ValueError(f"{self.name} is made in one process; leave --jobs, --shard and --engine out.")
        figure = self.make(request)
        pictures = sum(1 for _ in figure.pictures)
        if not pictures:
            raise ValueError(f"There is nothing to show. {' '.join(figure.lost)}")
        return Made(write(figure, request.out), pictures, len(figure.lost))

    def plan(self, request: Request, *, probe: int = 0) -> Mapping[str, Plan]:  # noqa: ARG002 (one signature)
        """Nothing of a figure is kept."""
        raise ValueError(f"{self.name} is made anew each time, in a few minutes on the lab; --dry-run is for tables.")


FIGURES: Mapping[str, FigureOf] = {
    one.name: one
    for one in (
        FigureOf("figure3", "Methods on queries, and DEX-AR without filters", queries.READERS, queries.methods),
        FigureOf("figure5", "Models with and without filters", queries.READERS, queries.models),
        FigureOf("figure6", "Failures, and what interventions say of them", failures.READERS, failures.make),
        FigureOf("figure7", "A cluttered scene, word by word", clutter.READERS, clutter.make),
        FigureOf("figure8", "A word said twice: DEX-AR and TAM", repeats.READERS, repeats.make),
        FigureOf("figure9", "Corruptions", corrupted.READERS, corrupted.make),
        FigureOf("figure10", "Registers under attention and under DEX-AR", registers.READERS, registers.make),
    )
}
"""By name, in the paper's order; figures 1, 2 and 4 are drawings."""
