"""ImageNet's validation images: classify the image, the answer is the class's name.

Source: DEX-AR, section 4.1 and appendix B: 5,000 images of 1,000 classes, drawn at random; the prompt is the family's
own ("Classify the image."). Differs: as many of each class as of any other (5), where the paper does not say. Which of
a class's synonyms is the answer it does not say either: here the first.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from dexar_widgets.evaluation.data._listed import Listed, drawn, settings_of
from dexar_widgets.evaluation.data._options import maybe_text, template, whole_number
from dexar_widgets.evaluation.data._reading import BadFilesError, csv_rows, first_file, json_of, lines_of, picture
from dexar_widgets.evaluation.samples import Dataset, Sample

TITLE = "ImageNet (ILSVRC 2012)"
EXPECTS = (
    "val/ (or ILSVRC/Data/CLS-LOC/val/) with the images, either in a folder per class (val/n01440764/*.JPEG) or all "
    "together beside LOC_val_solution.csv, val_labels.txt, val.txt or imagenet_2012_validation_synset_labels.txt; and "
    "the classes' names in LOC_synset_mapping.txt, synset_words.txt, classes.json or imagenet_class_index.json."
)
SOURCE = (
    "The images are for research, on request at image-net.org; with both tables they are part of the competition "
    "'ImageNet Object Localization Challenge' on kaggle.com."
)

_IMAGES = ("val", "ILSVRC/Data/CLS-LOC/val")
_LABELS = ("LOC_val_solution.csv", "val_labels.txt", "val.txt", "imagenet_2012_validation_synset_labels.txt")
_CLASSES = ("LOC_synset_mapping.txt", "synset_words.txt", "classes.json", "imagenet_class_index.json")
_SUFFIXES = (".jpeg", ".jpg", ".png")
Row = tuple[str, str, str]
"""The file below the root, its class (a WordNet id), and the class's name."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """``count`` images (None: all), as many of each class as of any other, by ``seed``.

    ``template`` is the answer; ``{name}`` in it is the class's name, and alone counts as content ("I see a {name}" for
    the paper's appendix L). ``prompt``: None asks the family's own.
    """

    count: int | None = 5000
    seed: int = 0
    template: str = "{name}"
    prompt: str | None = None

    def __post_init__(self) -> None:
        whole_number("count", self.count, 1, or_none=True)
        whole_number("seed", self.seed, 0)
        template("template", self.template)
        maybe_text("prompt", self.prompt)


def read(root: Path, options: Options) -> Dataset:
    """The images that were drawn, named by their files."""
    folder = first_file(root, _IMAGES)
    names = _names(first_file(root, _CLASSES))
    found = _in_folders(folder) or _labelled(root, folder, list(names))
    if not found:
        raise BadFilesError(f"{str(folder)!r} holds no images ({', '.join(_SUFFIXES)}), nor folders with some.")
    nameless = sorted({wnid for _, wnid in found} - set(names))
    if nameless:
        raise BadFilesError(f"The class {nameless[0]} of {str(folder)!r} has no name in the list of classes.")
    rows = dict(sorted((Path(file).stem, (file, wnid, names[wnid])) for file, wnid in found))
    if len(rows) < len(found):
        raise BadFilesError(f"Two images below {str(folder)!r} have the same name.")
    chosen = dict(
        drawn(rows.items(), options.count, options.seed, key=lambda item: item[0], group=lambda item: item[1][1])
    )
    listed = [[id_, *row[1:]] for id_, row in chosen.items()]
    return Listed("imagenet", settings_of(options, listed), chosen, partial(_sample, folder=folder, options=options))


def _sample(id_: str, row: Row, *, folder: Path, options: Options) -> Sample:
    file, wnid, name = row
    before, _, _ = options.template.partition("{name}")
    return Sample(
        id_,
        picture(folder / file),
        prompt=options.prompt,
        answer=options.template.replace("{name}", name),
        content=((len(before), len(before) + len(name)),),
        facts={"class": wnid, "name": name},
    )


def _images(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir() if file.suffix.lower() in _SUFFIXES)


def _in_folders(folder: Path) -> list[tuple[str, str]]:
    """Files and classes, where each class has a folder of its own."""
    classes = sorted(one.name for one in folder.iterdir() if one.is_dir())
    return [(f"{wnid}/{file}", wnid) for wnid in classes for file in _images(folder / wnid)]


def _labelled(root: Path, folder: Path, order: list[str]) -> list[tuple[str, str]]:
    """Files and classes, where a table says which is which."""
    files = _images(folder)
    if not files:
        return []
    table = first_file(root, _LABELS)
    labels = _solution(table) if table.suffix == ".csv" else _label_lines(table, files, order)
    without = [file for file in files if Path(file).stem not in labels]
    if without:
        raise BadFilesError(f"{str(table)!r} says nothing of {without[0]} (and {len(without) - 1} others).")
    return [(file, labels[Path(file).stem]) for file in files]


def _solution(table: Path) -> dict[str, str]:
    rows = csv_rows(table, ("ImageId", "PredictionString"))
    return {row["ImageId"]: row["PredictionString"].split()[0] for row in rows}


def _label_lines(table: Path, files: list[str], order: list[str]) -> dict[str, str]:
    """Lines "file class", where a class is a WordNet id or its place in the list of classes; or one id per file."""
    lines = [line.split() for line in lines_of(table)]
    if all(len(words) == 1 and words[0].startswith("n") for words in lines):
        if len(lines) != len(files):
            raise BadFilesError(f"{str(table)!r} has {len(lines)} lines for {len(files)} images.")
        return {Path(file).stem: words[0] for file, words in zip(files, lines, strict=True)}
    labels = {}
    for number, words in enumerate(lines, 1):
        if len(words) != 2:
            raise BadFilesError(
                f"{str(table)!r}, line {number}, is {' '.join(words)[:60]!r}; expected a file and its class, or a "
                "WordNet id alone (a number alone, as in the development kit, does not say whose numbering it is)."
            )
        file, label = words
        if label.isdecimal():
            if int(label) >= len(order):
                raise BadFilesError(f"{str(table)!r}, line {number}: there is no class number {label}.")
            label = order[int(label)]
        labels[Path(file).stem] = label
    return labels


def _names(path: Path) -> Mapping[str, str]:
    """Each class's first synonym, in the list's order."""
    if path.suffix == ".json":
        told = json_of(path)
        names = dict(_entry(path, key, value) for key, value in told.items())
    else:
        split = [line.partition(" ") for line in lines_of(path)]
        names = {wnid: synonyms.split(",")[0].strip() for wnid, _, synonyms in split}
    blank = [wnid for wnid, name in names.items() if not name]
    if blank or not names:
        raise BadFilesError(f"{str(path)!r} names no class{f' {blank[0]}' if blank else ''}.")
    return names


def _entry(path: Path, key: str, value: Any) -> tuple[str, str]:
    """One class of a JSON file: ``id: "name, …"``, ``id: ["name", …]`` or ``"0": ["id", "name"]``."""
    words = value if isinstance(value, list) else [value]
    if not words or not all(isinstance(word, str) for word in words):
        raise BadFilesError(f"{str(path)!r}: {key!r} is no class with its name.")
    if key.isdecimal() and len(words) == 2:
        key, words = words[0], [words[1].replace("_", " ")]
    return key, words[0].split(",")[0].strip()
