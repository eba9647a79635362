"""What every reader keeps to, on tiny data sets that its own tests make."""

import ast
import json
import pickle
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np
import pytest

from dexar_widgets.evaluation import data
from dexar_widgets.evaluation.data._listed import drawn, picked
from dexar_widgets.evaluation.samples import Dataset
from tests.unit import test_data_coco, test_data_imagenet, test_data_voc, test_data_vqav2

MADE: dict[str, Callable[[Path], Path]] = {
    "coco": test_data_coco.made,
    "imagenet": test_data_imagenet.in_folders,
    "voc": test_data_voc.made,
    "voc_qa": test_data_voc.made,
    "vqav2": test_data_vqav2.made,
}
FEW: dict[str, dict[str, object]] = {"imagenet": {"count": 4}, "vqav2": {"count": 4}, "lab": {"count": 2, "size": 48}}
READERS = data.names()


def opened(name: str, root: Path, **options: object) -> Dataset:
    if name in MADE and not [*root.iterdir()]:
        MADE[name](root)
    return data.open(name, root if name in MADE else None, **{**FEW.get(name, {}), **options})


def test_the_readers_are_the_files_of_the_folder_and_each_is_tested_here():
    assert READERS == ("coco", "imagenet", "lab", "voc", "voc_qa", "vqav2")
    assert {*READERS} == {*MADE, "lab"}


def test_an_unknown_name_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="no data set 'cifar'; there are coco, imagenet, lab, voc, voc_qa, vqav2"):
        data.open("cifar")
    for hidden in ("_voc", "__init__", "../lab"):
        with pytest.raises(ValueError, match="There is no data set"):
            data.get(hidden)


@pytest.mark.parametrize("name", READERS)
def test_a_reader_says_what_it_is_what_it_expects_and_where_to_get_it(name):
    reader = data.get(name)
    assert reader.TITLE
    assert reader.SOURCE.endswith(".")
    assert bool(reader.EXPECTS) == (name != "lab")
    assert is_dataclass(reader.Options)
    assert reader.Options() == reader.Options()
    assert all(field.kw_only for field in fields(reader.Options))
    with pytest.raises(AttributeError):
        reader.Options().seed = 3  # frozen


@pytest.mark.parametrize("name", READERS)
def test_an_unknown_option_is_refused_with_those_there_are(name, tmp_path):
    with pytest.raises(ValueError, match=f"data set '{name}' has no option 'colour'; it has .*(prompt|spread)"):
        data.open(name, tmp_path if name in MADE else None, colour="red")


@pytest.mark.parametrize("name", MADE)
def test_files_that_are_not_there_are_asked_for(name, tmp_path):
    expects = data.get(name).EXPECTS[:30]
    for root in (None, tmp_path / "nowhere", tmp_path):
        with pytest.raises(ValueError) as caught:
            data.open(name, root)
        assert expects in str(caught.value)
        assert data.get(name).SOURCE in str(caught.value)
        assert "\n" not in str(caught.value)


def test_the_lab_takes_no_folder(tmp_path):
    with pytest.raises(ValueError, match="reads no files; leave root"):
        data.open("lab", tmp_path)


def test_a_folder_that_may_not_be_read_is_refused_in_a_sentence(tmp_path, monkeypatch):
    def closed(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    test_data_imagenet.in_folders(tmp_path)
    monkeypatch.setattr(Path, "iterdir", closed)
    with pytest.raises(ValueError, match=r"Permission denied.*expects below its root"):
        data.open("imagenet", tmp_path)


BAD = {
    "count": (0, -1, 2.5, "3", True),
    "seed": (-1, 0.5, None),
    "prompt": ("", 3),
    "min_area": (-0.1, 1, None),
    "union": (1, "yes"),
    "cleaned": (0,),
    "answer": ("none",),
    "split": ("test2015",),
    "spread": ("all",),
    "year": ("2010", 2012),
    "crowds": ("mean",),
    "template": ("a", "{name} {name}", "{name} {x}", "{name", None),
    "order": ("size",),
    "article": ("an",),
    "starts": ((), "I see", ("",), (" I see",), (3,)),
    "connectors": ((), "and"),
}


@pytest.mark.parametrize("name", MADE)
def test_an_option_that_means_nothing_is_refused_by_name_before_any_file_is_looked_at(name, tmp_path):
    for option in (field.name for field in fields(data.get(name).Options)):
        for value in BAD[option]:
            with pytest.raises(ValueError, match=f"^{option}=.* is not accepted; ") as caught:
                data.open(name, tmp_path / "nowhere", **{option: value})
            assert "expects below its root" not in str(caught.value)


@pytest.mark.parametrize("name", READERS)
def test_settings_are_json_tell_every_option_and_no_path(name, tmp_path):
    settings = opened(name, tmp_path).settings
    assert json.loads(json.dumps(settings)) == settings
    assert {field.name for field in fields(data.get(name).Options)} < {*settings}
    assert str(tmp_path) not in json.dumps(settings)


@pytest.mark.parametrize("name", READERS)
def test_settings_differ_wherever_samples_do(name, tmp_path):
    first, other = opened(name, tmp_path), opened(name, tmp_path, **{"lab": {"first": 7}}.get(name, {"count": 1}))
    assert first.ids != other.ids
    assert first.settings != other.settings
    assert first.settings["listed"] != other.settings["listed"]


@pytest.mark.parametrize("name", READERS)
def test_a_data_set_pickles_and_its_copy_gives_the_same_samples(name, tmp_path):
    dataset = opened(name, tmp_path)
    sent = pickle.dumps(dataset)
    assert len(sent) < 4000  # paths and options, no pixels
    other = pickle.loads(sent)
    assert (other.name, other.ids, other.settings) == (dataset.name, dataset.ids, dataset.settings)
    first, second = dataset.load(dataset.ids[-1]), other.load(other.ids[-1])
    np.testing.assert_array_equal(first.image, second.image)
    assert first.answer == second.answer


@pytest.mark.parametrize("name", READERS)
def test_a_data_set_does_not_depend_on_where_it_is_read_from(name, tmp_path, monkeypatch):
    (tmp_path / "below").mkdir()
    if name in MADE:
        MADE[name](tmp_path / "below")
    monkeypatch.chdir(tmp_path)
    dataset = data.open(name, "below" if name in MADE else None, **FEW.get(name, {}))
    monkeypatch.chdir("/")
    assert dataset.load(dataset.ids[0]).id == dataset.ids[0]


@pytest.mark.parametrize("name", READERS)
def test_samples_have_what_the_contract_says(name, tmp_path):
    dataset = opened(name, tmp_path)
    assert len({*dataset.ids}) == len(dataset.ids) > 0
    for id_ in dataset.ids:
        sample = dataset.load(id_)
        assert sample.id == id_
        assert sample.image.dtype == np.uint8
        assert all(isinstance(key, str) and isinstance(value, str) for key, value in sample.facts.items())
        assert len({target.name for target in sample.targets}) == len(sample.targets)
        spans = [*(sample.content or ()), *(span for target in sample.targets for span in target.spans)]
        assert all(0 <= start < stop <= len(sample.answer or "") for start, stop in spans)
        for mask in (*(target.mask for target in sample.targets), sample.ignored):
            assert mask is None or (mask.dtype == bool and mask.shape == sample.image.shape[:2])


@pytest.mark.parametrize("name", READERS)
def test_a_sample_that_there_is_not_is_refused(name, tmp_path):
    with pytest.raises(ValueError, match="has no sample 'nothing'"):
        opened(name, tmp_path).load("nothing")


@pytest.mark.parametrize("name", MADE)
def test_images_are_opened_one_by_one_and_not_to_list_them(name, tmp_path, monkeypatch):
    opened(name, tmp_path)
    monkeypatch.setattr("PIL.Image.open", None)  # a call would be a TypeError
    assert opened(name, tmp_path).ids


def test_readers_do_not_import_one_another_nor_torch():
    folder = Path(data.__file__).parent
    for file in folder.glob("*.py"):
        imported = [ast.unparse(node) for node in ast.walk(ast.parse(file.read_text())) if "Import" in str(type(node))]
        text = "\n".join(imported)
        assert not [name for name in READERS if f"evaluation.data.{name} " in text or f"data import {name}" in text]
        assert "torch" not in text


# How samples are drawn


def test_a_draw_is_spread_evenly_and_keeps_the_order():
    items = [*range(100)]
    chosen = drawn(items, 30, 0, key=str, group=lambda item: item % 3)
    assert chosen == sorted(chosen)
    assert sorted(item % 3 for item in chosen) == [0] * 10 + [1] * 10 + [2] * 10
    assert drawn(items, None, 0, key=str) == items


def test_a_draw_depends_on_keys_alone():
    items = [*range(50)]
    assert {*drawn(items, 9, 4, key=str)} == {*drawn(items[::-1], 9, 4, key=str)}


def test_every_item_is_drawn_as_often_as_any_other():
    times = np.bincount([item for seed in range(400) for item in drawn(range(20), 5, seed, key=str)])
    assert abs(times - 100).max() < 35  # the standard deviation is √(400 · ¼ · ¾) = 8.7


def test_a_pick_is_even_too():
    times = np.bincount([picked((0, 1, 2), 0, f"image {number}") for number in range(900)])
    assert abs(times - 300).max() < 57  # four times √(900 · ⅓ · ⅔)
