"""Captions, questions, marks and tokens of the lab."""

import random

import pytest

from dexar_widgets.lab.chance import specification
from dexar_widgets.lab.language import CAPTIONS, KINDS, ask, caption, caption_turn, parse_caption
from dexar_widgets.lab.specifications import Background, SceneObject, Specification
from dexar_widgets.lab.tokens import build_tokenizer
from dexar_widgets.lab.world import BACKGROUNDS, CLASSES, COLOURS, GROUPS, SUBWORDS, plural

THREE = Specification(
    Background("water"),
    (
        SceneObject("cat", "orange", 0.8, 0.5, 0.3),
        SceneObject("boat", "red", 0.2, 0.5, 0.3),
        SceneObject("cat", "black", 0.5, 0.5, 0.3),
    ),
)


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ("What do you see?", "I see a red boat, a black cat as well as an orange cat."),
        ("list the objects.", "There is a red boat, a black cat and an orange cat."),
        ("Classify the image.", "The image shows a red boat, a black cat and an orange cat."),
        ("Anything else", "The image shows a red boat, a black cat and an orange cat."),
    ],
)
def test_a_caption_names_the_objects_from_left_to_right_in_the_words_of_its_prompt(prompt: str, text: str) -> None:
    assert caption(THREE, prompt).text == text


def test_marks_tell_content_from_filler_and_point_at_the_object() -> None:
    marks = caption(THREE, "What do you see?").marks
    assert [(mark.word, *mark.objects) for mark in marks if mark.content] == [
        ("red", 1), ("boat", 1), ("black", 2), ("cat", 2), ("orange", 0), ("cat", 0),
    ]  # fmt: skip
    assert [mark.word for mark in marks if mark.role == "filler"] == ["I", "see", "well", "as"]


def test_a_word_for_several_objects_points_at_all_of_them() -> None:
    old = tuple(SceneObject(n, "red", x, 0.5, 0.3) for n, x in (("hat", 0.2), ("clock", 0.5), ("sofa", 0.8)))
    turn = ask(random.Random(0), Specification(Background("sky"), old), "group")
    assert turn.answer.text == "They are old things."
    assert [(mark.word, mark.objects) for mark in turn.answer.marks if mark.content] == [
        ("old", (0, 1, 2)), ("things", (0, 1, 2)),
    ]  # fmt: skip
    assert ask(random.Random(0), THREE, "group") is None  # a boat is no animal
    assert ask(random.Random(0), Specification(Background("sky"), old[:1]), "group") is None


def test_a_counted_or_confirmed_class_points_at_each_of_its_objects() -> None:
    rng = random.Random(1)
    marks = [mark for _ in range(30) for mark in ask(rng, THREE, "count-class").answer.marks if mark.word == "two"]
    assert marks[0].objects == (0, 2)


def test_captions_parse_back_to_the_specification() -> None:
    for seed in range(300):
        spec = specification(seed)
        answer = caption_turn(random.Random(seed), spec).answer
        truth = [(spec.objects[i].name, spec.objects[i].colour) for i in spec.left_to_right]
        assert parse_caption(answer.text) == truth


def test_marks_cover_every_word_at_its_place() -> None:
    for seed in range(100):
        spec = specification(seed)
        rng = random.Random(seed)
        turns = [caption_turn(rng, spec), *(ask(rng, spec, kind) for kind in KINDS)]
        for turn in filter(None, turns):
            marks = turn.answer.marks
            assert all(turn.answer.text[mark.start : mark.stop] == mark.word for mark in marks)
            left_over = list(turn.answer.text)
            for mark in marks:
                left_over[mark.start : mark.stop] = " " * (mark.stop - mark.start)
            assert not "".join(left_over).strip()


def truth(question: str, spec: Specification) -> str:
    """An independent reader of the questions: looks words up in the question instead of writing it."""
    words = question.lower().strip("?.").split()
    things = sorted(spec.objects, key=lambda thing: thing.x)
    named = [name for name in CLASSES if name in words or plural(name) in words]
    coloured = [thing for thing in things if thing.colour in words]
    if words[0] == "is":
        return "yes" if named[0] in [thing.name for thing in things] else "no"
    if words[:2] == ["how", "many"]:
        counted = [thing for thing in things if not named or thing.name == named[0]]
        return ("zero", "one", "two", "three", "four")[len(counted)]
    if "colour" in words:
        return next(thing.colour for thing in things if thing.name == named[0])
    if "left" in words or "right" in words:
        return things[0 if "left" in words else -1].name
    if "things" in words:
        return next(group for group, names in GROUPS.items() if things[0].name in names)
    return coloured[0].name if coloured else spec.background.name


def test_answers_are_true() -> None:
    asked = dict.fromkeys(KINDS, 0)
    for seed in range(200):
        spec, rng = specification(seed, same_class=0.4, same_group=0.9), random.Random(seed)
        for kind in KINDS:
            turn = ask(rng, spec, kind, hard=0.5)
            if turn is not None:
                asked[kind] += 1
                words = turn.answer.text.lower().replace(".", "").replace(",", "").split()
                assert set(truth(turn.question, spec).split()) <= set(words), (turn, spec)
    assert min(asked.values()) > 100


@pytest.mark.slow
def test_yes_and_no_are_as_frequent_and_counts_of_a_class_reach_from_zero_to_three() -> None:
    rng, answers = random.Random(0), []
    for seed in range(2000):
        spec = specification(seed, same_class=0.4)
        answers += [ask(rng, spec, "yes-no").answer.text[:2], ask(rng, spec, "count-class").answer.text.split()[2]]
    assert 900 < answers.count("Ye") < 1100
    assert {"zero.", "one.", "two.", "three."} <= set(answers)


def test_an_ambiguous_question_is_not_asked() -> None:
    cats = Specification(THREE.background, (THREE.objects[0], THREE.objects[2]))
    assert ask(random.Random(0), cats, "colour") is None


def test_words_are_one_token_but_four_classes_are_two() -> None:
    tokenizer = build_tokenizer()
    assert tokenizer.tokenize("a suitcase and a butterfly") == ["a", "Ġsuit", "case", "Ġand", "Ġa", "Ġbutter", "fly"]
    # Only the image can tell which of the two goes on.
    assert tokenizer.tokenize(" football") == ["Ġfoot", "ball"]
    assert tokenizer.tokenize(" footprint") == ["Ġfoot", "print"]
    single = [*(set(CLASSES) - set(SUBWORDS)), *COLOURS, *BACKGROUNDS, "Yes", "No", "zero", "four"]
    assert {word: len(tokenizer.tokenize(" " + word)) for word in single} == dict.fromkeys(single, 1)


def test_every_prompt_and_answer_survives_the_tokenizer() -> None:
    tokenizer = build_tokenizer()
    texts = [prompt for prompts in CAPTIONS.values() for prompt in prompts]
    texts += [caption(specification(seed), "What do you see?").text for seed in range(20)]
    for text in texts:
        assert tokenizer.decode(tokenizer(text).input_ids) == text
        assert len(tokenizer(text).input_ids) <= 2 * len(text.split()) + 2
