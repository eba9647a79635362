"""ImageNet from every layout that people have, and what is said of one that is broken; images are made here."""

import json
import re
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dexar_widgets.evaluation import data
from dexar_widgets.evaluation.samples import BrokenSampleError

SYNSETS = {"n01440764": "tench, Tinca tinca", "n01443537": "goldfish, Carassius auratus", "n02123045": "tabby cat"}
MAPPING = "".join(f"{wnid} {names}\n" for wnid, names in SYNSETS.items())


def picture(path: Path, colour: tuple[int, int, int] = (200, 100, 50)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (6, 4), colour).save(path, "PNG")


def in_folders(root: Path, each: int = 4) -> Path:
    """Images 0001 … in the folder of their class, in turn."""
    for number in range(each * len(SYNSETS)):
        wnid = list(SYNSETS)[number % len(SYNSETS)]
        picture(root / f"val/{wnid}/ILSVRC2012_val_{number + 1:08d}.JPEG", (number, 0, 0))
    (root / "LOC_synset_mapping.txt").write_text(MAPPING)
    return root


def flat(root: Path, folder: str = "val") -> Path:
    """Images 1, 2 and 3 all together: a goldfish, a tabby cat and a tench, unlabelled."""
    for number in (1, 2, 3):
        picture(root / folder / f"ILSVRC2012_val_{number:08d}.JPEG")
    (root / "LOC_synset_mapping.txt").write_text(MAPPING)
    return root


def answers(root: Path, **options: object) -> list[str | None]:
    dataset = data.open("imagenet", root, count=None, **options)
    return [dataset.load(id_).answer for id_ in dataset.ids]


def test_an_image_is_asked_the_familys_question_and_answered_by_its_first_synonym(tmp_path):
    dataset = data.open("imagenet", in_folders(tmp_path), count=None)
    assert dataset.ids[0] == "ILSVRC2012_val_00000001"
    sample = dataset.load("ILSVRC2012_val_00000002")
    assert (sample.prompt, sample.answer) == (None, "goldfish")
    assert sample.content == ((0, 8),)
    assert sample.facts == {"class": "n01443537", "name": "goldfish"}
    np.testing.assert_array_equal(sample.image, np.full((4, 6, 3), (1, 0, 0)))
    assert sample.targets == ()
    assert sample.ignored is None


def test_in_a_template_only_the_name_is_content(tmp_path):
    dataset = data.open("imagenet", in_folders(tmp_path), count=None, template="I see a {name}.", prompt="What is it?")
    sample = dataset.load("ILSVRC2012_val_00000003")
    assert (sample.prompt, sample.answer) == ("What is it?", "I see a tabby cat.")
    ((start, stop),) = sample.content
    assert sample.answer[start:stop] == "tabby cat"


@pytest.mark.parametrize(("count", "each"), [(3, 1), (6, 2), (9, 3), (12, 4)])
def test_as_many_images_of_each_class_as_of_any_other_are_drawn(tmp_path, count, each):
    dataset = data.open("imagenet", in_folders(tmp_path), count=count)
    assert len(dataset.ids) == count
    assert Counter(dataset.load(id_).facts["class"] for id_ in dataset.ids) == dict.fromkeys(SYNSETS, each)


def test_the_seed_decides_which_images_are_drawn_and_a_larger_draw_holds_a_smaller_one(tmp_path):
    root = in_folders(tmp_path, each=8)
    drawn = {seed: data.open("imagenet", root, count=6, seed=seed).ids for seed in (0, 1, 2)}
    assert data.open("imagenet", root, count=6, seed=1).ids == drawn[1]
    assert len({*drawn.values()}) == 3
    assert {*drawn[0]} < {*data.open("imagenet", root, count=12).ids}
    # of each class, the two images with the lowest `printf '0 ILSVRC2012_val_…' | sha256sum`
    assert [int(id_[-2:]) for id_ in drawn[0]] == [1, 8, 12, 17, 18, 22]


def test_the_same_images_in_another_layout_are_the_same_data_set(tmp_path):
    root = in_folders(tmp_path / "folders")
    (tmp_path / "flat/val").mkdir(parents=True)
    (tmp_path / "flat/LOC_synset_mapping.txt").write_text(MAPPING)
    lines = []
    for file in root.glob("val/*/*.JPEG"):
        lines.append(f"{file.name} {file.parent.name}")
        shutil.copy(file, tmp_path / "flat/val")
    (tmp_path / "flat/val.txt").write_text("\n".join(lines))
    first, second = (data.open("imagenet", tmp_path / name, count=6) for name in ("folders", "flat"))
    assert first.ids == second.ids
    assert first.settings == second.settings


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (
            "LOC_val_solution.csv",
            "ImageId,PredictionString\n"
            "ILSVRC2012_val_00000002,n02123045 1 2 3 4 n02123045 5 6 7 8 \n"
            "ILSVRC2012_val_00000001,n01443537 111 108 230 198 \n"
            "ILSVRC2012_val_00000003,n01440764 1 1 2 2 \n",
        ),
        (
            "val_labels.txt",
            "ILSVRC2012_val_00000001.JPEG n01443537\nILSVRC2012_val_00000003.JPEG n01440764\n\n"
            "ILSVRC2012_val_00000002.JPEG n02123045\n",
        ),
        (
            "val.txt",
            "ILSVRC2012_val_00000001.JPEG 1\nILSVRC2012_val_00000002.JPEG 2\nILSVRC2012_val_00000003.JPEG 0\n",
        ),
        ("imagenet_2012_validation_synset_labels.txt", "n01443537\nn02123045\nn01440764\n"),
    ],
)
def test_labels_of_a_flat_folder_are_read_in_every_form(tmp_path, name, content):
    (flat(tmp_path) / name).write_text(content)
    assert answers(tmp_path) == ["goldfish", "tabby cat", "tench"]


def test_the_competitions_own_folders_are_known(tmp_path):
    flat(tmp_path, "ILSVRC/Data/CLS-LOC/val")
    (tmp_path / "val.txt").write_text("ILSVRC2012_val_00000001 1\nILSVRC2012_val_00000002 2\nILSVRC2012_val_00000003 0")
    assert answers(tmp_path) == ["goldfish", "tabby cat", "tench"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("synset_words.txt", MAPPING),
        ("classes.json", json.dumps(SYNSETS)),
        ("classes.json", json.dumps({wnid: names.split(", ") for wnid, names in SYNSETS.items()})),
        (
            "imagenet_class_index.json",
            json.dumps({"0": ["n01440764", "tench"], "1": ["n01443537", "goldfish"], "2": ["n02123045", "tabby_cat"]}),
        ),
    ],
)
def test_names_of_the_classes_are_read_in_every_form(tmp_path, name, content):
    in_folders(tmp_path, each=1)
    (tmp_path / "LOC_synset_mapping.txt").unlink()
    (tmp_path / name).write_text(content)
    assert answers(tmp_path) == ["tench", "goldfish", "tabby cat"]


# What is broken


def refusal(root: Path, **options: object) -> str:
    with pytest.raises(ValueError) as caught:
        data.open("imagenet", root, **{"count": None, **options})
    return str(caught.value)


def test_a_missing_folder_is_refused_with_what_is_expected_where_and_how_to_get_it(tmp_path):
    said = refusal(tmp_path)
    assert re.search(r"holds no val and no ILSVRC/Data/CLS-LOC/val", said)
    assert "val/n01440764/*.JPEG" in said
    assert "image-net.org" in said


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("LOC_synset_mapping.txt", "n01440764 tench\n", "n01443537 of .* has no name"),
        ("LOC_synset_mapping.txt", "", "names no class"),
        ("LOC_synset_mapping.txt", "n01440764\n", "names no class n01440764"),
        ("LOC_synset_mapping.txt", b"\xff\xfe\x00\xd8", "no text in UTF-8"),
    ],
)
def test_a_broken_list_of_classes_is_refused(tmp_path, file, content, message):
    path = in_folders(tmp_path) / file
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert re.search(message, refusal(tmp_path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"n01440764": ', "no JSON, or was cut short"),
        ('["tench"]', "holds a list; expected an object"),
        ('{"n01440764": 3}', "'n01440764' is no class"),
        ('{"n01440764": []}', "'n01440764' is no class"),
        ('{"0": ["n01440764", 3]}', "'0' is no class"),
        ("[" * 100_000, "no JSON"),
    ],
)
def test_a_broken_json_of_classes_is_refused(tmp_path, content, message):
    (in_folders(tmp_path) / "LOC_synset_mapping.txt").unlink()
    (tmp_path / "classes.json").write_text(content)
    assert re.search(message, refusal(tmp_path))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("LOC_val_solution.csv", "ImageId,Labels\na,b\n", "line 2, has nothing in the column 'PredictionString'"),
        ("LOC_val_solution.csv", 'ImageId,PredictionString\n"a', "no table of comma-separated values"),
        ("LOC_val_solution.csv", "ImageId,PredictionString\n", "says nothing of ILSVRC2012_val_00000001.JPEG"),
        ("val.txt", "ILSVRC2012_val_00000001.JPEG 3\n", "no class number 3"),
        ("val.txt", "490\n361\n171\n", "line 1, is '490'.*whose numbering"),
        ("val.txt", "n01440764\n", "has 1 lines for 3 images"),
        ("val.txt", "ILSVRC2012_val_00000001.JPEG n99999999\n", "says nothing of ILSVRC2012_val_00000002"),
    ],
)
def test_broken_labels_are_refused(tmp_path, name, content, message):
    (flat(tmp_path) / name).write_text(content)
    assert re.search(message, refusal(tmp_path))


def test_a_flat_folder_without_labels_and_one_without_images_are_refused(tmp_path):
    assert "holds no LOC_val_solution.csv" in refusal(flat(tmp_path))
    (tmp_path / "other/val").mkdir(parents=True)
    (tmp_path / "other/classes.json").write_text('{"n1": "one"}')
    assert "holds no images" in refusal(tmp_path / "other")


def test_two_images_of_one_name_are_refused(tmp_path):
    in_folders(tmp_path)
    picture(tmp_path / "val/n02123045/ILSVRC2012_val_00000001.JPEG")
    assert "have the same name" in refusal(tmp_path)


def test_more_images_than_there_are_cannot_be_asked_for(tmp_path):
    assert "count=13 asks for more than the 12 samples" in refusal(in_folders(tmp_path), count=13)


def test_a_broken_image_is_told_when_it_is_read_and_not_before(tmp_path):
    root = in_folders(tmp_path)
    path = root / "val/n01440764/ILSVRC2012_val_00000001.JPEG"
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    Image.fromarray(noise).save(path, "JPEG")
    whole = path.read_bytes()
    dataset = data.open("imagenet", root, count=None)
    for content, message in (
        (whole[: len(whole) // 2], "damaged or truncated"),
        (b"text", "not an image"),
        (b"", "is empty"),
    ):
        path.write_bytes(content)
        with pytest.raises(BrokenSampleError, match=f"{path.name}.*{message}"):
            dataset.load("ILSVRC2012_val_00000001")
    path.unlink()
    with pytest.raises(BrokenSampleError, match=f"No image at.*{path.name}"):
        dataset.load("ILSVRC2012_val_00000001")


def test_a_decompression_bomb_is_broken(tmp_path, monkeypatch):
    dataset = data.open("imagenet", in_folders(tmp_path), count=None)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)  # the images have 24
    with pytest.raises(BrokenSampleError, match="decompression bomb"):
        dataset.load(dataset.ids[0])
