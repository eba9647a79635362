"""Hide a region, and all but the region: what does that do to a word, and would any region of its shape do it?"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from jaxtyping import Float

from dexar_widgets import perturb
from dexar_widgets.causal.chance import RANDOMS, p_value, plain, range_of
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
    in every case. ``area`` is the share of the image that the region covers.

    ``random_hidden`` and ``random_kept`` are ``hidden`` and ``kept`` of each random region of the same size and shape
    (`dexar_widgets.perturb.moved`), or with ``how="scene"`` of each other object. ``objects`` are those that were
    really removed.
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

    @property
    def drop(self) -> float:
        """Nats lost when the region is hidden; large if the word depends on it."""
        return self.log_prob - self.hidden

    @property
    def random_drops(self) -> Float[np.ndarray, " random"]:
        """Nats lost when each random region is hidden."""
        return self.log_prob - np.array(self.random_hidden, float)

    @property
    def chance(self) -> float | None:
        """The mean of `random_drops`; None without random regions."""
        return float(self.random_drops.mean()) if self.random_hidden else None

    @property
    def chance_range(self) -> tuple[float, float] | None:
        """Between which 95 % of `random_drops` lie."""
        low, high = range_of(self.random_drops)
        return (float(low), float(high)) if self.random_hidden else None

    @property
    def p(self) -> float | None:
        """How often chance loses as much: (1 + random regions that lose as much) ÷ (1 + random regions)."""
        return float(p_value(np.array(self.drop), self.random_drops)) if self.random_hidden else None

    def to_pandas(self) -> "pd.DataFrame":
        """A row for the region, then one for each random region: log-probabilities and nats lost."""
        import pandas as pd

        hidden, kept = (self.hidden, *self.random_hidden), (self.kept, *self.random_kept)
        rows = pd.DataFrame({"hidden": hidden, "kept": kept})
        rows.insert(0, "word", self.word)
        rows.insert(1, "region", ["the region", *(f"random {n}" for n in range(1, len(hidden)))])
        return rows.assign(log_prob=self.log_prob, drop=self.log_prob - rows["hidden"])

    def __str__(self) -> str:
        whole, hidden, kept, drop = (plain(value) for value in (self.log_prob, self.hidden, self.kept, self.drop))
        if self.how == "scene":
            without, alone = f"without the {' and the '.join(self.objects)}", "with no other object"
        else:
            without, alone = "with the region hidden", "with only the region left"
        return (
            f"“{self.word}”: log-probability {whole}; {hidden} {without} "
            f"({drop} nats lost), {kept} {alone} "
            f"({self.area:.0%} of the image, {self.how}).{self._beside_chance()}"
        )

    def _beside_chance(self) -> str:
        if self.chance is None or self.chance_range is None:
            return ""
        what = "other objects, each alone" if self.how == "scene" else "random regions of this shape"
        mean, low, high = map(plain, (self.chance, *self.chance_range))
        count = len(self.random_hidden)
        return f" By chance {mean} nats ({low} to {high}) are lost, with {count} {what}: p = {self.p:.2g}."

    def _repr_html_(self) -> str:
        return f"<p>{escape(str(self))}</p>"


def checks(
    e: Explanation,
    *,
    region: Region,
    steps: Iterable[Step] | None = None,
    how: How = "mean",
    randoms: int = RANDOMS,
    seed: int = 0,
    scene: "Scene | None" = None,
    batch_size: int = BATCH,
    vlm: "VLM | None" = None,
) -> list[Check]:
    """Check several words against one region for the price of one: the passes score all of the answer.

    ``steps`` holds a word, or a group of steps, after the other; None: every word, and last the whole answer. The
    rest is as in `check`. As the work of a job (`dexar_widgets.jobs`) it tells how far it is, and can be cancelled.
    """
    accept("how", how, _HOWS)
    if randoms < 0:
        raise ValueError(f"randoms is {randoms}; expected a number of random regions, 0 for none.")
    words = words_of(e, None) if steps is None else [e.steps_of(step) for step in steps]
    image = e.example.image
    objects: tuple[str, ...] = ()
    if how == "scene":
        removed = removal(e, scene, region)
        mask, objects, pictures = removed.mask, removed.objects, list(_redrawn(removed, randoms))
    else:
        mask = mask_of(region, e, scene)
        pictures = list(_hidden(image, [mask, *perturb.moved(mask, randoms, seed=seed)], how))
    scores = log_probs(e, vlm or e.model(), [lambda: image, *pictures], batch_size=batch_size)
    found = []
    for word in words:
        whole, *rest = summed(e, scores, word).tolist()
        (hidden, *random_hidden), (kept, *random_kept) = rest[::2], rest[1::2]
        beside = (tuple(random_hidden), tuple(random_kept), objects)
        found.append(Check(text_of(e, word), word, float(mask.mean()), how, whole, hidden, kept, *beside))
    return found


def _hidden(image: perturb.Pixels, masks: Sequence[perturb.Mask], how: perturb.How) -> Iterator[Picture]:
    """For each mask a picture without it, and one with it alone."""
    filler = perturb.filler(image, how)
    for mask in masks:
        yield partial(_pasted, mask, filler, image)
        yield partial(_pasted, mask, image, filler)


def _pasted(mask: perturb.Mask, inside: perturb.Pixels, outside: perturb.Pixels) -> perturb.Pixels:
    return np.where(mask[..., None], inside, outside)


def _redrawn(removed: Removal, randoms: int) -> Iterator[Picture]:
    """The scene without the objects, and without all others; then the same of each other object in turn."""
    for group in [removed.indices, *([other] for other in removed.others[:randoms])]:
        yield partial(removed.without, group)
        yield partial(removed.without, [index for index in removed.every if index not in group])
