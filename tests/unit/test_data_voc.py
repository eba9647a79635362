"""PascalVOC in miniature, with masks painted here, and the answers of PascalVOC-QA spelt out by hand."""

import pickle
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dexar_widgets.evaluation import data
from dexar_widgets.evaluation.samples import BrokenSampleError, Sample

AEROPLANE, BUS, CAR, PERSON, TVMONITOR, VOID = 1, 6, 7, 15, 20, 255

# 10 × 20: a car on the left, a person in the middle, a bus on the right, void between the two, 4 pixels of a screen.
STREET = np.zeros((10, 20), np.uint8)
STREET[2:8, 0:4] = CAR  # 24 pixels
STREET[0:10, 6:9] = PERSON  # 30
STREET[:, 9] = VOID
STREET[1:9, 10:19] = BUS  # 72
STREET[0, 0:4] = TVMONITOR

AIR = np.zeros((6, 8), np.uint8)
AIR[1:3, 2:7] = AEROPLANE


def painted(path: Path, values: np.ndarray) -> None:
    """A palette image as VOC's: its colours are no classes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(values, "L")
    image.putpalette(np.random.default_rng(0).integers(0, 256, 768).tolist())
    image.save(path)


def made(root: Path, year: str = "2012", split: str = "val", **masks: np.ndarray) -> Path:
    folder = root / f"VOC{year}"
    for id_, values in (masks or {"street": STREET, "air": AIR}).items():
        painted(folder / f"SegmentationClass/{id_}.png", values)
        (folder / "JPEGImages").mkdir(exist_ok=True)
        Image.new("RGB", values.shape[::-1], (10, 20, 30)).save(folder / f"JPEGImages/{id_}.jpg", "PNG")
    lists = folder / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    (lists / f"{split}.txt").write_text("\n".join(masks or ["street", "air"]) + "\n")
    return root


def street(root: Path, name: str = "voc", **options: object) -> Sample:
    return data.open(name, made(root), **options).load("street")


# voc


def test_each_class_is_a_target_and_the_void_is_ignored(tmp_path):
    sample = street(tmp_path)
    assert [target.name for target in sample.targets] == ["bus", "car", "person", "tv monitor"]
    for target, value in zip(sample.targets, (BUS, CAR, PERSON, TVMONITOR), strict=True):
        np.testing.assert_array_equal(target.mask, STREET == value)
        assert target.spans == ()
    np.testing.assert_array_equal(sample.ignored, STREET == VOID)
    assert (sample.prompt, sample.answer, sample.content) == (None, None, None)
    assert sample.facts == {"classes": "bus, car, person, tv monitor"}
    np.testing.assert_array_equal(sample.image, np.full((10, 20, 3), (10, 20, 30)))


def test_all_objects_can_be_one_target(tmp_path):
    (target,) = street(tmp_path, union=True).targets
    np.testing.assert_array_equal(target.mask, (STREET > 0) & (STREET != VOID))


def test_the_answer_can_list_the_classes(tmp_path):
    sample = street(tmp_path, answer="listing")
    assert sample.answer == "bus, car, person, tv monitor"
    assert [[sample.answer[a:b] for a, b in target.spans] for target in sample.targets] == [
        ["bus"],
        ["car"],
        ["person"],
        ["tv monitor"],
    ]
    assert [sample.answer[a:b] for a, b in sample.content] == ["bus", "car", "person", "tv monitor"]


def test_the_one_target_of_a_listing_is_named_by_every_class(tmp_path):
    sample = street(tmp_path, answer="listing", union=True, cleaned=False)
    assert [sample.answer[a:b] for a, b in sample.targets[0].spans] == ["bus", "car", "person", "tvmonitor"]


def test_a_class_below_the_least_area_is_as_if_it_were_not_there(tmp_path):
    sample = street(tmp_path, min_area=24 / 200)  # the car has exactly that, the screen 4 of 200
    assert [target.name for target in sample.targets] == ["bus", "car", "person"]
    assert not sample.ignored[0, 0]


@pytest.mark.parametrize("below", ["VOCdevkit", "."])
def test_the_years_folder_is_found_in_the_development_kit_or_given_itself(tmp_path, below):
    made(tmp_path / below, "2007")
    assert data.open("voc", tmp_path, year="2007").ids == ("street", "air")
    assert data.open("voc", tmp_path / below / "VOC2007", year="2007").name == "voc2007"


def test_images_are_listed_as_the_split_lists_them_and_drawn_by_a_seed(tmp_path):
    masks = {f"image_{n}": AIR for n in (5, 3, 1, 4, 2)}
    made(tmp_path, split="trainval", **masks)
    whole = data.open("voc", tmp_path, split="trainval").ids
    assert whole == ("image_5", "image_3", "image_1", "image_4", "image_2")
    drawn = {data.open("voc", tmp_path, split="trainval", count=2, seed=seed).ids for seed in range(8)}
    assert len(drawn) > 3
    assert all([id_ for id_ in whole if id_ in ids] == [*ids] for ids in drawn)


def test_a_mask_in_grey_holds_classes_as_well(tmp_path):
    made(tmp_path)
    Image.fromarray(AIR).save(tmp_path / "VOC2012/SegmentationClass/air.png")
    (target,) = data.open("voc", tmp_path).load("air").targets
    np.testing.assert_array_equal(target.mask, AIR == AEROPLANE)


# voc_qa


def spelt(sample: Sample) -> dict[str, list[str]]:
    return {target.name: [sample.answer[a:b] for a, b in target.spans] for target in sample.targets}


def test_the_answer_is_that_of_the_papers_example(tmp_path):
    sample = street(tmp_path, "voc_qa", min_area=0.1)
    assert sample.answer == "I see a bus as well as a car as well as a person"
    assert sample.content == ((8, 11), (25, 28), (42, 48))
    assert spelt(sample) == {"bus": ["bus"], "car": ["car"], "person": ["person"]}
    assert [int(target.mask.sum()) for target in sample.targets] == [72, 24, 30]
    np.testing.assert_array_equal(sample.ignored, STREET == VOID)
    assert sample.prompt is None


def test_a_single_object_has_no_connector_and_a_name_of_two_words_is_one_span(tmp_path):
    values = np.zeros((4, 4), np.uint8)
    values[0] = TVMONITOR
    sample = data.open("voc_qa", made(tmp_path, one=values)).load("one")
    assert sample.answer == "I see a tv monitor"
    assert sample.content == ((8, 18),)


@pytest.mark.parametrize(
    ("order", "names"),
    [
        ("alphabetical", ["bus", "car", "person", "tv monitor"]),
        ("area", ["bus", "person", "car", "tv monitor"]),
        ("left-to-right", ["car", "tv monitor", "person", "bus"]),  # car and screen have one centre: alphabetical
    ],
)
def test_names_come_in_the_order_that_was_asked_for(tmp_path, order, names):
    sample = street(tmp_path, "voc_qa", order=order)
    assert [target.name for target in sample.targets] == names
    assert sample.answer == "I see a " + " as well as a ".join(names)
    assert list(spelt(sample).values()) == [[name] for name in names]


def test_a_random_order_is_the_seeds_and_every_order_occurs(tmp_path):
    made(tmp_path)
    orders = Counter(
        data.open("voc_qa", tmp_path, order="random", min_area=0.1, seed=seed).load("street").answer
        for seed in range(120)
    )
    assert len(orders) == 6
    assert min(orders.values()) > 5  # 20 expected; less than 6 would be 3.5 deviations
    again = {data.open("voc_qa", tmp_path, order="random", seed=3).load("street").answer for _ in range(3)}
    assert len(again) == 1


def test_the_article_can_be_english(tmp_path):
    made(tmp_path)
    plain, english = (data.open("voc_qa", tmp_path, article=article) for article in ("a", "a/an"))
    assert plain.load("air").answer == "I see a aeroplane"
    sample = english.load("air")
    assert sample.answer == "I see an aeroplane"
    assert spelt(sample) == {"aeroplane": ["aeroplane"]}
    assert english.load("street").answer.startswith("I see a bus")


def test_each_image_has_one_start_and_one_connector_of_those_given(tmp_path):
    made(tmp_path, **{f"image_{n}": STREET for n in range(40)})
    starts, connectors = ("I see", "There is"), ("and", "as well as", "next to")
    dataset = data.open("voc_qa", tmp_path, starts=starts, connectors=connectors, min_area=0.1)
    samples = [dataset.load(id_) for id_ in dataset.ids]
    said = Counter(sample.answer for sample in samples)
    expected = {f"{s} a bus {c} a car {c} a person" for s in starts for c in connectors}
    assert set(said) == expected
    for sample in samples:
        assert [sample.answer[a:b] for a, b in sample.content] == ["bus", "car", "person"]


def test_lists_may_come_as_json_has_them(tmp_path):
    dataset = data.open("voc_qa", made(tmp_path), starts=["I see"], connectors=["and"])
    assert pickle.loads(pickle.dumps(dataset)).settings["connectors"] == ["and"]


# What is broken


@pytest.mark.parametrize("name", ["voc", "voc_qa"])
@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ("", "holds no VOC2012 and no VOCdevkit/VOC2012"),
        ("JPEGImages", "holds no folder JPEGImages"),
        ("SegmentationClass", "holds no folder SegmentationClass"),
        ("ImageSets/Segmentation/val.txt", "holds no ImageSets/Segmentation/val.txt"),
    ],
)
def test_a_missing_folder_is_refused_with_the_way_to_get_it(tmp_path, name, gone, message):
    made(tmp_path)
    (tmp_path / "VOC2012" / gone).rename(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=rf"{message}.* expects below its root: .*VOCtrainval_11-May-2012\.tar"):
        data.open(name, tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [("", "is empty"), ("air\nair\n", "names an image twice"), ("../secret\n", r"names '\.\./secret', which is no")],
)
def test_a_broken_list_of_images_is_refused(tmp_path, content, message):
    (made(tmp_path) / "VOC2012/ImageSets/Segmentation/val.txt").write_text(content)
    with pytest.raises(ValueError, match=message):
        data.open("voc", tmp_path)


def broken(root: Path, **options: object) -> str:
    with pytest.raises(BrokenSampleError) as caught:
        data.open("voc", root, **options).load("air")
    return str(caught.value)


def test_a_sample_without_its_image_or_mask_is_broken(tmp_path):
    (made(tmp_path) / "VOC2012/SegmentationClass/air.png").unlink()
    assert "There is no mask at" in broken(tmp_path)
    (tmp_path / "VOC2012/JPEGImages/air.jpg").unlink()
    assert "No image at" in broken(tmp_path)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (AIR[:, :6], r"air\.jpg' has 8×6 pixels and its mask 6×6"),
        (np.where(AIR, np.uint8(21), AIR), r"air\.png' holds the value 21, which is no class"),
        (AIR * 0, "no object covers more than 0.0% of the image"),
        (np.full_like(AIR, VOID), "no object covers more than 0.0% of the image"),
    ],
)
def test_a_mask_that_does_not_fit_is_broken(tmp_path, mask, message):
    painted(made(tmp_path) / "VOC2012/SegmentationClass/air.png", mask)
    assert re.search(message, broken(tmp_path))


def test_a_mask_of_colours_is_broken(tmp_path):
    Image.new("RGB", (8, 6)).save(made(tmp_path) / "VOC2012/SegmentationClass/air.png")
    assert "holds colours (mode RGB)" in broken(tmp_path)


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_a_damaged_mask_is_broken(tmp_path, content):
    (made(tmp_path) / "VOC2012/SegmentationClass/air.png").write_bytes(content)
    assert "damaged or truncated" in broken(tmp_path)


def test_a_mask_that_was_cut_short_is_broken(tmp_path):
    values = np.random.default_rng(0).integers(0, 21, (60, 60)).astype(np.uint8)
    path = made(tmp_path, air=values) / "VOC2012/SegmentationClass/air.png"
    path.write_bytes(path.read_bytes()[:-1500])
    assert "damaged or truncated" in broken(tmp_path)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_bomb_of_a_mask_is_broken(tmp_path, monkeypatch):
    painted(made(tmp_path) / "VOC2012/SegmentationClass/air.png", np.zeros((9, 9), np.uint8))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 60)  # the image has 48
    assert "larger than Pillow's limit" in broken(tmp_path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)
    assert "decompression bomb" in broken(tmp_path)


def test_an_image_that_exif_turns_is_broken_for_its_mask_may_not_be(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down: the size alone would not tell
    Image.new("RGB", (8, 6)).save(made(tmp_path) / "VOC2012/JPEGImages/air.jpg", exif=exif)
    assert "is to be turned (EXIF orientation 3)" in broken(tmp_path)


def test_an_image_without_an_object_of_the_least_area_is_broken(tmp_path):
    assert "no object covers more than 50.0% of the image" in broken(made(tmp_path), min_area=0.5)
