"""What hiding a region did: to one word, and to several."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float

from dexar_widgets import perturb
from dexar_widgets.causal.chance import ENOUGH, LEVEL, NEEDS, Tail, p_value, plain, range_of, told

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Check", "Checks", "How"]

How = perturb.How | Literal["scene"]


@dataclass(frozen=True, repr=False)
class Check:
    """What hiding a region, and hiding all but the region, does to a word.

    Log-probabilities are natural, summed over the word's tokens, the same answer teacher-forced
    in every case. ``area`` is the share that the region covers of what the model sees of the image.

    ``random_hidden`` and ``random_kept`` are ``hidden`` and ``kept`` of each random region of the same size and shape
    (`dexar_widgets.perturb.moved`). With ``how="scene"`` there are none, for objects are no random draw: ``objects``
    are those that were really removed, ``others`` all other ones, and ``other_hidden`` and ``other_kept`` tell what
    removing each of these alone, and all but it, does.
    """

    word: str
    steps: tuple[int, ...]
    area: float
    how: How
    log_prob: float
    hidden: float
    kept: float
    random_hidden: tuple[float, ...] = ()
    random_kept: tuple[float, ...] = ()
    objects: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    other_hidden: tuple[float, ...] = ()
    other_kept: tuple[float, ...] = ()

    @property
    def drop(self) -> float:
        """Nats lost when the region is hidden; large if the word depends on it."""
        return self.log_prob - self.hidden

    @property
    def random_drops(self) -> Float[np.ndarray, " random"]:
        """Nats lost when each random region is hidden."""
        return self.log_prob - np.array(self.random_hidden, float)

    @property
    def other_drops(self) -> Float[np.ndarray, " other"]:
        """Nats lost when each other object alone is removed."""
        return self.log_prob - np.array(self.other_hidden, float)

    @property
    def chance(self) -> float | None:
        """The mean of `random_drops`; None without random regions."""
        return _mean(self.random_drops)

    @property
    def chance_range(self) -> tuple[float, float] | None:
        """Between which 95 % of `random_drops` lie."""
        return _range(self.random_drops)

    @property
    def p(self) -> float | None:
        """How often chance loses as much: (1 + random regions that lose as much) ÷ (1 + random regions)."""
        return _p(self.drop, self.random_drops, "more")

    @property
    def kept_drop(self) -> float:
        """Nats lost when all but the region is hidden; small if the region is enough for the word."""
        return self.log_prob - self.kept

    @property
    def random_kept_drops(self) -> Float[np.ndarray, " random"]:
        """Nats lost when all but each random region is hidden."""
        return self.log_prob - np.array(self.random_kept, float)

    @property
    def kept_chance(self) -> float | None:
        """The mean of `random_kept_drops`; None without random regions."""
        return _mean(self.random_kept_drops)

    @property
    def kept_range(self) -> tuple[float, float] | None:
        """Between which 95 % of `random_kept_drops` lie."""
        return _range(self.random_kept_drops)

    @property
    def kept_p(self) -> float | None:
        """How often a random region alone loses as little: (1 + those that do) ÷ (1 + random regions)."""
        return _p(self.kept_drop, self.random_kept_drops, "less")

    @property
    def verdict(self) -> str:
        """Whether the word depends on the region, or what is there speaks against it.

        That takes 1 nat, lost or gained; with less it "hardly depends on it". And p ≤ .05 of that side: otherwise it
        is "no more than chance", or there are "too few random regions" for such a p. Objects that are really removed
        need no chance level. Of many words some pass .05 by chance.
        """
        if abs(self.drop) < NEEDS:
            return "hardly depends on it"
        so = "depends on it" if self.drop > 0 else "what is there speaks against it"
        tail: Tail = "more" if self.drop > 0 else "less"
        if self.how == "scene":
            return so
        if len(self.random_hidden) < ENOUGH:
            return "too few random regions"
        p = p_value(np.array(self.drop), self.random_drops, tail)
        return so if p <= LEVEL else "no more than chance"

    def to_pandas(self) -> "pd.DataFrame":
        """A row for the region, then one for each random region or other object: log-probabilities and nats lost."""
        import pandas as pd

        names = [" and ".join(self.objects) or "the region"]
        names += [f"random {n}" for n in range(1, len(self.random_hidden) + 1)]
        hidden = (self.hidden, *self.random_hidden, *self.other_hidden)
        kept = (self.kept, *self.random_kept, *self.other_kept)
        rows = pd.DataFrame({"word": self.word, "region": [*names, *self.others], "hidden": hidden, "kept": kept})
        drops = {"drop": self.log_prob - rows["hidden"], "kept_drop": self.log_prob - rows["kept"]}
        return rows.assign(log_prob=self.log_prob, **drops)

    def __str__(self) -> str:
        whole, hidden, kept = (plain(value) for value in (self.log_prob, self.hidden, self.kept))
        if self.how == "scene":
            without, alone = f"without the {' and the '.join(self.objects)}", "with no other object"
        else:
            without, alone = "with the region hidden", "with only the region left"
        return (
            f"“{self.word}”: log-probability {whole}; {hidden} {without} "
            f"({plain(self.drop)} nats lost), {kept} {alone} "
            f"({self.area:.0%} of the image, {self.how}).{self._beside()}"
        )

    __repr__ = __str__

    def _beside(self) -> str:
        """What random regions, or other objects, lose."""
        if self.others:
            each = [f"{plain(drop)} ({name})" for drop, name in zip(self.other_drops, self.others, strict=True)]
            return f" Nats lost without each other object alone: {', '.join(each)}."
        if not self.random_hidden:
            return ""
        hidden, kept = (f"{plain(drops.mean())} nats {_between(drops)}" for drops in self._random)
        p, kept_p = (f": {p}" if p else "" for p in self._ps)
        return (
            f" By chance {hidden} are lost, with {_regions(len(self.random_hidden))}{p}; "
            f"with only such a region left {kept} instead of {plain(self.kept_drop)}{kept_p}."
        )

    @property
    def _random(self) -> tuple[Float[np.ndarray, " random"], Float[np.ndarray, " random"]]:
        return self.random_drops, self.random_kept_drops

    @property
    def _ps(self) -> tuple[str, str]:
        """Both p as they are told; with a region alone something happened if it did with any, this one or a random."""
        return told(self.p, self.drop), told(self.kept_p, np.abs([self.kept_drop, *self.random_kept_drops]).max())

    def _repr_html_(self) -> str:
        return f"<p>{escape(str(self))}</p>"


class Checks(tuple[Check, ...]):
    """The checks of several words against one region: a tuple that tells a line, and in a cell a row, for each."""

    __slots__ = ()

    def to_pandas(self) -> "pd.DataFrame":
        """A row per word: nats lost, with the mean and the 95 % range of chance, p and the verdict.

        `Check.to_pandas` has each random region, or other object, of one word.
        """
        import pandas as pd

        return pd.DataFrame([_row(one) for one in self])

    @property
    def _title(self) -> str:
        if not self:
            return "No word was checked."
        one, count = self[0], len(self[0].random_hidden)
        removed = f"without the {' and the '.join(one.objects)}" if one.how == "scene" else "with the region hidden"
        beside = f", by chance with {_regions(count)}" if count else ""
        return f"Nats lost {removed} ({one.area:.0%} of the image, {one.how}){beside}"

    def __repr__(self) -> str:
        lines = [f"“{one.word}”: {plain(one.drop)}{_aside(one)}: {one.verdict}." for one in self]
        return "\n".join([self._title + ":" * bool(self), *lines])

    def _repr_html_(self) -> str:
        if not self:
            return f"<p>{self._title}</p>"
        chance = ["by chance"] * bool(self[0].random_hidden)
        alone = "with no other object" if self[0].how == "scene" else "with only it left"
        heads = ["", "lost", *chance, *(f"without the {name}" for name in self[0].others), alone, *chance, ""]
        return _table(heads, [_cells(one) for one in self], self._title)


def _row(one: Check) -> dict[str, Any]:
    none = float("nan"), float("nan")
    (low, high), (kept_low, kept_high) = one.chance_range or none, one.kept_range or none
    found = {"word": one.word, "steps": one.steps, "log_prob": one.log_prob, "drop": one.drop}
    found |= {"chance": one.chance, "chance_low": low, "chance_high": high, "p": one.p}
    found |= {"kept_drop": one.kept_drop, "kept_chance": one.kept_chance, "kept_low": kept_low, "kept_high": kept_high}
    found |= {"kept_p": one.kept_p, "verdict": one.verdict}
    return {name: none[0] if value is None else value for name, value in found.items()}


def _aside(one: Check) -> str:
    """What chance, or each other object, costs."""
    each = [f"{plain(drop)} without the {name}" for drop, name in zip(one.other_drops, one.others, strict=True)]
    if one.random_hidden:
        each = [f"{plain(one.random_drops.mean())} by chance", *filter(None, one._ps[:1])]
    return f" ({', '.join(each)})" if each else ""


def _cells(one: Check) -> list[str]:
    """A line of the table: a random one's nats with their range and p, or those of each other object."""
    beside, kept = (
        [", ".join(filter(None, [f"{plain(drops.mean())} {_between(drops)}", p]))] if drops.size else []
        for drops, p in zip(one._random, one._ps, strict=True)
    )
    return [one.word, plain(one.drop), *beside, *map(plain, one.other_drops), plain(one.kept_drop), *kept, one.verdict]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    lines = (
        f'<tr><th style="text-align:left">{escape(word)}</th>'
        + "".join(f'<td style="white-space:nowrap">{escape(cell)}</td>' for cell in cells)
        + "</tr>"
        for word, *cells in rows
    )
    return f"<table><caption>{escape(caption)}</caption><tr>{head}</tr>{''.join(lines)}</table>"


def _regions(count: int) -> str:
    return f"{count} random region{'s' * (count > 1)} of this shape"


def _mean(drops: Float[np.ndarray, " random"]) -> float | None:
    return float(drops.mean()) if drops.size else None


def _range(drops: Float[np.ndarray, " random"]) -> tuple[float, float] | None:
    low, high = range_of(drops)
    return (float(low), float(high)) if drops.size else None


def _p(seen: float, drops: Float[np.ndarray, " random"], tail: Tail) -> float | None:
    return float(p_value(np.array(seen), drops, tail)) if drops.size else None


def _between(drops: Float[np.ndarray, " random"]) -> str:
    low, high = range_of(drops)
    return f"({plain(float(low))} to {plain(float(high))})"
