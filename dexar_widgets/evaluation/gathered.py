"""Several data sets as one: questions of several kinds stand for a data set that has them all."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain, zip_longest
from typing import Any

from dexar_widgets.evaluation.samples import Dataset, Sample

__all__ = ["Gathered"]


class Gathered:
    """The samples of several data sets in turn, one of each; ids begin with the data set's name ("lab, side/30000001").

    Taking turns, the first samples are as mixed as all of them.
    """

    def __init__(self, name: str, datasets: Sequence[Dataset]) -> None:
        self.name = name
        self._datasets = {dataset.name: dataset for dataset in datasets}
        if len(self._datasets) < len(datasets):
            raise ValueError(f"Two of the data sets that {name!r} gathers have one name: {sorted(self._datasets)}.")
        self.settings: Mapping[str, Any] = {
            "gathered": {dataset.name: dict(dataset.settings) for dataset in datasets},
        }

    @property
    def ids(self) -> Sequence[str]:
        """One of each data set, then the next of each."""
        each = [[f"{name}/{id_}" for id_ in dataset.ids] for name, dataset in self._datasets.items()]
        return tuple(id_ for id_ in chain(*zip_longest(*each)) if id_ is not None)

    def load(self, id_: str) -> Sample:
        """One sample, from the data set that its id begins with."""
        for name, dataset in self._datasets.items():
            if id_.startswith(f"{name}/"):
                return replace(dataset.load(id_.removeprefix(f"{name}/")), id=id_)
        raise ValueError(f"{self.name} has no sample {id_!r}; it gathers {', '.join(self._datasets)}.")
