"""Scenes of the lab as an evaluation's samples."""

import ast
import pickle
from pathlib import Path

import numpy as np
import pytest

import dexar_widgets
from dexar_widgets.evaluation import data
from dexar_widgets.evaluation.data.lab import SCENES, TRAINING
from dexar_widgets.evaluation.samples import Sample
from dexar_widgets.lab import STORIES, crowd, scene, story
from dexar_widgets.lab.language import CAPTIONS, KINDS
from dexar_widgets.lab.world import CLASSES, COLOURS

SMALL = {"count": 12, "size": 48}
FIRST = 30_000_000


def constant(file: str, name: str) -> object:
    """A module's constant, read from its source: to import it would import torch."""
    for node in ast.parse((Path(dexar_widgets.__file__).parent / file).read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return eval(ast.unparse(node.value), {})
    raise AssertionError(f"{file} has no {name}")


def samples(**options: object) -> list[Sample]:
    dataset = data.open("lab", **{**SMALL, **options})
    return [dataset.load(id_) for id_ in dataset.ids]


def named(sample: Sample) -> dict[str, list[str]]:
    return {target.name: [sample.answer[a:b] for a, b in target.spans] for target in sample.targets}


def content(sample: Sample) -> list[str]:
    return [sample.answer[a:b] for a, b in sample.content]


def test_the_lab_is_the_default_and_its_seeds_begin_apart_from_all_others():
    dataset = data.open()
    assert (dataset.name, len(dataset.ids), dataset.ids[0]) == ("lab", 100, str(FIRST))
    evaluated, planted, reported = range(10_000_000, 29_000_000), range(50_000_000, 60_000_000), range(10_000_000)
    for id_ in dataset.ids:
        assert not any(int(id_) in seeds for seeds in (evaluated, planted, reported))


def test_seeds_of_training_are_refused():
    assert TRAINING == min(constant("lab/batches.py", name) for name in ("TRAINING_SEEDS", "VALIDATION_SEEDS"))
    assert len(data.open("lab", first=TRAINING - 2, count=2).ids) == 2
    with pytest.raises(ValueError, match="were trained on"):
        data.open("lab", first=TRAINING - 1, count=2)


def test_a_caption_is_the_scenes_true_one_and_its_content_the_classes_and_colours():
    for sample in samples():
        drawn = scene(int(sample.id), size=48)
        np.testing.assert_array_equal(sample.image, drawn.image)
        assert sample.answer == drawn.caption
        assert sample.prompt is None
        assert {*content(sample)} <= {*CLASSES, *COLOURS}
        assert len(content(sample)) == 2 * len(drawn.spec.objects)
        assert sample.facts == {
            "seed": sample.id,
            "image": sample.id,
            "objects": str(len(drawn.spec.objects)),
            "background": drawn.spec.background.name,
            "kind": "caption",
            "scenes": "random",
        }


def test_each_object_is_a_target_where_it_is_seen_named_by_its_colour_and_class():
    for sample in samples():
        drawn = scene(int(sample.id), size=48)
        assert named(sample) == {f"{o.colour} {o.name}": [o.colour, o.name] for o in drawn.spec.objects}
        for target, mask in zip(sample.targets, drawn.visible, strict=True):
            np.testing.assert_array_equal(target.mask, mask)
            assert target.mask.any()


def test_each_object_can_be_left_out():
    for sample in samples(count=4):
        drawn = scene(int(sample.id), size=48)
        for index, image in enumerate(sample.without):
            np.testing.assert_array_equal(image, drawn.redraw(drawn.spec.without(index)).image)
        assert len(sample.without) == len(sample.targets)


def test_a_prompt_of_ones_own_begins_the_caption_as_it_asks():
    sample = samples(prompt="What do you see?", objects=2, count=1)[0]
    assert sample.prompt == "What do you see?"
    assert sample.answer.startswith("I see a")


def test_every_familys_own_question_asks_for_the_caption_that_is_given():
    for file in (Path(dexar_widgets.__file__).parent / "families").glob("[!_]*.py"):
        own = constant(f"families/{file.name}", "DEFAULT_PROMPT")
        own = own.removeprefix("USER: <image>\n").removesuffix(" ASSISTANT:")
        own = own.replace("<DETAILED_CAPTION>", "Describe in detail what is shown in the image.")  # as its processor
        assert own in CAPTIONS["The image shows"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_question_of_each_kind_has_its_answer_and_the_words_that_need_the_image(kind):
    for sample in samples(kind=kind):
        assert sample.facts["kind"] == kind
        assert sample.prompt.endswith("?")
        assert sample.answer.endswith(".")
        assert content(sample)
        assert {span for target in sample.targets for span in target.spans} <= {*sample.content}
        assert all(target.spans for target in sample.targets)
        assert len(sample.without) == len(sample.targets)


def test_only_the_object_that_a_question_is_about_is_a_target():
    for sample in samples(kind="colour", objects=3):
        ((name, words),) = named(sample).items()
        assert name in {f"{word} {sample.answer.split()[1]}" for word in words}  # "The cat is red."
        assert len(words) == 1


def test_the_group_names_all_objects_at_once():
    for sample in samples(kind="group"):
        assert len(sample.targets) == int(sample.facts["objects"]) > 1
        assert all(words == content(sample) for words in named(sample).values())


def test_scenes_that_leave_a_question_without_one_answer_are_passed_over():
    dataset = data.open("lab", kind="group", count=20, size=48)
    seeds = [int(id_) for id_ in dataset.ids]
    assert seeds == sorted({*seeds})
    assert FIRST + 19 < seeds[-1] < FIRST + 60  # single objects have no group, and others mostly are given one
    with pytest.raises(ValueError, match="Of 500 scenes, 0 leave a question of the kind 'group' one answer"):
        data.open("lab", kind="group", objects=1, count=5)


@pytest.mark.parametrize("objects", [1, 4])
def test_the_number_of_objects_can_be_asked_for(objects):
    assert {sample.facts["objects"] for sample in samples(objects=objects)} == {str(objects)}


def test_the_background_can_be_asked_for():
    assert {sample.facts["background"] for sample in samples(background="sand", count=3)} == {"sand"}


def test_a_crowd_is_the_labs():
    sample = samples(scenes="crowd", objects=6, count=1)[0]
    assert crowd(FIRST, objects=6, size=48).masks.sum(0).max() > 1  # some lie behind others
    np.testing.assert_array_equal(sample.image, crowd(FIRST, objects=6, size=48).image)
    assert len(sample.targets) == 6
    np.testing.assert_array_equal([target.mask for target in sample.targets], crowd(FIRST, objects=6, size=48).visible)
    assert data.open("lab", scenes="crowd", count=1).name == "lab, crowd"


@pytest.mark.parametrize("name", STORIES)
def test_each_story_is_the_labs(name):
    sample = samples(scenes=name, count=1)[0]
    drawn = story(name, FIRST, size=48)
    np.testing.assert_array_equal(sample.image, drawn.image)
    assert sample.answer == drawn.caption
    assert sample.facts["scenes"] == name
    assert name in SCENES


def test_a_question_can_be_asked_about_a_crowd():
    dataset = data.open("lab", scenes="crowd", kind="background", count=1, size=48)
    assert dataset.name == "lab, crowd, background"
    assert dataset.load(dataset.ids[0]).answer.startswith("The background is")


def test_a_worker_draws_the_same_samples():
    dataset = data.open("lab", kind="which", count=5, size=48)
    sent = pickle.dumps(dataset)
    assert len(sent) < 3000
    other = pickle.loads(sent)
    for id_ in dataset.ids:
        first, second = dataset.load(id_), other.load(id_)
        assert first.image.tobytes() == second.image.tobytes()
        assert (first.prompt, first.answer, first.content) == (second.prompt, second.answer, second.content)


def test_the_same_question_is_asked_about_the_same_seed():
    told = [(s.id, s.prompt, s.answer) for s in samples(kind="yes-no", count=3)]
    assert told == TOLD


TOLD = [
    ("30000000", "Is there a suitcase?", "No, there is no suitcase."),
    ("30000001", "Is there a star?", "No, there is no star."),
    ("30000002", "Is there a clock?", "Yes, there is a clock."),
]
"""As first drawn: a change of it would mix two data sets under one name."""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, "count=0 is not accepted; expected a whole number of at least 1"),
        ({"first": -1}, "first=-1"),
        ({"size": 47}, "size=47 is not accepted; expected a whole number of at least 48"),
        ({"objects": 5}, "objects=5 is not accepted; choose one of None, 1, 2, 3, 4"),
        ({"objects": True}, "objects=True"),
        ({"objects": 9, "scenes": "crowd"}, "objects=9"),
        ({"objects": 1, "scenes": "old things"}, "objects=1 is not accepted; choose one of None"),
        ({"scenes": "parade"}, "scenes='parade' is not accepted; choose one of 'random', 'crowd', 'boat on water'"),
        ({"kind": "why"}, "kind='why' is not accepted; choose one of 'caption', 'colour'"),
        ({"background": "moon"}, "background='moon'"),
        ({"background": "sky", "scenes": "old things"}, "the story 'old things' has its own"),
        ({"prompt": " "}, "prompt=' '"),
        ({"prompt": "What?", "kind": "count"}, "prompt='What\\?' is not accepted with kind='count'"),
    ],
)
def test_an_option_that_means_nothing_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        data.open("lab", **options)
