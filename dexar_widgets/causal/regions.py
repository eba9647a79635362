"""Hide a region, and all but the region: what does that do to a word, and would any region of its shape do it?"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from dexar_widgets import perturb
from dexar_widgets.causal.chance import RANDOMS
from dexar_widgets.causal.results import Check, Checks, How
from dexar_widgets.causal.scenes import Removal, mask_of, removal
from dexar_widgets.causal.scoring import BATCH, Picture, log_probs, summed, text_of, words_of
from dexar_widgets.explanation import Explanation
from dexar_widgets.options import Step, accept

if TYPE_CHECKING:
    from dexar_widgets.lab import Scene
    from dexar_widgets.vlm import VLM

__all__ = ["Region", "checks"]

Region = perturb.Region | int | str
_HOWS = (*get_args(perturb.How), "scene")


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
) -> Checks:
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
    return Checks(found)


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
