"""PascalVOC-QA: PascalVOC's images with answers put together from the classes' names, so that filler is known.

Source: DEX-AR, appendix H: "I see a bus as well as a car as well as a person". Differs, or left open there: the order
(here alphabetical, as in the example), the least area of an object (1 %), the question (the family's own), and the
article, which is "a" before every name as in the paper unless ``article="a/an"``. Names are cleaned ("tv monitor").
What a template calls filler may still depend on the image: whether " as well as" or the end follows a name does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from dexar_widgets.evaluation.data import _voc
from dexar_widgets.evaluation.data._listed import lot, picked
from dexar_widgets.evaluation.data._options import one_of
from dexar_widgets.evaluation.data._sentences import sentence
from dexar_widgets.evaluation.samples import Dataset, Sample, Target

TITLE = "PascalVOC-QA"
EXPECTS = _voc.EXPECTS
SOURCE = _voc.SOURCE

ORDERS = ("alphabetical", "area", "left-to-right", "random")


@dataclass(frozen=True, kw_only=True)
class Options(_voc.Segmented):
    """As `_voc.Segmented`, with a least area of 1 %.

    Of ``starts`` and ``connectors``, each image is given one by the seed. ``order`` of the names: ``alphabetical``,
    ``area`` (largest first), ``left-to-right`` (by the centre of each mask) or ``random`` (by the seed). ``article``:
    ``a``, or ``a/an`` as English has it.
    """

    min_area: float = 0.01
    starts: tuple[str, ...] = ("I see",)
    connectors: tuple[str, ...] = ("as well as",)
    order: str = "alphabetical"
    article: str = "a"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("order", self.order, ORDERS)
        one_of("article", self.article, ("a", "a/an"))
        for name in ("starts", "connectors"):
            texts = getattr(self, name)
            if (
                isinstance(texts, str)
                or not texts
                or not all(isinstance(t, str) and t.strip() == t != "" for t in texts)
            ):
                raise ValueError(f"{name}={texts!r} is not accepted; give texts without spaces around them.")
            object.__setattr__(self, name, tuple(texts))


def read(root: Path, options: Options) -> Dataset:
    """The images of a split, by their names."""
    return _voc.listed("voc_qa", root, options, _sample)


def _sample(id_: str, _: None, *, folder: Path, options: Options) -> Sample:
    found = _voc.segmented(folder, id_, options)
    names = _ordered(found.masks, id_, options)
    start = picked(options.starts, options.seed, f"start {id_}")
    connector = picked(options.connectors, options.seed, f"connector {id_}")
    joints = [f"{start} ", *[f" {connector} "] * (len(names) - 1)]
    said = sentence(
        names, [f"{joint}{_article(name, options.article)} " for joint, name in zip(joints, names, strict=True)]
    )
    return Sample(
        id_,
        found.image,
        prompt=options.prompt,
        answer=said.text,
        content=said.content,
        targets=tuple(Target(name, found.masks[name], said.spans[name]) for name in names),
        ignored=found.void,
        facts={"classes": ", ".join(names)},
    )


def _ordered(masks: Mapping[str, Bool[np.ndarray, "height width"]], id_: str, options: Options) -> Sequence[str]:
    names = sorted(masks)
    if options.order == "area":
        return sorted(names, key=lambda name: -np.count_nonzero(masks[name]))
    if options.order == "left-to-right":
        return sorted(names, key=lambda name: float(np.nonzero(masks[name])[1].mean()))
    if options.order == "random":
        return sorted(names, key=lambda name: lot(options.seed, f"order {id_} {name}"))
    return names


def _article(name: str, article: str) -> str:
    return "an" if article == "a/an" and name[0] in "aeiou" else "a"
