"""How often the tools are right, where the truth is planted: false alarms, and what the map alone would have said."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from dexar_widgets.failures.findings import Finding

if TYPE_CHECKING:
    from dexar_widgets.statistics import Estimate

__all__ = ["Separation", "false_alarms", "map_verdicts"]


@dataclass(frozen=True)
class Separation:
    """AUROC of the map's own verdict: how often it points more to the suspect in a planted model than in its twin.

    ``low`` and ``high`` are its 95 % interval, by resampling scenes; ``scenes`` and ``words`` were compared.
    ``unconfirmed`` words are left out since the intervention does not find the planted model's word spurious, ``empty``
    ones since a map of either model has nothing on the named object and nothing on the suspect.
    """

    method: str
    auroc: float
    low: float
    high: float
    scenes: int
    words: int
    unconfirmed: int
    empty: int

    def __str__(self) -> str:
        left = f"; left out: {self.unconfirmed} unconfirmed, {self.empty} with an empty map"
        return (
            f"{self.method}: AUROC {self.auroc:.2f} ({self.low:.2f} to {self.high:.2f}), {self.words} words of "
            f"{self.scenes} scenes in both models{left}."
        )


def map_verdicts(planted: Sequence[Finding], clean: Sequence[Finding], *, method: str = "dexar") -> Separation:
    """Does the map alone tell the planted model from its clean twin?

    The n-th of either are what `spurious` found of the same words on the same scene. Words that the intervention
    confirms in the planted model are compared, each with the twin's: AUROC by pairs (Mann and Whitney), its interval by
    the bootstrap over scenes, since both models see the same ones (see `dexar_widgets.separation.separation`).

    Raises
    ------
    ValueError
        If the findings are not of the same words, or have no map by this method.
    """
    from dexar_widgets.separation import separation

    first, scenes = _column(planted, f"map_{method}")
    second, _ = _column(clean, f"map_{method}")
    words = [[steps for one in some for steps in one.table["steps"]] for some in (planted, clean)]
    if len(planted) != len(clean) or words[0] != words[1]:
        raise ValueError("The findings of the planted model and of its twin are not of the same words and scenes.")
    confirmed = np.array([told == "spurious" for one in planted for told in one.table["verdict"]], bool)
    known = confirmed & ~np.isnan(first) & ~np.isnan(second)
    towards = -np.concatenate([first[known], second[known]])
    count, which = int(known.sum()), np.concatenate([scenes[known], scenes[known]])
    found = separation(towards, np.arange(2 * count) < count, which)
    numbers = (len(set(which.tolist())), count, int((~confirmed).sum()), int((confirmed & ~known).sum()))
    return Separation(method, found.value, found.low, found.high, *numbers)


def false_alarms(findings: Sequence[Finding]) -> "Estimate":
    """How often something was found, with its 95 % Wilson interval: of clean models false alarms, else hits."""
    from dexar_widgets.statistics import rate

    return rate([finding.found for finding in findings])


def _column(findings: Sequence[Finding], name: str) -> tuple[Float[np.ndarray, " word"], Int[np.ndarray, " word"]]:
    """A column of all tables, one below the other, and which finding each row is of."""
    for finding in findings:
        if name not in finding.table:
            columns = map(str, finding.table.columns)
            known = ", ".join(column for column in columns if column.startswith("map_")) or "none"
            raise ValueError(f"A finding of kind {finding.kind!r} has no {name!r}; its maps: {known}.")
    values = [finding.table[name].to_numpy(float) for finding in findings]
    which = np.repeat(np.arange(len(findings)), [len(some) for some in values])
    return np.concatenate(values) if values else np.zeros(0), which.astype(int)
