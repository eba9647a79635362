"""PascalVOC's segmented images: one mask per class, or one of all objects.

Source: Everingham et al. (IJCV 2010); DEX-AR, section 4.1: IoU and pointing game "against the ground truth segmentation
masks of all objects present in the image". Whether that is a mask per class or one of them all is left open; here both
can be had. The void along outlines is ``ignored``.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dexar_widgets.evaluation.data import _voc
from dexar_widgets.evaluation.data._options import one_of, truth
from dexar_widgets.evaluation.data._sentences import listing
from dexar_widgets.evaluation.samples import Dataset, Sample, Target

TITLE = "PascalVOC"
EXPECTS = _voc.EXPECTS
SOURCE = _voc.SOURCE

OBJECTS = "objects"
"""The name of all classes' mask."""


@dataclass(frozen=True, kw_only=True)
class Options(_voc.Segmented):
    """As `_voc.Segmented`; ``union`` gives one mask of all objects.

    ``answer``: ``said`` explains what the model says, ``listing`` the classes' names ("bus, person").
    """

    union: bool = False
    answer: str = "said"

    def __post_init__(self) -> None:
        super().__post_init__()
        truth("union", self.union)
        one_of("answer", self.answer, ("said", "listing"))


def read(root: Path, options: Options) -> Dataset:
    """The images of a split, by their names."""
    return _voc.listed("voc", root, options, _sample)


def _sample(id_: str, _: None, *, folder: Path, options: Options) -> Sample:
    found = _voc.segmented(folder, id_, options)
    names = list(found.masks)
    sentence = listing(names) if options.answer == "listing" else None
    spans = sentence.spans if sentence else dict.fromkeys(names, ())
    targets = [Target(name, mask, spans[name]) for name, mask in found.masks.items()]
    if options.union:
        every = tuple(span for name in names for span in spans[name])
        targets = [Target(OBJECTS, np.any(list(found.masks.values()), axis=0), every)]
    return Sample(
        id_,
        found.image,
        prompt=options.prompt,
        answer=sentence.text if sentence else None,
        content=sentence.content if sentence else None,
        targets=tuple(targets),
        ignored=found.void,
        facts={"classes": ", ".join(names)},
    )
