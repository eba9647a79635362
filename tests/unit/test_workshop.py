import subprocess

import pytest

import dexar_widgets as dx
from dexar_widgets.cli import main
from dexar_widgets.workshop import pack as packing
from dexar_widgets.workshop import pages
from dexar_widgets.workshop.lessons import _Lost, lesson


def test_what_a_word_depends_on_is_the_object_whose_removal_costs_most():
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
def test_pages_are_written_with_an_index_that_leads_to_each(tmp_path):
    chapters = [
        pages.Chapter(
            "A < B", "Guess.", "lab/llava", ((7, ["red cat"], "grass"),), ("What do you see?", "Where is this?")
        )
    ]
    done = []
    written = pages.write(tmp_path, dx.load, chapters=chapters, on_page=lambda: done.append(1))
    assert [path.name for path in written] == ["01.html", "02.html", "index.html"]
    assert len(done) == chapters[0].pages == 2
    index = written[-1].read_text("utf-8")
    assert "A &lt; B" in index
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


def test_the_notebooks_are_found_beside_the_package():
    assert (packing.notebooks() / "01_first_look.ipynb").is_file()
