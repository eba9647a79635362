"""Control: a Gaussian about the middle of the image, where photographers put their subject."""

from dataclasses import dataclass

import numpy as np

from dexar_widgets.methods import Maps, Need, Subject
from dexar_widgets.methods._checks import at_least

TITLE = "Centre"
UNIT = "nothing: 1 in the middle, falling off"
CONTROL = True
NEEDS: frozenset[Need] = frozenset()
SMALLER = "nothing: it needs no memory"


@dataclass(frozen=True, kw_only=True)
class Options:
    """``spread``: the deviation as a share of each side."""

    spread: float = 0.25

    def __post_init__(self) -> None:
        at_least("spread", self.spread, 1e-3)


def attribute(subject: Subject, options: Options) -> Maps:
    """The same for every step."""
    grid = subject.layout.grids[0]
    down, across = (
        np.exp(-((((np.arange(size) + 0.5) / size - 0.5) / options.spread) ** 2) / 2) for size in (grid.rows, grid.cols)
    )
    return Maps(subject.on_tokens(np.repeat((down[:, None] * across)[None], len(subject.steps), 0)))
