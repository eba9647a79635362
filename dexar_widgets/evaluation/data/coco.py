"""COCO's instances: one mask per class, or one of all objects.

Source: Lin et al. (ECCV 2014); not a data set of DEX-AR's paper. Differs from pycocotools in how a polygon becomes
pixels: those whose centre lies inside (even–odd), where it draws outlines on a grid five times as fine; masks differ by
a pixel along edges.
"""

from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from dexar_widgets.evaluation.data._listed import Listed, drawn, settings_of
from dexar_widgets.evaluation.data._masks import mask_of
from dexar_widgets.evaluation.data._options import maybe_text, one_of, part, truth, whole_number
from dexar_widgets.evaluation.data._reading import first_file, json_of, rows_of, same_size, sha256_of, upright_picture
from dexar_widgets.evaluation.data._sentences import listing
from dexar_widgets.evaluation.samples import BrokenSampleError, Dataset, Sample, Target

TITLE = "COCO"
EXPECTS = "annotations/instances_val2017.json and the images in val2017/ (or another split's)."
SOURCE = "Both archives, annotations_trainval2017.zip and val2017.zip, are at cocodataset.org."

SPLITS = ("val2017", "train2017", "val2014", "train2014")
OBJECTS = "objects"
"""The name of all classes' mask."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """``count`` images that show an object (None: all of them), by ``seed``.

    A class that covers less than ``min_area`` of the image (0 to 1) is as if it were not there. ``crowds``, outlines
    around many at once: ``ignored`` as neither right nor wrong, or part of their class's ``mask``. ``union``,
    ``answer`` and ``prompt`` as in `voc.Options`.
    """

    split: str = "val2017"
    count: int | None = None
    seed: int = 0
    min_area: float = 0.0
    crowds: str = "ignored"
    union: bool = False
    answer: str = "said"
    prompt: str | None = None

    def __post_init__(self) -> None:
        one_of("split", self.split, SPLITS)
        whole_number("count", self.count, 1, or_none=True)
        whole_number("seed", self.seed, 0)
        part("min_area", self.min_area)
        one_of("crowds", self.crowds, ("ignored", "mask"))
        truth("union", self.union)
        one_of("answer", self.answer, ("said", "listing"))
        maybe_text("prompt", self.prompt)


class Annotations:
    """An annotation file; a copy in another process reads it anew."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Annotations, (self.path,)

    @cached_property
    def _document(self) -> dict[str, Any]:
        return json_of(self.path)

    @cached_property
    def names(self) -> dict[int, str]:
        """The classes, by their numbers in rising order."""
        rows = rows_of(self.path, self._document, "categories", {"id": int, "name": str})
        return {row["id"]: row["name"] for row in sorted(rows, key=lambda row: int(row["id"]))}

    @cached_property
    def images(self) -> dict[int, tuple[str, int, int]]:
        """Each image's file, height and width."""
        kinds = {"id": int, "file_name": str, "height": int, "width": int}
        rows = rows_of(self.path, self._document, "images", kinds)
        return {row["id"]: (row["file_name"], row["height"], row["width"]) for row in rows}

    @cached_property
    def of_image(self) -> dict[int, list[dict[str, Any]]]:
        """Each image's annotations, as they stand there."""
        found: dict[int, list[dict[str, Any]]] = {}
        for row in rows_of(self.path, self._document, "annotations", {"image_id": int, "category_id": int}):
            found.setdefault(row["image_id"], []).append(row)
        return found

    def shown(self, *, crowds: bool) -> list[int]:
        """The images with an annotation, or one that is no crowd."""
        return [
            number for number in sorted(self.images)
            if any(crowds or not row.get("iscrowd") for row in self.of_image.get(number, []))
        ]  # fmt: skip


def read(root: Path, options: Options) -> Dataset:
    """The images of a split that show an object, by their numbers."""
    folder = first_file(root, (options.split,))
    annotations = Annotations(first_file(root, (f"annotations/instances_{options.split}.json",)))
    annotations.names  # noqa: B018 (a file without classes is broken now, not at the first sample)
    shown = annotations.shown(crowds=options.crowds == "mask")
    ids = [str(number) for number in drawn(shown, options.count, options.seed, key=str)]
    settings = settings_of(options, ids, annotations=sha256_of(annotations.path))
    read_one = partial(_sample, folder=folder, annotations=annotations, options=options)
    return Listed(f"coco {options.split}", settings, dict.fromkeys(ids), read_one)


def _sample(id_: str, _: None, *, folder: Path, annotations: Annotations, options: Options) -> Sample:
    file, height, width = annotations.images[int(id_)]
    path = folder / Path(file).name
    image = upright_picture(path)
    same_size(image, np.empty((height, width), bool), path)
    masks, ignored = _masks(id_, annotations, options, height, width)
    names = list(masks)
    said = listing(names) if options.answer == "listing" else None
    spans = said.spans if said else dict.fromkeys(names, ())
    targets = [Target(name, mask, spans[name]) for name, mask in masks.items()]
    if options.union:
        targets = [Target(OBJECTS, np.any(list(masks.values()), axis=0), said.content if said else ())]
    return Sample(
        id_,
        image,
        prompt=options.prompt,
        answer=said.text if said else None,
        content=said.content if said else None,
        targets=tuple(targets),
        ignored=ignored,
        facts={"classes": ", ".join(names)},
    )


Mask = Bool[np.ndarray, "height width"]


def _masks(
    id_: str, annotations: Annotations, options: Options, height: int, width: int
) -> tuple[dict[str, Mask], Mask]:
    """Each class's pixels, in the order of the classes' numbers, and those that are ignored."""
    found: dict[int, Mask] = {}
    ignored = np.zeros((height, width), bool)
    for row in annotations.of_image[int(id_)]:
        number = row["category_id"]
        if number not in annotations.names:
            raise BrokenSampleError(f"{str(annotations.path)!r}: image {id_} shows the unknown class {number}.")
        try:
            mask = mask_of(row.get("segmentation"), height, width)
        except ValueError as error:
            raise BrokenSampleError(f"{str(annotations.path)!r}: a mask of image {id_} {error}.") from error
        if row.get("iscrowd") and options.crowds == "ignored":
            ignored |= mask
        else:
            found[number] = found[number] | mask if number in found else mask
    least = max(1, options.min_area * height * width)
    masks = {annotations.names[number]: found[number] for number in sorted(found) if found[number].sum() >= least}
    if not masks:
        raise BrokenSampleError(
            f"{str(annotations.path)!r}: image {id_} shows no object of more than {options.min_area:.1%} of it."
        )
    return masks, ignored & ~np.any(list(masks.values()), axis=0)
