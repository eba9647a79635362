"""Control: the same value everywhere. Its scores are those of saying nothing."""

from dataclasses import dataclass

import numpy as np

from dexar_widgets.methods import Maps, Need, Subject

TITLE = "Uniform"
UNIT = "nothing: 1 everywhere"
CONTROL = True
NEEDS: frozenset[Need] = frozenset()
SMALLER = "nothing: it needs no memory"


@dataclass(frozen=True, kw_only=True)
class Options:
    """None."""


def attribute(subject: Subject, _options: Options) -> Maps:
    """1 in every cell."""
    grid = subject.layout.grids[0]
    return Maps(subject.on_tokens(np.ones((len(subject.steps), grid.rows, grid.cols))))
