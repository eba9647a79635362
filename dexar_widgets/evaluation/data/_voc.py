"""PascalVOC's segmentations: what `voc` and `voc_qa` share."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8

from dexar_widgets.evaluation.data._listed import Listed, drawn, settings_of
from dexar_widgets.evaluation.data._options import maybe_text, one_of, part, truth, whole_number
from dexar_widgets.evaluation.data._reading import BadFilesError, first_file, indices, lines_of, same_size
from dexar_widgets.evaluation.data._reading import upright_picture as pixels_of
from dexar_widgets.evaluation.samples import BrokenSampleError, Dataset, Sample

__all__ = ["CLASSES", "EXPECTS", "SOURCE", "Segmented", "Segments", "listed", "segmented"]

EXPECTS = (
    "VOC2012/ (or VOCdevkit/VOC2012/, or the root is that folder itself; likewise VOC2007) with JPEGImages/*.jpg, "
    "SegmentationClass/*.png and ImageSets/Segmentation/val.txt."
)
SOURCE = (
    "The archives VOCtrainval_11-May-2012.tar and VOCtrainval_06-Nov-2007.tar are at host.robots.ox.ac.uk/pascal/VOC."
)

CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog"),
    *("horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
"""In the order of the masks' values, from 1 on; 0 is background."""
_CLEANED = {"diningtable": "dining table", "pottedplant": "potted plant", "tvmonitor": "tv monitor"}
_VOID = 255
_YEARS = ("2012", "2007")
_SPLITS = ("val", "train", "trainval", "test")


@dataclass(frozen=True, kw_only=True)
class Segmented:
    """Options of both readers; ``count``: None takes all, else some are drawn by ``seed``.

    A class that covers less than ``min_area`` of the image (0 to 1) is as if it were not there. ``cleaned`` names have
    spaces ("tv monitor"). ``prompt``: None asks the family's own.
    """

    year: str = "2012"
    split: str = "val"
    count: int | None = None
    seed: int = 0
    min_area: float = 0.0
    cleaned: bool = True
    prompt: str | None = None

    def __post_init__(self) -> None:
        one_of("year", self.year, _YEARS)
        one_of("split", self.split, _SPLITS)
        whole_number("count", self.count, 1, or_none=True)
        whole_number("seed", self.seed, 0)
        part("min_area", self.min_area)
        truth("cleaned", self.cleaned)
        maybe_text("prompt", self.prompt)


@dataclass(frozen=True, eq=False)
class Segments:
    """An image, the mask of each class in it by name, in the order of `CLASSES`, and what is void."""

    image: UInt8[np.ndarray, "height width 3"]
    masks: dict[str, Bool[np.ndarray, "height width"]]
    void: Bool[np.ndarray, "height width"]


def listed(name: str, root: Path, options: Segmented, sample: Callable[..., Sample]) -> Dataset:
    """The images of a split, by their names; ``sample`` makes one of its name, nothing, the folder and the options."""
    folder = _folder_of(root, options)
    ids = _ids_of(folder, options)
    make = partial(sample, folder=folder, options=options)
    return Listed(f"{name}{options.year}", settings_of(options, ids), dict.fromkeys(ids), make)


def _folder_of(root: Path, options: Segmented) -> Path:
    """The folder of a year."""
    year = f"VOC{options.year}"
    if root.name == year and (root / "SegmentationClass").is_dir():
        return root
    folder = first_file(root, (year, f"VOCdevkit/{year}"))
    for name in ("JPEGImages", "SegmentationClass"):
        if not (folder / name).is_dir():
            raise BadFilesError(f"{str(folder)!r} holds no folder {name}.")
    return folder


def _ids_of(folder: Path, options: Segmented) -> list[str]:
    """The images of the split, or those that were drawn."""
    table = first_file(folder, (f"ImageSets/Segmentation/{options.split}.txt",))
    ids = lines_of(table)
    strange = [id_ for id_ in ids if not re.fullmatch(r"[\w-]+", id_)]
    if strange or not ids or len(set(ids)) < len(ids):
        what = f"names {strange[0][:40]!r}, which is no image" if strange else "names an image twice"
        raise BadFilesError(f"{str(table)!r} {what if ids else 'is empty'}.")
    return drawn(ids, options.count, options.seed, key=str)


def segmented(folder: Path, id_: str, options: Segmented) -> Segments:
    """One image and its masks."""
    file = folder / "JPEGImages" / f"{id_}.jpg"
    table = folder / "SegmentationClass" / f"{id_}.png"
    image, values = pixels_of(file), indices(table)
    same_size(image, values, file)
    strange = np.setdiff1d(values, [*range(len(CLASSES) + 1), _VOID])
    if strange.size:
        raise BrokenSampleError(f"{str(table)!r} holds the value {strange[0]}, which is no class of PascalVOC.")
    least = max(1, options.min_area * values.size)
    masks = {
        _CLEANED.get(name, name) if options.cleaned else name: values == value
        for value, name in enumerate(CLASSES, 1)
        if np.count_nonzero(values == value) >= least
    }
    if not masks:
        raise BrokenSampleError(f"{str(table)!r}: no object covers more than {options.min_area:.1%} of the image.")
    return Segments(image, masks, values == _VOID)
