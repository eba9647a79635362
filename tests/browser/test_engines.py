"""The offline page in Firefox and in WebKit, Safari's engine: the same numbers and the same picture as everywhere."""

import contextlib
import os

import numpy as np
import pytest
from PIL import ImageChops

from dexar_widgets.widgets import html
from tests.browser.hosts import engines
from tests.browser.hosts.notebook import eventually
from tests.golden.cases import CASES, build

LESSON = [
    {"text": "First look.", "state": {"steps": [1], "head_filter": "none"}, "lock": True},
    {"text": "Then guess.", "state": {"layers": [1, 1]}, "quiz": {"question": "Where is it?"}, "lock": True},
    {"text": "Which?", "quiz": {"question": "What is it?", "choices": ["a cat", "a suitcase"], "answer": 1}},
]


@pytest.fixture(scope="module", params=["firefox", "webkit"])
def running(request):
    program = engines.firefox_program()
    lacks = {"firefox": ["firefox-esr"], "webkit": ["webkit2gtk-driver", "xvfb"]}[request.param]
    if missing := sorted(set(lacks) & set(engines.lacking())):
        said = f"not found, by the names of Debian's packages: {', '.join(missing)}"
        if os.environ.get("CI") == "true":
            pytest.fail(said)
        pytest.skip(f"not run: {said}")
    with contextlib.ExitStack() as ends:
        yield ends.enter_context(engines.firefox(program) if request.param == "firefox" else engines.webkit())


@pytest.fixture
def engine(running):
    """A running engine; the test fails if a page complains."""
    yield running
    assert running.complaints() == []


@pytest.fixture
def opened(engine, tmp_path):
    """The engine with a page opened in it."""

    def open_page(page, **size):
        file = tmp_path / "page.html"
        file.write_text(page if isinstance(page, str) else html.page(page), "utf-8")
        engine.open(file, **size)
        return engine

    return open_page


def near(values) -> object:
    return pytest.approx(float(values.sum()), rel=1e-5, abs=1e-6)


def test_words_layers_and_filters_give_pythons_numbers(opened):
    e = build(layers=4)
    page = opened(e)
    assert page.data()["sum"] == near(e.sequence_map().values)
    page.press("c")  # cells, as they are few
    page.click(".wordlist [role=option]", "red")
    assert page.data()["sum"] == near(e.heatmap(step=1).values)
    page.click(".layers .segmented label", "One")
    page.click(".layers input[type=range]", "Layer")
    page.press("Home")
    seen = []
    for layer in range(4):
        assert page.data()["sum"] == near(e.heatmap(step=1, layers=layer).values)
        seen.append(tuple(page.pixels()))
        page.press("ArrowRight")
    assert len(set(seen)) == 4
    page.press("a", "h")
    assert page.data()["sum"] == near(e.heatmap(step=1, head_filter="none").values)
    page.click(".wordlist [role=option]", "red")
    page.press("ArrowRight")
    (word,) = [word for word in e.generation.words if 2 in word.steps]
    assert page.data()["sum"] == near(e.heatmap(step=word.steps, head_filter="none").values)
    page.click("[role=tab]", "Filters")
    page.click(".filters .segmented label", "Max")
    assert page.data()["sum"] == near(e.heatmap(step=word.steps).values)


def test_the_picture_is_chromiums(opened, show):
    e = build()
    chromium, page = show(e), opened(e)
    chromium.page.keyboard.press("c")
    page.press("c")
    pictures = [np.array(each.pixels()).reshape(-1, 4) for each in (chromium, page)]
    colours, alphas = zip(*((each[:, :3] * each[:, 3:] / 255, each[:, 3]) for each in pictures), strict=True)
    assert (alphas[0] == alphas[1]).all() and alphas[0].any()
    assert np.abs(colours[0] - colours[1]).max() <= 2  # a canvas keeps colours times alpha, rounded


def test_a_lesson_from_its_start_to_its_end(opened):
    e = build()
    page = opened(html.page(e, lesson=LESSON))
    page.click("button", "Start")
    assert page.data()["sum"] == near(e.heatmap(step=1, head_filter="none").values)
    page.press("f")
    assert "Locked by the lesson: F." in page.text(".lesson")
    page.click("button", "Next")
    assert max(page.pixels()) == 0
    page.click(".stage canvas", at=(2.5 / 4, 1.5 / 3))
    heat = e.heatmap(step=1, layers=1, head_filter="none").values
    assert page.text(".verdict").startswith("Your guess, row 2, column 3, ")
    assert page.data()["sum"] == near(heat)
    assert max(page.pixels()) > 0
    page.press("PageDown")
    page.click("button", "a suitcase")
    assert page.text(".verdict").startswith("Right")
    page.click("button", "End")
    assert page.text(".lesson .figure") == "3 steps"


def test_what_is_shown_is_saved_and_copied(opened):
    page = opened(build())
    page.click("[role=tab]", "Export")
    for suffix in ("PNG", "SVG", "CSV", "NPZ", "HTML"):
        page.click(".export button", suffix)
        page.wait(f"document.querySelector('.export > [role=status]').textContent.endsWith('.{suffix.lower()}.')")
    page.click(".export button", "Copy as Python")
    page.wait("document.querySelector('.export > [role=status]').textContent.includes('clipboard')")


def test_the_answer_is_one_line_and_a_silenced_word_is_dotted(opened):
    page = opened(CASES["all_silenced"]())
    lines = "return place.offsetHeight / parseFloat(getComputedStyle(place).lineHeight)"
    assert page.js(f"const place = document.querySelector('.wordlist'); {lines}") == pytest.approx(1, abs=0.1)
    style = "return getComputedStyle(document.querySelector('.silenced'))"
    assert page.js(f"{style}.textDecorationLine") == "underline"
    assert page.js(f"{style}.textDecorationStyle") == "dotted"


def test_no_panel_is_wider_than_a_narrow_page(opened):
    other = build(pieces=[" a", *[" very"] * 12, " long choice"], steps=14)
    page = opened(html.page([build(), other]), width=460)
    for tab in page.js("return [...document.querySelectorAll('[role=tab]')].map((tab) => tab.textContent)"):
        page.click("[role=tab]", tab)
        assert page.js("return document.documentElement.scrollWidth <= innerWidth"), tab


def test_the_help_closes_beside_it(opened):
    page = opened(build())
    page.press("?")
    x, y = page.js("const b = document.querySelector('dialog[open]').getBoundingClientRect(); return [b.x, b.y]")
    page.click_at(x + 10, y + 10)
    assert page.js("return document.querySelector('dialog').open")
    page.click_at(x - 30, y + 10)
    assert not page.js("return document.querySelector('dialog').open")


def test_a_view_that_a_notebook_takes_out_and_puts_back_shows_its_map_again(opened):
    page = opened(build())
    page.click_at(5, 5)
    before = page.settled(".stage")
    page.js("window.taken = document.querySelector('.columns'); window.place = taken.nextSibling; taken.remove()")
    page.frame()
    page.js("place.before(taken)")
    eventually(lambda: ImageChops.difference(before, page.picture(".stage")).getbbox(), None)
