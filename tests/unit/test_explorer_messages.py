"""What the browser asks of an Explorer and how it is answered, over the widget's own comm."""

import io
import re
import threading

import numpy as np
import pytest
from PIL import Image

import dexar_widgets as dx
from dexar_widgets.widgets import messages
from tests.golden.cases import build
from tests.unit.browser import Browser

SOURCES = build(), build(prompt="what else", seed=9)


@pytest.fixture
def explorer():
    widget = dx.Explorer(*SOURCES)
    yield widget
    widget.close()


@pytest.fixture
def browser(explorer):
    return Browser(explorer)


def png(width: int = 8, height: int = 6) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 30)).save(file, "PNG")
    return file.getvalue()


def blocks_of(answer: dict) -> dict[str, np.ndarray]:
    """Decoded by hand, from the description alone."""
    (payload,) = answer["buffers"]
    kinds = {"f4": "<f4", "i4": "<i4", "i2": "<i2", "u1": "u1", "i1": "i1"}
    return {
        spec["name"]: np.frombuffer(
            payload, kinds[spec["dtype"]], int(np.prod(spec["shape"], dtype=int)), spec["offset"]
        ).reshape(spec["shape"])
        for spec in answer["blocks"]
    }


def test_hello_says_whether_there_is_a_model(browser):
    answer = browser.tell("hello", id="h")
    assert {name: answer[name] for name in ("dexar", "id", "kind", "model", "name", "image", "job")} == {
        "dexar": 2,
        "id": "h",
        "kind": "hello",
        "model": False,
        "name": "",
        "image": None,
        "job": None,
    }


def test_a_part_comes_as_numpy_has_it_in_one_buffer(explorer, browser):
    answer = browser.tell("part", id="p", source=1, name="tensor/3")
    assert (answer["kind"], answer["id"], answer["source"], answer["name"]) == ("part", "p", 1, "tensor/3")
    other = explorer.sources[1]
    expected = other.visual_gradients(3)[..., np.arange(12)]
    assert np.array_equal(blocks_of(answer)["tensor/3"], expected)


def test_parts_are_kept_a_few_at_a_time(explorer, browser, monkeypatch):
    made = []
    part = messages.wire.parts.part
    monkeypatch.setattr("dexar_widgets.widgets.parts.part", lambda e, name: made.append(name) or part(e, name))
    names = [f"level/all/{level}" for level in (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)]
    for name in [*names, names[-1], names[0]]:
        assert browser.tell("part", source=0, name=name)["kind"] == "part"
    assert made == [*names, names[0]], "the last is still there, the first is not"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("hello", "no message of version 2"),
        (None, "no message of version 2"),
        ({}, "no message of version 2"),
        ({"dexar": 1, "id": "q", "kind": "hello"}, "no message of version 2"),
        ({"dexar": 2, "kind": "hello"}, "needs an id"),
        ({"dexar": 2, "id": 7, "kind": "hello"}, "needs an id"),
        ({"dexar": 2, "id": "q"}, "kind 'None' are unknown; known: hello, part"),
        ({"dexar": 2, "id": "q", "kind": "run"}, "kind 'run' are unknown"),
        ({"dexar": 2, "id": "q", "kind": ["hello"]}, "are unknown"),
        ({"dexar": 2, "id": "q", "kind": "part"}, "needs 'source', of type int; got None"),
        ({"dexar": 2, "id": "q", "kind": "part", "source": True, "name": "open"}, "of type int; got True"),
        ({"dexar": 2, "id": "q", "kind": "part", "source": 0, "name": 1}, "needs 'name', of type str"),
        ({"dexar": 2, "id": "q", "kind": "part", "source": 2, "name": "open"}, "no source 2; the view has 2"),
        ({"dexar": 2, "id": "q", "kind": "part", "source": -1, "name": "open"}, "no source -1"),
        ({"dexar": 2, "id": "q", "kind": "part", "source": 0, "name": "all"}, "no part 'all'"),
        ({"dexar": 2, "id": "q", "kind": "part", "source": 0, "name": "tensor/99"}, "explained steps are"),
        ({"dexar": 2, "id": "q", "kind": "part", "source": 0, "name": "attention"}, "attention=True"),
        ({"dexar": 2, "id": "q", "kind": "ask"}, "needs 'prompt'"),
        ({"dexar": 2, "id": "q", "kind": "ask", "prompt": "what?"}, "no model in memory"),
        ({"dexar": 2, "id": "q", "kind": "check", "words": [[0]], "region": [0, 0, 9, 9]}, "no model in memory"),
        ({"dexar": 2, "id": "q", "kind": "check", "words": "red", "region": [0, 0, 9, 9]}, "steps of each word"),
        ({"dexar": 2, "id": "q", "kind": "check", "words": [[]], "region": [0, 0, 9, 9]}, "steps of each word"),
        ({"dexar": 2, "id": "q", "kind": "check", "steps": [True], "region": [0, 0, 9, 9]}, "steps of each word"),
        ({"dexar": 2, "id": "q", "kind": "deletion"}, "needs the steps of a word, [1, 2]; got None"),
        ({"dexar": 2, "id": "q", "kind": "deletion", "steps": [True]}, "needs the steps of a word"),
        ({"dexar": 2, "id": "q", "kind": "deletion", "steps": [0], "how": 3}, "needs 'how', of type str"),
        ({"dexar": 2, "id": "q", "kind": "deletion", "steps": [0], "view": [1]}, "needs 'view', of type dict"),
        ({"dexar": 2, "id": "q", "kind": "deletion", "steps": [0]}, "no model in memory"),
        ({"dexar": 2, "id": "q", "kind": "deletion", "steps": []}, "no model in memory"),
        ({"dexar": 2, "id": "q", "kind": "knockout"}, "needs 'cut', of type list"),
        ({"dexar": 2, "id": "q", "kind": "knockout", "cut": "image"}, "needs 'cut', of type list"),
        ({"dexar": 2, "id": "q", "kind": "knockout", "cut": ["image", "answer"]}, "no model in memory"),
        ({"dexar": 2, "id": "q", "kind": "knockout", "cut": [], "window": "2"}, "needs 'window', of type int"),
        ({"dexar": 2, "id": "q", "kind": "cancel"}, "needs 'job'"),
        ({"dexar": 2, "id": "q", "kind": "cancel", "job": "x"}, "No job 'x' is running"),
        ({"dexar": 2, "id": "q", "kind": "image", "name": "a.png"}, "got 0 buffers"),
    ],
)
def test_what_is_asked_wrongly_is_answered_in_words(browser, content, said):
    answer = browser.say(content)
    assert (answer["kind"], len(browser.heard)) == ("error", 1)
    assert said in answer["message"]
    assert answer["id"] == (str(content.get("id", "")) if isinstance(content, dict) else "")


def test_an_error_of_the_program_is_answered_and_logged(explorer, browser, monkeypatch, caplog):
    monkeypatch.setattr(explorer, "part", lambda source, name: 1 / 0)
    assert browser.tell("part", source=0, name="open")["message"] == "division by zero"
    assert "ZeroDivisionError" in caplog.text


def test_an_image_file_is_taken_in_and_shown_back(explorer, browser):
    answer = browser.tell("image", id="i", name="red.png", buffers=[png(8, 6)])
    assert (answer["kind"], answer["notices"]) == ("image", [])
    assert (answer["image"]["width"], answer["image"]["height"]) == (8, 6)
    assert answer["image"]["src"].startswith("data:image/png;base64,")
    assert explorer.image[0, 0].tolist() == [200, 30, 30]
    assert browser.tell("image", name="x.txt", buffers=[b"text"])["kind"] == "error"
    assert explorer.image.shape == (6, 8, 3), "the last good one stays"


def test_the_page_comes_as_a_file(explorer, browser):
    answer = browser.tell("html", id="f")
    assert (answer["kind"], answer["name"]) == ("html", "explanation.html")
    assert answer["buffers"][0].decode() == explorer.to_html()
    assert re.match(r"<!doctype html>", answer["buffers"][0].decode())


def test_a_closed_explorer_says_nothing_and_raises_nothing(explorer, browser):
    explorer.close()
    messages.receive(explorer, {"dexar": 2, "id": "q", "kind": "part", "source": 0, "name": "open"}, [])
    messages.receive(explorer, {"dexar": 2, "id": "q", "kind": "hello"}, [])
    assert browser.heard == []


def test_threads_may_ask_at_once(explorer, browser):
    """ipykernel 7 hands messages to a thread beside the cells'."""
    names = ["open", "level/all/0.5", "maps/content/max", *(f"tensor/{step}" for step in range(5)), "signed/none"]

    def ask(number: int) -> None:
        for turn in range(4):
            name = names[(number + turn) % len(names)]
            messages.receive(explorer, {"dexar": 2, "id": f"{number}", "kind": "part", "source": 0, "name": name}, [])

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [message["kind"] for message in browser.heard] == ["part"] * 32
    for message in browser.heard:
        specs, payload = explorer.part(0, message["name"])
        assert message["blocks"] == specs and message["buffers"] == [payload]
