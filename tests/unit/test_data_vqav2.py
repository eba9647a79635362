"""VQAv2's questions and annotations, written here in their official form."""

import json
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dexar_widgets.evaluation import data
from dexar_widgets.evaluation.samples import BrokenSampleError

ASKED = "v2_OpenEnded_mscoco_{}_questions.json"
TOLD = "v2_mscoco_{}_annotations.json"
TYPES = {"is the": "yes/no", "how many": "number", "what is the": "other"}


def made(root: Path, counts: tuple[int, int, int] = (8, 4, 2), split: str = "val2014") -> Path:
    """So many questions of each type, numbered from 1000 on, all about image 42; annotations in reverse."""
    kinds = [kind for kind, count in zip(TYPES, counts, strict=True) for _ in range(count)]
    questions = [
        {"image_id": 42, "question_id": 1000 + n, "question": f"{kind.capitalize()} number {n}?"}
        for n, kind in enumerate(kinds)
    ]
    annotations = [
        {
            "question_id": 1000 + n,
            "image_id": 42,
            "question_type": kind,
            "answer_type": TYPES[kind],
            "multiple_choice_answer": f"answer {n}",
            "answers": [{"answer": "not this", "answer_confidence": "yes", "answer_id": 1}],
        }
        for n, kind in reversed([*enumerate(kinds)])
    ]
    (root / split).mkdir(parents=True)
    Image.new("RGB", (5, 3), (1, 2, 3)).save(root / split / f"COCO_{split}_000000000042.jpg", "PNG")
    (root / ASKED.format(split)).write_text(json.dumps({"info": {}, "questions": questions}))
    (root / TOLD.format(split)).write_text(json.dumps({"info": {}, "annotations": annotations}))
    return root


def changed(root: Path, name: str, key: str, index: int, **entries: object) -> None:
    path = root / name.format("val2014")
    document = json.loads(path.read_text())
    document[key][index] |= entries
    path.write_text(json.dumps(document))


def test_a_question_is_the_prompt_and_the_commonest_answer_the_answer(tmp_path):
    dataset = data.open("vqav2", made(tmp_path), count=None)
    assert dataset.ids == tuple(str(1000 + n) for n in range(14))
    sample = dataset.load("1008")
    assert (sample.prompt, sample.answer) == ("How many number 8?", "answer 8")
    assert sample.content is None  # nobody says which words need the image
    assert sample.facts == {"question_type": "how many", "answer_type": "number", "image": "42"}
    np.testing.assert_array_equal(sample.image, np.full((3, 5, 3), (1, 2, 3)))


def types_of(root: Path, **options: object) -> dict[str, int]:
    dataset = data.open("vqav2", root, **options)
    assert list(map(int, dataset.ids)) == sorted(map(int, dataset.ids))
    return Counter(dataset.load(id_).facts["question_type"] for id_ in dataset.ids)


@pytest.mark.parametrize("spread", ["question_type", "answer_type"])
def test_each_type_is_drawn_as_often_as_any_other_until_one_has_no_more(tmp_path, spread):
    root = made(tmp_path)
    assert types_of(root, count=6, spread=spread) == {"is the": 2, "how many": 2, "what is the": 2}
    assert types_of(root, count=10, spread=spread) == {"is the": 4, "how many": 4, "what is the": 2}
    assert types_of(root, count=13, spread=spread) == {"is the": 7, "how many": 4, "what is the": 2}
    assert sorted(types_of(root, count=4, spread=spread).values()) == [1, 1, 2]


def test_without_a_spread_types_are_drawn_as_often_as_they_occur(tmp_path):
    found = types_of(made(tmp_path, (300, 100, 4)), count=200, spread="none")
    assert 131 < found["is the"] < 167  # 300 of 404 are 149 of 200; four standard deviations are 18


def test_the_seed_decides_which_questions_are_drawn(tmp_path):
    root = made(tmp_path)
    first, again, other = (data.open("vqav2", root, count=6, seed=seed) for seed in (3, 3, 4))
    assert first.ids == again.ids != other.ids
    assert first.settings == again.settings != other.settings


def test_another_answer_makes_other_settings(tmp_path):
    root = made(tmp_path)
    before = data.open("vqav2", root, count=None).settings
    changed(root, TOLD, "annotations", 0, multiple_choice_answer="another")
    assert data.open("vqav2", root, count=None).settings != before


def test_a_worker_gets_the_questions_and_no_picture(tmp_path):
    dataset = data.open("vqav2", made(tmp_path), count=2)
    sent = pickle.dumps(dataset)
    assert len(sent) < 3000
    other = pickle.loads(sent)
    assert other.ids == dataset.ids
    assert other.load(other.ids[0]).answer == dataset.load(other.ids[0]).answer


def test_the_training_split_can_be_read(tmp_path):
    assert len(data.open("vqav2", made(tmp_path, split="train2014"), count=3, split="train2014").ids) == 3


# What is broken


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        (ASKED, "holds no v2_OpenEnded_mscoco_val2014_questions.json"),
        (TOLD, "holds no v2_mscoco_val2014_annotations.json"),
    ],
)
def test_a_missing_file_is_refused_with_the_way_to_get_it(tmp_path, gone, message):
    (made(tmp_path) / gone.format("val2014")).unlink()
    with pytest.raises(ValueError, match=rf"{message}.*expects below its root: .*visualqa\.org"):
        data.open("vqav2", tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (ASKED, '{"questions": [{"question', "no JSON, or was cut short"),
        (ASKED, '{"annotations": []}', "lists nothing under 'questions'"),
        (ASKED, '{"questions": {"a": 1}}', "lists nothing under 'questions'"),
        (ASKED, '{"questions": [3]}', r"questions\[0\] has no 'question_id' that is a whole number"),
        (TOLD, '{"annotations": [{"question_id": true}]}', r"annotations\[0\] has no 'question_id'"),
        (TOLD, '{"annotations": [{"question_id": 1}]}', r"annotations\[0\] has no 'multiple_choice_answer'"),
    ],
)
def test_a_broken_file_is_refused(tmp_path, name, content, message):
    (made(tmp_path) / name.format("val2014")).write_text(content)
    with pytest.raises(ValueError, match=message):
        data.open("vqav2", tmp_path)


def test_an_answer_to_a_question_that_is_not_asked_is_refused(tmp_path):
    changed(made(tmp_path), TOLD, "annotations", 0, question_id=7)
    with pytest.raises(ValueError, match=r"answers question 7, which v2_OpenEnded.* does not ask"):
        data.open("vqav2", tmp_path)


def test_a_sample_without_image_question_or_answer_is_broken(tmp_path):
    root = made(tmp_path)
    changed(root, ASKED, "questions", 0, question=" ")
    changed(root, TOLD, "annotations", -2, multiple_choice_answer="")
    changed(root, ASKED, "questions", 2, image_id=43)
    dataset = data.open("vqav2", root, count=None)
    for id_, message in (("1000", "has no text"), ("1001", "has no answer"), ("1002", "COCO_val2014_000000000043.jpg")):
        with pytest.raises(BrokenSampleError, match=message):
            dataset.load(id_)
