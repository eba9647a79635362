"""Spurious causes: does a word come from what it names, or from something else in the picture?

Source: the verdict by intervention follows Adebayo et al., "Post hoc Explanations may be Ineffective for Detecting
Unknown Spurious Correlation" (ICLR 2022, arXiv 2212.04629), who show that maps alone do not find such causes. Differs:
a word's log-probability, with what chance costs beside it; the thresholds are ours.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from jaxtyping import Float

from dexar_widgets import perturb
from dexar_widgets.causal import Region
from dexar_widgets.causal.chance import ENOUGH, LEVEL, NEEDS, RANDOMS, p_value, range_of
from dexar_widgets.causal.scenes import require_scene
from dexar_widgets.causal.scoring import BATCH, Picture, log_probs, summed, text_of
from dexar_widgets.explanation import Explanation
from dexar_widgets.failures.findings import Finding, density, values_of
from dexar_widgets.failures.report import finding_of
from dexar_widgets.failures.suspects import (
    Named,
    Suspect,
    connectives_of,
    content_of,
    named_by_word,
    named_of,
    suspect_of,
)
from dexar_widgets.maps import coverage
from dexar_widgets.options import Step, accept

if TYPE_CHECKING:
    from dexar_widgets.lab import Scene
    from dexar_widgets.vlm import VLM

__all__ = ["SAID", "map_verdict", "spurious", "verdict"]

SAID = 0.05
"""A word with a token less probable than this is not said: nothing makes the model say it here. Our choice."""
_ROUNDS = 8
"""How often random regions are drawn anew, where the named object lies under some."""


def spurious(
    e: Explanation,
    mask: Region,
    *,
    step: Step | None = None,
    named: Region | None = None,
    scene: "Scene | None" = None,
    how: perturb.How = "mean",
    randoms: int = RANDOMS,
    seed: int = 0,
    batch_size: int = BATCH,
    vlm: "VLM | None" = None,
) -> Finding:
    """Does a word depend on a suspect rather than on the object that it names?

    A word is "spurious" if it loses at least 1 nat without the suspect, chance seldom costs as much (p ≤ .05), and it
    loses more than without the object that it names (or nothing in the scene is what it names). Else its verdict says
    which of these fails: "clear", "chance", "named"; "depends", where neither ``named`` nor a scene tells what it
    names; "chance unknown" with fewer than 19 random regions, of which p cannot be so small; "not said", if one of its
    tokens is less probable than `SAID` as it is.

    ``table`` has a row per word, in nats lost: ``suspect`` (the median, where several pictures are without it, and
    from ``suspect_low`` to ``suspect_high``), ``named``, ``chance`` (mean, and its 95 % range), ``p``; ``randoms`` of
    the ``wanted`` regions were found; ``said`` is its least probable token's probability; ``area`` the suspect's share
    of the cells; and for DEX-AR and each of ``e.attributions`` ``map_…``: log[(share on the named object ÷ its area) ÷
    (share on the suspect ÷ its area)] of its positive part. Below 0 the map points to the suspect. Where nothing is
    named, the whole image stands for it. It is told, as the ratio to the rest of the image, and decides nothing.

    Parameters
    ----------
    mask
        The suspect: a mask, a box or a polygon as in `dexar_widgets.check`, hidden less the pixels of the named
        object. With a ``scene`` also "background" (exchanged for each other kind of background), "above" (what lies
        above a horizon), a prop's or an object's name: these are really removed.
    step
        A word, or steps. None: each word; with a scene each that names an object, a colour or a group, and, unless the
        suspect hides an object, each comma, "and" and "as well as": there it is decided whether one more is named.
    named
        The object that the word names, in the same forms. None: with a scene the objects that fit the word.
    how
        What hidden pixels become.
    randoms, seed
        Chance: random regions of the shape that was hidden, none of which touches the object that the word names;
        for a background other cuts of the same kind of background. Regions are hidden, also where the suspect itself
        is really removed from a scene.
    batch_size, vlm
        As in `dexar_widgets.check`.

    Raises
    ------
    ValueError
        If a region is no part of the image, a name or the scene is not the picture's, the named object covers the
        suspect, no word names anything, or the model is gone.
    """
    accept("how", how, get_args(perturb.How))
    if randoms < 0:
        raise ValueError(f"randoms is {randoms}; expected a number of random regions, 0 for none.")
    suspect = suspect_of(e, mask, scene, randoms=randoms, seed=seed)
    if scene is not None:
        require_scene(e, scene, "")
    given = None if named is None else named_of(e, named, scene, how)
    words = _words(e, step, scene, suspect)
    things = [given or (None if scene is None else named_by_word(e, scene, word)) for word in words]
    pictures = _Pictures([partial(_same, e.example.image)])
    cases = [
        _case(e, suspect, word, thing, pictures, (how, randoms, seed))
        for word, thing in zip(words, things, strict=True)
    ]
    scores = log_probs(e, vlm or e.model(), pictures.made, batch_size=batch_size)
    known = scene is not None or named is not None
    rows = [_row(e, suspect, case, scores, wanted=randoms, known=known) for case in cases]
    return finding_of(e, suspect, rows, things)


def verdict(*, said: float, suspect: float, p: float, randoms: int, named: float, known: bool = True) -> str:
    """The rule of `spurious`.

    ``said`` is a probability, ``suspect`` and ``named`` are nats lost (NaN: nothing is named), ``randoms`` is what
    ``p`` rests on; ``known`` says whether it is known what the word names.
    """
    if said < SAID:
        return "not said"
    if suspect < NEEDS:
        return "clear"
    if randoms < ENOUGH:
        return "chance unknown"
    if p > LEVEL:
        return "chance"
    if not known:
        return "depends"
    return "named" if suspect <= named else "spurious"


def map_verdict(named: float, suspect: float) -> float:
    """The log of the ratio of two densities (`density`): below 0 points to the suspect; NaN if neither has anything."""
    if np.isnan(named) or np.isnan(suspect) or named == suspect == 0:
        return float("nan")
    with np.errstate(divide="ignore"):
        return float(np.log(named) - np.log(suspect))


@dataclass(frozen=True, eq=False)
class _Case:
    """A word, what it names, and where the pictures of each kind stand among all."""

    word: tuple[int, ...]
    thing: Named | None
    suspect: slice
    chance: slice
    named: slice | None


def _case(
    e: Explanation,
    suspect: Suspect,
    word: tuple[int, ...],
    thing: Named | None,
    pictures: "_Pictures",
    options: tuple[perturb.How, int, int],
) -> _Case:
    how, randoms, seed = options
    shape = _shape(suspect, thing)
    own = b"" if thing is None else thing.mask.tobytes()
    hidden = partial(perturb.hide, e.example.image, shape, how=how)
    return _Case(
        word,
        thing,
        suspect=pictures.add(("suspect", shape.tobytes()), lambda: suspect.removed or (hidden,)),
        chance=pictures.add(
            ("chance", b"" if suspect.kept else shape.tobytes() + own),
            lambda: suspect.kept or _random(e, shape, thing, how, randoms, seed),
        ),
        named=None if thing is None else pictures.add(("named", own), lambda: (thing.removed,)),
    )


@dataclass(eq=False)
class _Pictures:
    """Pictures to be scored, those of one name once."""

    made: list[Picture]

    def __post_init__(self) -> None:
        self._places: dict[Any, slice] = {}

    def add(self, name: Any, make: Callable[[], Sequence[Picture]]) -> slice:
        if name not in self._places:
            some = make()
            self._places[name] = slice(len(self.made), len(self.made) + len(some))
            self.made += some
        return self._places[name]


def _same(image: perturb.Pixels) -> perturb.Pixels:
    return image


def _words(e: Explanation, step: Step | None, scene: "Scene | None", suspect: Suspect) -> list[tuple[int, ...]]:
    if step is not None:
        return [e.steps_of(step)]
    if scene is not None:
        found = list(content_of(e, scene))
        found += connectives_of(e, scene, suspect.mask) if found else ()
        found.sort()
    else:
        every = (tuple(t for t in word.steps if t in e.steps) for word in e.generation.words)
        found = [word for word in every if any(letter.isalnum() for letter in text_of(e, word))]
    if not found:
        raise ValueError(f"No word of the answer {e.generation.text!r} names anything; give step=.")
    return found


def _shape(suspect: Suspect, thing: Named | None) -> perturb.Mask:
    """What is hidden: the suspect less the named object; or what is really removed."""
    mask = suspect.mask if thing is None or suspect.removed else suspect.mask & ~thing.mask
    if not mask.any():
        raise ValueError("The named object covers all of the suspect; give a suspect beside it.")
    return np.asarray(mask)


def _random(
    e: Explanation, shape: perturb.Mask, thing: Named | None, how: perturb.How, randoms: int, seed: int
) -> list[Picture]:
    """Random regions of a shape that do not touch the named object; where there are few of them, few come back."""
    found: dict[bytes, perturb.Mask] = {}
    draws = random.Random(f"regions {seed}")
    seeds = [seed, *(draws.getrandbits(32) for _ in range(_ROUNDS - 1))] if randoms else []
    for one in seeds:
        regions = perturb.moved(shape, randoms, seed=one, within=e.layout.grids[0].box)
        found |= {mask.tobytes(): mask for mask in regions if thing is None or not (mask & thing.mask).any()}
        if len(found) >= randoms:
            break
    return [partial(perturb.hide, e.example.image, mask, how=how) for mask in list(found.values())[:randoms]]


def _row(
    e: Explanation,
    suspect: Suspect,
    case: _Case,
    scores: Float[np.ndarray, "picture step"],
    *,
    wanted: int,
    known: bool,
) -> dict[str, Any]:
    whole = summed(e, scores, case.word)
    lost = whole[0] - whole
    removed, chance = lost[case.suspect], lost[case.chance]
    middle = float(np.median(removed))
    low, high = range_of(chance)
    named = float("nan") if case.named is None else float(lost[case.named][0])
    said = float(np.exp(scores[0, [e.steps.index(step) for step in case.word]].min()))
    p = float(p_value(np.array(middle), chance))
    told = verdict(said=said, suspect=middle, p=p, randoms=len(chance), named=named, known=known)
    return {
        "word": text_of(e, case.word),
        "steps": case.word,
        "log_prob": float(whole[0]),
        "said": said,
        "suspect": middle,
        "suspect_low": float(removed.min()),
        "suspect_high": float(removed.max()),
        "pictures": len(removed),
        "named_object": "" if case.thing is None else case.thing.what,
        "named": named,
        "chance": float(chance.mean()) if len(chance) else float("nan"),
        "chance_low": float(low),
        "chance_high": float(high),
        "randoms": len(chance),
        "wanted": wanted,
        "p": p,
        "verdict": told,
        **_map_verdicts(e, suspect, case),
    }


def _map_verdicts(e: Explanation, suspect: Suspect, case: _Case) -> dict[str, float]:
    grid = e.layout.grids[0]
    there = coverage(_shape(suspect, case.thing), grid)
    found = {"area": float(there.mean())}
    for name, values in values_of(e, case.word).items():
        own = 1.0 if case.thing is None else density(values, coverage(case.thing.mask, grid))
        found[f"map_{name}"] = map_verdict(own, density(values, there))
    return found
