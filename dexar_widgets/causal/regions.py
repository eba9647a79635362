"""Hide a region, and all but the region: what does that do to a word, and would any region of its shape do it?"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from jaxtyping import Float

from dexar_widgets import perturb
from dexar_widgets.causal.chance import ENOUGH, LEVEL, NEEDS, RANDOMS, Tail, p_value, plain, range_of
from dexar_widgets.causal.scenes import Removal, mask_of, removal
from dexar_widgets.causal.scoring import BATCH, Picture, log_probs, summed, text_of, words_of
from dexar_widgets.explanation import Explanation
from dexar_widgets.options import Step, accept

if TYPE_CHECKING:
    import pandas as pd

    from dexar_widgets.lab import Scene
    from dexar_widgets.vlm import VLM

__all__ = ["Check", "How", "Region", "checks"]

How = perturb.How | Literal["scene"]
Region = perturb.Region | int | str
_HOWS = (*get_args(perturb.How), "scene")


@dataclass(frozen=True)
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

    def _beside(self) -> str:
        """What random regions, or other objects, lose."""
        if self.others:
            each = [f"{plain(drop)} ({name})" for drop, name in zip(self.other_drops, self.others, strict=True)]
            return f" Nats lost without each other object alone: {', '.join(each)}."
        if not self.random_hidden:
            return ""
        count = len(self.random_hidden)
        what = f"{count} random region{'s' * (count > 1)} of this shape"
        hidden, kept = _level(self.random_drops), _level(self.random_kept_drops)
        return (
            f" By chance {hidden} are lost, with {what}: p = {self.p:.2g}; with only such a region left {kept} instead "
            f"of {plain(self.kept_drop)}: p = {self.kept_p:.2g}."
        )

    def _repr_html_(self) -> str:
        return f"<p>{escape(str(self))}</p>"


def _mean(drops: Float[np.ndarray, " random"]) -> float | None:
    return float(drops.mean()) if drops.size else None


def _range(drops: Float[np.ndarray, " random"]) -> tuple[float, float] | None:
    low, high = range_of(drops)
    return (float(low), float(high)) if drops.size else None


def _p(seen: float, drops: Float[np.ndarray, " random"], tail: Tail) -> float | None:
    return float(p_value(np.array(seen), drops, tail)) if drops.size else None


def _level(drops: Float[np.ndarray, " random"]) -> str:
    low, high = range_of(drops)
    return f"{plain(drops.mean())} nats ({plain(float(low))} to {plain(float(high))})"


def checks(
    e: Explanation,
    *,
    region: Region,
    steps: Iterable[Step] | None = None,
    how: How = "mean",
    randoms: int | None = None,
    seed: int | None = None,
    scene: "Scene | None" = None,
    batch_size: int = BATCH,
    vlm: "VLM | None" = None,
) -> list[Check]:
    """Check several words against one region for the price of one: the passes score all of the answer.

    ``steps`` holds a word, or a group of steps, after the other; None: every word, and last the whole answer. The
    rest is as in `check`. As the work of a job (`dexar_widgets.jobs`) it tells how far it is, and can be cancelled.
    """
    accept("how", how, _HOWS)
    if how == "scene" and (randoms is not None or seed is not None):
        raise ValueError('how="scene" takes no randoms= and no seed=: each other object is removed, none at random.')
    if randoms is not None and randoms < 0:
        raise ValueError(f"randoms is {randoms}; expected a number of random regions, 0 for none.")
    words = words_of(e, None) if steps is None else [e.steps_of(step) for step in steps]
    image, grid = e.example.image, e.layout.grids[0]
    names: dict[str, Any] = {}
    if how == "scene":
        removed = removal(e, scene, region)
        mask = perturb.seen_of(removed.mask, grid.box)
        names = {"objects": removed.names(removed.indices), "others": removed.names(removed.others)}
        pictures = list(_redrawn(removed))
    else:
        mask = perturb.seen_of(mask_of(region, e, scene), grid.box)
        count = RANDOMS if randoms is None else randoms
        pictures = list(_hidden(image, [mask, *perturb.moved(mask, count, seed=seed or 0, within=grid.box)], how))
    scores = log_probs(e, vlm or e.model(), [lambda: image, *pictures], batch_size=batch_size)
    area = float(mask.sum() / perturb.frame_of(grid.box, grid.image_size).sum())
    kind = "other" if how == "scene" else "random"
    found = []
    for word in words:
        whole, *rest = summed(e, scores, word).tolist()
        (hidden, *more_hidden), (kept, *more_kept) = rest[::2], rest[1::2]
        beside = {f"{kind}_hidden": tuple(more_hidden), f"{kind}_kept": tuple(more_kept)}
        found.append(Check(text_of(e, word), word, area, how, whole, hidden, kept, **names, **beside))
    return found


def _hidden(image: perturb.Pixels, masks: Sequence[perturb.Mask], how: perturb.How) -> Iterator[Picture]:
    """For each mask a picture without it, and one with it alone."""
    filler = perturb.filler(image, how)
    for mask in masks:
        yield partial(_pasted, mask, filler, image)
        yield partial(_pasted, mask, image, filler)


def _pasted(mask: perturb.Mask, inside: perturb.Pixels, outside: perturb.Pixels) -> perturb.Pixels:
    return np.where(mask[..., None], inside, outside)


def _redrawn(removed: Removal) -> Iterator[Picture]:
    """The scene without the objects, and without all others; then the same of each other object in turn."""
    for group in [removed.indices, *([other] for other in removed.others)]:
        yield partial(removed.without, group)
        yield partial(removed.without, [index for index in removed.every if index not in group])
