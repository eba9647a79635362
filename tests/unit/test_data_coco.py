"""COCO's annotations, written here; every mask is worked out by hand."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dexar_widgets.evaluation import data
from dexar_widgets.evaluation.data._masks import mask_of
from dexar_widgets.evaluation.samples import BrokenSampleError, Sample

CATEGORIES = [{"id": 3, "name": "car"}, {"id": 1, "name": "person"}, {"id": 64, "name": "potted plant"}]


def square(left: float, top: float, right: float, bottom: float) -> list[float]:
    return [left, top, right, top, right, bottom, left, bottom]


def one(category: int, segmentation: object, image: int = 9, **more: object) -> dict[str, object]:
    return {"image_id": image, "category_id": category, "segmentation": segmentation, **more}


# Image 9 is 4 high and 6 wide. Down its columns: 4 off, 2 on, 3 off, 1 on, 14 off.
CROWD = one(1, {"counts": [4, 2, 3, 1, 14], "size": [4, 6]}, iscrowd=1)
CROWD_MASK = np.array([[0, 1, 0, 0, 0, 0], [0, 1, 1, 0, 0, 0], [0] * 6, [0] * 6], bool)
CARS = (one(3, [square(3, 0, 6, 1)]), one(3, [square(3, 3, 5, 4), square(0, 3, 1, 4)], iscrowd=0))
CAR_MASK = np.array([[0, 0, 0, 1, 1, 1], [0] * 6, [0] * 6, [1, 0, 0, 1, 1, 0]], bool)
PERSON = one(1, [square(0, 1, 2, 3)])
PERSON_MASK = np.array([[0] * 6, [1, 1, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0], [0] * 6], bool)
ROWS = [CROWD, *CARS, PERSON]


def made(root: Path, rows: list[dict[str, object]] = ROWS, split: str = "val2017", **changed: object) -> Path:
    """Image 9 with these annotations; image 2 shows a plant, image 5 a crowd alone and image 4 nothing."""
    (root / split).mkdir(parents=True)
    images = []
    for number in (9, 2, 4, 5):
        Image.new("RGB", (6, 4), (number, 0, 0)).save(root / split / f"{number:012d}.jpg", "PNG")
        images.append({"id": number, "file_name": f"{number:012d}.jpg", "height": 4, "width": 6})
    rows = [*rows, one(64, [square(0, 0, 6, 2)], 2), {**CROWD, "image_id": 5}]
    document = {"images": images, "categories": CATEGORIES, "annotations": rows, **changed}
    path = root / f"annotations/instances_{split}.json"
    path.parent.mkdir()
    path.write_text(json.dumps(document))
    return root


def nine(root: Path, rows: list[dict[str, object]] = ROWS, **options: object) -> Sample:
    return data.open("coco", made(root, rows), **options).load("9")


def test_instances_of_a_class_are_one_target_and_classes_come_by_their_numbers(tmp_path):
    sample = nine(tmp_path)
    assert [target.name for target in sample.targets] == ["person", "car"]
    for target, mask in zip(sample.targets, (PERSON_MASK, CAR_MASK), strict=True):
        np.testing.assert_array_equal(target.mask, mask)
        assert target.spans == ()
    assert (sample.prompt, sample.answer, sample.content) == (None, None, None)
    assert sample.facts == {"classes": "person, car"}
    assert sample.image[0, 0, 0] == 9


def test_a_crowd_is_ignored_where_nothing_else_is(tmp_path):
    np.testing.assert_array_equal(nine(tmp_path).ignored, CROWD_MASK & ~PERSON_MASK)


def test_a_crowd_can_be_part_of_its_class(tmp_path):
    sample = nine(tmp_path, crowds="mask")
    np.testing.assert_array_equal(sample.targets[0].mask, PERSON_MASK | CROWD_MASK)
    assert not sample.ignored.any()


def test_images_that_show_no_object_are_not_listed(tmp_path):
    assert data.open("coco", made(tmp_path)).ids == ("2", "9")
    assert data.open("coco", tmp_path, crowds="mask").ids == ("2", "5", "9")


def test_some_images_are_drawn_by_a_seed(tmp_path):
    made(tmp_path)
    assert {data.open("coco", tmp_path, count=1, seed=seed).ids for seed in range(10)} == {("2",), ("9",)}


def test_the_answer_can_list_the_classes_and_all_objects_can_be_one_target(tmp_path):
    sample = nine(tmp_path, answer="listing", union=True)
    assert sample.answer == "person, car"
    (target,) = sample.targets
    np.testing.assert_array_equal(target.mask, PERSON_MASK | CAR_MASK)
    assert [sample.answer[a:b] for a, b in target.spans] == ["person", "car"]
    assert sample.content == target.spans


def test_a_class_below_the_least_area_is_as_if_it_were_not_there(tmp_path):
    assert [target.name for target in nine(tmp_path, min_area=0.2).targets] == ["car"]  # 6 of 24; the person has 4


def test_other_annotations_are_other_settings(tmp_path):
    first = data.open("coco", made(tmp_path / "a"))
    second = data.open("coco", made(tmp_path / "b", [CROWD, *CARS, one(1, [square(0, 1, 2, 4)])]))
    assert first.ids == second.ids
    assert first.settings != second.settings


def test_a_worker_gets_paths_and_no_masks(tmp_path):
    dataset = data.open("coco", made(tmp_path, [*ROWS, *[one(1, [square(0, 1, 2, 3)] * 20)] * 20]))
    dataset.load("9")
    sent = pickle.dumps(dataset)
    assert len(sent) < 3000
    np.testing.assert_array_equal(pickle.loads(sent).load("9").targets[0].mask, PERSON_MASK)


# Masks


@pytest.mark.parametrize(
    ("polygon", "rows"),
    [
        (square(1, 1, 3, 3), ["....", ".##.", ".##.", "...."]),
        (square(0.6, 0, 2.4, 4), [".#..", ".#..", ".#..", ".#.."]),  # of the columns' centres, 1.5 alone lies inside
        (square(0.4, 0, 2.6, 4), ["###.", "###.", "###.", "###."]),
        (square(-5, -5, 9, 9), ["####", "####", "####", "####"]),
        (square(1.1, 1.1, 1.4, 1.4), ["....", "....", "....", "...."]),
        ([0, 0, 4, 0, 0, 4], ["###.", "##..", "#...", "...."]),  # of centres on its slope, none is inside
        ([0, 0, 0, 4, 4, 0, 4, 4], ["...#", "#.##", "#.##", "...#"]),  # crosses itself; a left edge is part of it
    ],
)
def test_a_polygon_covers_the_pixels_whose_centre_is_inside(polygon, rows):
    np.testing.assert_array_equal(mask_of([polygon], 4, 4), [[mark == "#" for mark in row] for row in rows])


def inside(x: float, y: float, points: list[tuple[float, float]]) -> bool:
    """The winding angle of a simple polygon around a point is a whole turn inside and none outside."""
    turned = 0.0
    for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]], strict=True):
        turned += np.angle(complex(x1 - x, y1 - y) / complex(x0 - x, y0 - y))
    return abs(turned) > np.pi


@pytest.mark.parametrize("seed", range(4))
def test_a_star_of_many_corners_is_filled_as_the_winding_angle_says(seed):
    random = np.random.default_rng(seed)
    angles = np.sort(random.uniform(0, 2 * np.pi, 40))
    radii = random.uniform(3, 16, 40)
    points = [(15 + r * np.cos(a), 10 + r * np.sin(a)) for a, r in zip(angles, radii, strict=True)]
    expected = [[inside(col + 0.5, row + 0.5, points) for col in range(30)] for row in range(20)]
    np.testing.assert_array_equal(mask_of([np.ravel(points).tolist()], 20, 30), expected)


def test_parts_of_an_object_that_overlap_are_one_mask():
    mask = mask_of([square(0, 0, 2, 2), square(1, 0, 3, 2)], 2, 4)
    np.testing.assert_array_equal(mask, [[1, 1, 1, 0]] * 2)


@pytest.mark.parametrize(
    ("counts", "rows"),
    [([6], ["...", "..."]), ([0, 6], ["###", "###"]), ([1, 2, 3], [".#.", "#.."]), ([0, 1, 4, 1], ["#..", "..#"])],
)
def test_run_lengths_go_down_the_columns_and_begin_with_off(counts, rows):
    mask = mask_of({"counts": counts, "size": [2, 3]}, 2, 3)
    np.testing.assert_array_equal(mask, [[mark == "#" for mark in row] for row in rows])


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        (None, "neither a list of polygons nor run lengths"),
        ([], "neither a list of polygons nor run lengths"),
        ([[0, 0, 1, 1]], "at least three points"),
        ([[0, 0, 1, 1, 2, 2, 3]], "at least three points"),
        ([[0, 0, 1, 1, 2, None]], "at least three points"),
        ([[0, 0, 1, 1, 2, float("nan")]], "at least three points"),
        ([[[0, 0], [1, 1], [2, 2]]], "at least three points"),
        (["0 0 1 1 2 2"], "at least three points"),
        ({"counts": [24], "size": [6, 4]}, r"the size \[6, 4\] of its run lengths; expected \[4, 6\]"),
        ({"counts": [23], "size": [4, 6]}, "do not add up to 4×6"),
        ({"counts": [25, -1], "size": [4, 6]}, "do not add up to 4×6"),
        ({"counts": [23.5, 0.5], "size": [4, 6]}, "do not add up to 4×6"),
        ({"size": [4, 6]}, "do not add up to 4×6"),
        ({"counts": "abc", "size": [4, 6]}, "compressed run lengths, which are not read"),
    ],
)
def test_a_mask_that_is_none_is_broken(tmp_path, segmentation, message):
    with pytest.raises(BrokenSampleError, match=f"instances_val2017.json.*a mask of image 9 .*{message}"):
        nine(tmp_path, [one(3, segmentation)])


# What else is broken


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": []}, "lists nothing under 'images'"),
        ({"annotations": [{"image_id": "9", "category_id": 1}]}, r"annotations\[0\] has no 'image_id'"),
        ({"annotations": [[]]}, r"annotations\[0\] has no 'image_id'"),
        ({"categories": [{"id": 1}]}, r"categories\[0\] has no 'name' that is a text"),
        ({"images": [{"id": 1, "file_name": "a.jpg", "height": 3.5}]}, r"images\[0\] has no 'height'"),
    ],
)
def test_a_file_without_what_it_must_list_is_refused(tmp_path, change, message):
    with pytest.raises(ValueError, match=rf"instances_val2017.json.*{message}.*cocodataset\.org"):
        data.open("coco", made(tmp_path, **change))


def test_missing_and_broken_files_are_refused(tmp_path):
    path = made(tmp_path) / "annotations/instances_val2017.json"
    path.write_text(path.read_text()[:200])
    with pytest.raises(ValueError, match="no JSON, or was cut short"):
        data.open("coco", tmp_path)
    path.unlink()
    with pytest.raises(ValueError, match="holds no annotations/instances_val2017"):
        data.open("coco", tmp_path)
    with pytest.raises(ValueError, match="holds no train2014"):
        data.open("coco", tmp_path, split="train2014")


def test_an_image_of_another_size_than_its_annotations_is_broken(tmp_path):
    made(tmp_path)
    Image.new("RGB", (4, 6)).save(tmp_path / "val2017/000000000009.jpg")
    with pytest.raises(BrokenSampleError, match=r"000000000009.jpg' has 4×6 pixels and its mask 6×4"):
        data.open("coco", tmp_path).load("9")


def test_a_missing_image_an_unknown_class_and_an_object_without_a_pixel_are_broken(tmp_path):
    dataset = data.open("coco", made(tmp_path, [one(7, [square(0, 0, 1, 1)])]))
    with pytest.raises(BrokenSampleError, match="image 9 shows the unknown class 7"):
        dataset.load("9")
    (tmp_path / "val2017/000000000002.jpg").unlink()
    with pytest.raises(BrokenSampleError, match=r"No image at .*000000000002\.jpg"):
        dataset.load("2")
    dataset = data.open("coco", made(tmp_path / "b", [one(3, [square(1.1, 1.1, 1.4, 1.4)])]))
    with pytest.raises(BrokenSampleError, match="image 9 shows no object"):
        dataset.load("9")


def test_a_files_name_cannot_lead_out_of_the_folder(tmp_path):
    images = [{"id": 9, "file_name": "../../secret.jpg", "height": 4, "width": 6}]
    Image.new("RGB", (6, 4)).save(tmp_path / "secret.jpg")
    dataset = data.open("coco", made(tmp_path / "a/b", images=images))
    with pytest.raises(BrokenSampleError, match=r"No image at .*val2017/secret\.jpg"):
        dataset.load("9")
