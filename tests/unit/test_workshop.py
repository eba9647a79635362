import base64
import io
import re
import subprocess

import nbformat
import numpy as np
import pytest
from PIL import Image

import dexar_widgets as dx
from dexar_widgets.cli import main
from dexar_widgets.widgets import snapshot
from dexar_widgets.workshop import pack as packing
from dexar_widgets.workshop import pages
from dexar_widgets.workshop.lessons import _Lost, lesson, two_models
from tests.golden.cases import build


def test_what_a_word_depends_on_is_what_costs_most_to_take_away():
    assert _Lost("cat", (3,), (0.2, 5.0, 0.0)).answer == 1
    assert _Lost("three", (3,), (4.8, 5.0, 0.0)).answer == 3  # several alike
    assert _Lost("the", (3,), (0.9, 0.1, 0.0)).answer == 4  # none
    assert _Lost("cat", (3,), (2.0,)).answer == 0


@pytest.mark.slow
def test_a_lessons_right_answers_are_the_scenes_and_those_of_interventions():
    vlm = dx.load()
    scene = dx.lab.scene(7, objects=["red cat", "blue boat"])
    e = dx.explain(vlm, scene.image, "What do you see?")
    steps = lesson(e, scene)
    boxes = [step["quiz"]["answer"] for step in steps if "quiz" in step and "choices" not in step["quiz"]]
    left = scene.spec.left_to_right
    assert boxes == [_box(scene.masks[index]) for index in left]
    quizzes = [step["quiz"] for step in steps if "choices" in step.get("quiz", {})]
    for quiz, index in zip(quizzes, left, strict=True):
        thing = scene.spec.objects[index]
        assert quiz["choices"][quiz["answer"]] == f"the {thing.colour} {thing.name}"
    step = next(word.steps for word in e.generation.words if word.text == scene.spec.objects[left[0]].name)
    without = dx.check(e, step=step, region=left[0], how="scene", scene=scene).drop
    assert f"{without:.2f} nats" in steps[5]["text"]
    grounds = dx.failures.spurious(e, "background", step=step, scene=scene, randoms=0).table["suspect"][0]
    assert f"on another background {max(grounds, 0):.2f} nats" in steps[5]["text"]
    explorer = dx.Explorer(e, lesson=steps)  # it refuses what it cannot show
    explorer.close()


def _box(mask):
    rows, cols = mask.any(1).nonzero()[0], mask.any(0).nonzero()[0]
    return [cols[0], rows[0], cols[-1] + 1, rows[-1] + 1]


@pytest.mark.slow
def test_twins_are_told_apart_by_colour_or_place_and_an_answer_without_objects_is_asked_about_as_a_whole():
    vlm = dx.load()
    scene = dx.lab.scene(12, objects=["gray cat", "orange cat"])
    steps = lesson(dx.explain(vlm, scene.image, "What do you see?"), scene)
    assert sum("quiz" in step for step in steps) == 4
    counted = lesson(dx.explain(vlm, scene.image, "How many objects are there?"), scene)
    (quiz,) = [step["quiz"] for step in counted if "quiz" in step]
    assert "without which does" in quiz["question"].lower()
    with pytest.raises(ValueError, match="this scene has none"):
        empty = scene.redraw(scene.spec.without(0, 1))
        lesson(dx.explain(vlm, empty.image, "What do you see?"), empty)


@pytest.mark.slow
def test_a_word_that_names_what_is_not_there_is_asked_about_and_the_background_is_a_choice():
    right, wrong = two_models()
    scene = dx.lab.scene(7, objects=["red cat"], background="water")
    steps = lesson(dx.explain(wrong, scene.image, "What do you see?"), scene)
    (cat, boat) = [step for step in steps if "choices" in step.get("quiz", {})]
    assert [step["quiz"]["choices"][step["quiz"]["answer"]] for step in (cat, boat)] == [
        "the red cat",
        "the background",
    ]
    assert "Nothing in the scene is a boat." in boat["text"]
    elsewhere = scene.redraw(scene.spec.on("grass"))
    assert "boat" not in str(lesson(dx.explain(wrong, elsewhere.image, "What do you see?"), elsewhere))
    assert "boat" not in str(lesson(dx.explain(right, scene.image, "What do you see?"), scene))


@pytest.mark.slow
def test_no_two_questions_of_a_lesson_are_the_same():
    vlm = dx.load()
    scene = dx.lab.scene(7, objects=3)  # "a gray square, a red square as well as a green butterfly"
    steps = lesson(dx.explain(vlm, scene.image, "What do you see?"), scene)
    asked = [step["quiz"]["question"] for step in steps if "choices" in step.get("quiz", {})]
    assert ["the first “square”" in asked[0], "the second “square”" in asked[1], len(asked)] == [True, True, 2]
    assert "the second “square”, which names the red square" in steps[2]["text"]


@pytest.mark.slow
def test_what_the_two_models_are_called_does_not_say_what_is_wrong_with_one():
    for model, name in zip(two_models(), ("lab/model A", "lab/model B"), strict=True):
        e = dx.explain(model, dx.lab.scene(7).image, "What do you see?")
        assert e.provenance["model"] == name
        assert "water" not in e.to_html()
        assert e.model() is model  # what is called otherwise can still be asked


def _distance(bundle, image):
    """Mean over pixels and colours."""
    picture = Image.open(io.BytesIO(base64.b64decode(bundle["image/png"]))).convert("RGB")
    return np.abs(np.asarray(picture.resize(image.shape[1::-1]), int) - image).mean()


LESSON = [{"text": "Guess.", "quiz": {"question": "Where?"}}, {"text": "Look."}]


def test_a_view_whose_lesson_begins_with_a_guess_shows_no_map_where_it_cannot_be_hidden():
    e = build()
    with_quiz, without = (dx.Explorer(e, step="suitcase", opacity=1.0, lesson=steps) for steps in (LESSON, LESSON[1:]))
    hidden, shown = (snapshot.bundle(explorer) for explorer in (with_quiz, without))
    assert "Peak: row" in shown["text/plain"]
    assert "No map: hidden until the lesson’s first guess" in hidden["text/plain"]
    assert "Peak" not in hidden["text/plain"]
    assert _distance(hidden, e.example.image) < 15 < 40 < _distance(shown, e.example.image)  # noise on 256 colours
    for explorer in (with_quiz, without):
        explorer.close()


@pytest.mark.slow
def test_pages_are_written_with_an_index_that_leads_to_each(tmp_path):
    scenes, questions = ((7, ["red cat"], "grass"),), ("What do you see?", "Where is this?")
    chapters = [pages.Chapter("A < B", "Guess.", "lab/llava", scenes, questions, called="model C")]
    done = []
    written = pages.write(tmp_path, dx.load, chapters=chapters, on_page=lambda: done.append(1))
    assert [path.name for path in written] == ["01.html", "02.html", "index.html"]
    assert len(done) == chapters[0].pages == 2
    index = written[-1].read_text("utf-8")
    assert "A &lt; B" in index
    assert "<code>model C</code>" in index
    assert not any("lab/llava" in path.read_text("utf-8") for path in written)
    assert all(f'href="{path.name}"' in index for path in written[:-1])
    assert '"quiz"' in written[0].read_text("utf-8")


@pytest.mark.parametrize(
    ("given", "said"), [("amiga", "'amiga' is unknown; known: linux_x86_64"), (" ,", "names no platform")]
)
def test_an_unknown_platform_is_refused_before_any_work(tmp_path, capsys, given, said):
    assert main(["workshop", "pack", str(tmp_path / "out"), "--platform", given]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_a_tool_says_is_the_error(tmp_path, monkeypatch):
    def fail(command, **_):
        return subprocess.CompletedProcess(
            command, 1, "", "WARNING: noise\nERROR: No matching distribution found for x"
        )

    monkeypatch.setattr(packing.subprocess, "run", fail)
    with pytest.raises(ValueError, match="could not do its part: ERROR: No matching distribution found for x"):
        packing.pack(tmp_path, ["win_amd64"], ["3.12"])


def _tasks():
    return nbformat.read(packing.notebooks() / "workshop" / "tasks.ipynb", as_version=4).cells


@pytest.mark.slow
def test_the_folded_answers_of_the_tasks_are_what_their_lines_say(capsys):
    names, said = {"display": lambda *_: None}, []
    for cell in _tasks():
        folded = re.findall(r"```python\n(.*?)```", cell.source, re.DOTALL) if cell.cell_type == "markdown" else ()
        for source in [cell.source] if cell.cell_type == "code" else folded:
            capsys.readouterr()
            exec(source, names)
            said += [capsys.readouterr().out] if folded else []
    silenced, background, corner = said
    assert "'case' (a part of 'suitcase', step 15) does not count" in silenced
    assert "I see a red cat.\n" in background
    assert "it comes from the background" in background
    assert "(10, 11) of (12, 12)" in corner
    assert re.search(r"those patches:.*\(0\.00 nats lost\)", corner)
    assert re.search(r"the cat:.*\(10\.03 nats lost\)", corner)


def test_running_all_tasks_gives_no_answer_away():
    sources = "\n".join(cell.source for cell in _tasks() if cell.cell_type == "code")
    assert not re.search(r"water-boat|spurious|silenced|dx\.check\(", sources)


def test_the_notebooks_are_found_beside_the_package():
    assert (packing.notebooks() / "01_first_look.ipynb").is_file()
