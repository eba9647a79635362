"""The Explorer as Python sees it: what it takes, what can be set and read, and what it leaves behind."""

import base64
import csv
import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from ipywidgets import HBox, IntSlider, jslink
from PIL import Image
from traitlets import TraitError

import dexar_widgets as dx
from dexar_widgets import figures, perturb
from dexar_widgets.explanation import Explanation
from dexar_widgets.types import Word
from dexar_widgets.widgets import html
from tests.golden.cases import CASES, build
from tests.unit.browser import Browser
from tests.unit.made import explanation_of, full_parts, random_parts


@pytest.fixture(scope="module")
def e() -> Explanation:
    return build()  # "a red suitcase.": the word suitcase is steps 2 and 3


@pytest.fixture
def explorer(e):
    widget = dx.Explorer(e)
    yield widget
    widget.close()


def with_parts(seed: int = 1) -> Explanation:
    tensor, layout = random_parts(seed)
    return explanation_of(tensor, layout, **full_parts(seed))


def test_it_opens_with_what_the_preset_stands_for(e):
    assert dx.Explorer(e).state() | {"display": {}} == {
        "step": None,
        "steps": [],
        "layers": [0, 2],
        "layer_mode": "range",
        "heads": None,
        "head_filter": "max",
        "filler_filter": "max",
        "text_set": "all",
        "relu": True,
        "preset": "paper",
        "method": "dexar",
        "colormap": "cividis",
        "opacity": 0.75,
        "selection": None,
        "notes": [],
        "display": {},
    }
    released = dx.Explorer(CASES["twelve_layers"](), preset="released")
    assert (released.layers, released.text_set) == ([2, 11], "released")
    assert dx.Explorer(CASES["twelve_layers"](), preset="released", layers=3).layers == [3, 3]


@pytest.fixture
def nothing_travels(monkeypatch):
    """What is sent to the browser takes most of the time, and is tested elsewhere."""
    monkeypatch.setattr("dexar_widgets.widgets.wire.document", lambda *_, **__: ({"sources": []}, b"numbers"))


@pytest.mark.usefixtures("nothing_travels")
@pytest.mark.parametrize(
    ("given", "steps", "step"),
    [
        ({"step": "suitcase"}, [2, 3], 2),
        ({"step": 1}, [1], 1),
        ({"step": -1}, [4], 4),
        ({"steps": slice(1, 3)}, [1, 2], 1),
        ({"steps": "Suitcase"}, [2, 3], 2),
        ({"steps": []}, [], None),
        ({"step": None}, [], None),
        ({"step": 0, "steps": [1, 4]}, [1, 4], 1),
    ],
)
def test_a_step_is_the_first_of_the_steps_however_they_are_named(explorer, e, given, steps, step):
    built = dx.Explorer(e, **given)
    assert (built.steps, built.step) == (steps, step)
    if len(given) == 1:
        (name, value), *_ = given.items()
        explorer.steps = [0]
        setattr(explorer, name, value)
        assert (explorer.steps, explorer.step) == (steps, step)


@pytest.mark.usefixtures("nothing_travels")
@pytest.mark.parametrize(
    ("given", "layers"),
    [(1, [1, 1]), (-1, [2, 2]), (slice(1, None), [1, 2]), ((0, 1), [0, 1]), (range(3), [0, 2]), (None, [0, 2])],
)
def test_layers_are_one_run_however_it_is_given(explorer, given, layers):
    explorer.layers = given
    assert explorer.layers == layers


@pytest.mark.usefixtures("nothing_travels")
@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("step", 9, "5 tokens"),
        ("step", "trunk", "its words are: a"),
        ("steps", [0, 99], "99"),
        ("layers", 3, "it has layers 0 to 2"),
        ("layers", (2, 0), "backwards"),
        ("layers", [0, 2, 2], "leaves layers out"),
        ("layers", "all", "accepted: an int, a slice"),
        ("layer_mode", "one", "'single', 'cumulative', 'range'"),
        ("heads", [(0, 7)], "heads 0 to 1"),
        ("head_filter", 1.5, r"a fraction in \(0, 1\]"),
        ("filler_filter", "most", "'max', 'none', 'avg'"),
        ("text_set", "words", "'no_special'"),
        ("relu", 1, "True, False"),
        ("preset", "mine", "'paper', 'released'"),
        ("method", "attention", "attention=True"),
        ("method", "gradcam", "'dexar', 'attention'"),
        ("colormap", "jet", "'cividis'"),
        ("opacity", 1.2, "from 0 to 1"),
        ("opacity", "half", "from 0 to 1"),
        ("selection", [1, 2, 3], "a box"),
        ("selection", [9, 0, 2, 5], "left < right"),
        ("selection", [[0, 0], [1, 1]], "three corners"),
        ("selection", [0, 0, float("nan"), 5], "a box"),
        ("notes", ["late"], "list of dicts"),
        ("notes", [{"word": {1}}], "text, numbers, flags"),
        ("display", [1], "a dict"),
    ],
)
def test_what_cannot_be_shown_is_refused_with_a_way_out_and_changes_nothing(explorer, e, name, value, said):
    before = explorer.state()
    with pytest.raises(TraitError, match=said):
        setattr(explorer, name, value)
    assert explorer.state() == before
    with pytest.raises(TraitError, match=said):
        dx.Explorer(e, **{name: value})


def test_an_unknown_keyword_is_answered_with_the_known_ones(e):
    with pytest.raises(TypeError, match=r"no 'layer'; it takes .* layers, layer_mode"):
        dx.Explorer(e, layer=3)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda e: dx.Explorer("photo.jpg"), "an explanation or a loaded VLM; got str"),
        (lambda e: dx.Explorer(e, "other"), "compared with explanations; got str"),
        (lambda e: dx.Explorer(e, prompt="what?"), "go with a model"),
        (lambda e: dx.Explorer(e).ask("what?"), "no model in memory"),
        (lambda e: dx.Explorer(e).check(region=(0, 0, 5, 5)), "no model in memory"),
        (lambda e: dx.Explorer(e).wait(), "Nothing was asked"),
        (lambda e: dx.Explorer(e).cancel("7"), "No job '7'"),
    ],
)
def test_a_wrong_subject_or_moment_is_said(e, make, said):
    with pytest.raises(ValueError, match=said):
        make(e)


def test_without_the_built_script_it_says_how_to_build_it(e, monkeypatch, tmp_path):
    monkeypatch.setattr(html, "STATIC", tmp_path)
    with pytest.raises(ValueError, match=r"widget\.js is missing"):
        dx.Explorer(e)


def test_a_state_makes_the_same_view_again(e):
    one = dx.Explorer(
        e,
        step="suitcase",
        layers=(1, 2),
        layer_mode="cumulative",
        heads=[(1, 0), (2, 1)],
        head_filter=0.2,
        filler_filter="none",
        text_set="content",
        relu=False,
        preset="released",
        colormap="viridis",
        opacity=0.5,
        selection=[[1, 2], [20, 2], [9, 25]],
        notes=[{"steps": [2, 3], "word": "suitcase", "tag": "register", "text": ""}],
        display={"smooth": False, "tab": "Heads"},
    )
    state = json.loads(json.dumps(one.state()))
    other = dx.Explorer.from_state(e, state)
    assert other.state() == one.state() == state
    with pytest.raises(TypeError, match="no 'zoom'"):
        dx.Explorer.from_state(e, {"zoom": 2})


def test_a_preset_set_later_brings_its_layers_and_text_set():
    explorer = dx.Explorer(CASES["twelve_layers"]())
    explorer.layer_mode = "single"
    explorer.preset = "released"
    assert (explorer.layers, explorer.text_set) == ([2, 11], "released")
    assert explorer.options().layers == tuple(range(2, 12))
    explorer.text_set = "all"
    assert explorer.preset == "released"


def test_traits_can_be_observed_and_linked(explorer):
    seen = []
    explorer.observe(lambda change: seen.append((change["name"], change["new"])), ["step", "steps"])
    explorer.step = "suitcase"
    assert sorted(seen, key=str) == [("step", 2), ("steps", [2, 3])]
    slider = IntSlider(max=4)
    link = jslink((explorer, "step"), (slider, "value"))
    box = HBox([explorer, slider])
    assert link.source == (explorer, "step") and explorer in box.children


def test_what_the_browser_sets_arrives_and_is_not_sent_back(explorer):
    browser = Browser(explorer)
    browser.set(step=2, steps=[2, 3], opacity=0.4, preset="released", text_set="all")
    assert (explorer.steps, explorer.opacity, explorer.preset) == ([2, 3], 0.4, "released")
    assert explorer.text_set == "all", "the browser's own text set stays"
    assert browser.updates == []


def test_a_linked_slider_that_sets_the_step_alone_sets_the_steps(explorer):
    browser = Browser(explorer)
    browser.set(step=1)
    assert explorer.steps == [1]
    assert {"steps": [1]} in browser.updates


def test_what_the_browser_may_not_set_is_answered_in_words_and_put_right(explorer):
    browser = Browser(explorer)
    browser.set(layers=[0, 9], opacity=0.1)
    (answer,) = browser.heard
    assert answer["kind"] == "error" and "it has layers 0 to 2" in answer["message"]
    assert browser.updates[-1]["layers"] == [0, 2]


def test_the_selection_is_a_region_of_the_images_pixels(explorer, e):
    assert explorer.region is None
    explorer.selection = (5.5, 2, 20, 12)
    assert np.array_equal(explorer.region, perturb.mask_of((5.5, 2, 20, 12), (40, 30)))
    explorer.selection = [(0, 0), (20, 0), (0, 20)]
    assert explorer.region[0, :19].all() and not explorer.region[0, 20:].any()
    assert not explorer.region[20:].any()
    explorer.selection = (100, 100, 120, 120)
    with pytest.raises(ValueError, match="covers nothing"):
        _ = explorer.region


def test_named_regions_travel_as_shares_of_cells(e):
    mask = np.zeros((30, 40), bool)
    mask[:, :15] = True  # cells are 10 wide: one and a half columns
    explorer = dx.Explorer(e, regions={"left": mask, "box": (0, 0, 10, 5), "corner": [(0, 0), (40, 0), (0, 30)]})
    regions = {region["name"]: region for region in json.loads(explorer._document)["sources"][0]["regions"]}
    assert regions["left"]["coverage"] == [1, 0.5, 0, 0] * 3
    assert regions["left"]["outline"] is None
    assert regions["box"]["coverage"] == [0.5] + [0] * 11
    assert regions["corner"]["outline"] == [[0, 0], [40, 0], [0, 30]]
    assert sum(regions["corner"]["coverage"]) == pytest.approx(6, abs=0.2)


def test_a_named_region_can_be_the_selection(e):
    mask = np.zeros((30, 40), bool)
    mask[:, :15] = True
    explorer = dx.Explorer(e, regions={"left": mask}, selection="left")
    assert explorer.selection == explorer.state()["selection"] == "left"
    assert np.array_equal(explorer.region, mask)
    with pytest.raises(TraitError, match="no region named 'right'; named regions: 'left'"):
        explorer.selection = "right"


@pytest.mark.parametrize(
    ("regions", "said"),
    [
        ({"all": (0, 0, 40, 30)}, r"regions\['all'\]: .*covers everything"),
        ({"x": np.zeros((3, 3))}, r"regions\['x'\]: .*shape \(3, 3\)"),
        ({" ": (0, 0, 4, 4)}, "expected a word"),
    ],
)
def test_a_wrong_region_is_named(e, regions, said):
    with pytest.raises(ValueError, match=said):
        dx.Explorer(e, regions=regions)


LESSON = [
    {"text": "Look at the whole answer."},
    {"text": "Now one word.", "state": {"step": "suitcase", "layers": 1}, "lock": True},
    {"text": "Where?", "quiz": {"question": "Left or right?", "choices": ["left", "right"], "answer": 1}},
    {"text": "Point at it.", "quiz": {"question": "Where is it?", "answer": (0, 0, 9, 9)}},
]


def test_a_lesson_travels_with_its_views_in_their_one_form(e):
    lesson = json.loads(dx.Explorer(e, lesson=LESSON)._document)["lesson"]
    assert [step["text"] for step in lesson] == [step["text"] for step in LESSON]
    assert lesson[1] == {"text": "Now one word.", "lock": True, "state": {"steps": [2, 3], "layers": [1, 1]}}
    assert lesson[3]["quiz"] == {"question": "Where is it?", "answer": [0, 0, 9, 9]}


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ({}, "has the text None"),
        ("look", "is 'look'; expected a dict"),
        ({"text": "x", "colour": 1}, "'colour', which is unknown"),
        ({"text": "x", "lock": "yes"}, "True or False"),
        ({"text": "x", "state": {"layers": 9}}, "it has layers 0 to 2"),
        ({"text": "x", "state": {"zoom": 9}}, "no 'zoom'"),
        ({"text": "x", "quiz": {"choices": ["a", "b"]}}, "the question None"),
        ({"text": "x", "quiz": {"question": "?", "choices": ["a"]}}, "at least two"),
        ({"text": "x", "quiz": {"question": "?", "choices": ["a", "b"], "answer": 2}}, "place of a choice"),
        ({"text": "x", "quiz": {"question": "?", "answer": 2}}, "expected a box"),
    ],
)
def test_a_wrong_lesson_names_the_step_and_the_fault(e, step, said):
    with pytest.raises(ValueError, match=r"lesson\[0\].*" + said):
        dx.Explorer(e, lesson=[step])


def test_notes_become_a_table_with_what_they_are_about(explorer, tmp_path):
    explorer.notes = [{"steps": [2, 3], "word": "suitcase", "tag": "spurious", "text": "says “floor”, not it"}]
    table = explorer.notes_table()
    assert table.loc[0, ["word", "tag", "prompt", "answer"]].tolist() == [
        "suitcase",
        "spurious",
        "what is it",
        "a red suitcase.",
    ]
    path = explorer.save_notes(tmp_path / "notes.csv")
    (row,) = csv.DictReader(io.StringIO(path.read_text("utf-8")))
    assert row["text"] == "says “floor”, not it" and row["steps"] == "[2, 3]"


def test_a_page_keeps_the_view_and_what_is_compared(e, tmp_path):
    other = build(prompt="what else", seed=9)
    explorer = dx.Explorer(e, other, step="red", lesson=LESSON, regions={"box": (0, 0, 10, 5)})
    page = explorer.to_html()
    assert explorer.to_html(tmp_path / "view.html") == tmp_path / "view.html"  # a cell's last line floods nothing
    assert (tmp_path / "view.html").read_text("utf-8") == page
    document = json.loads(re.search(r'id="document">(.*?)</script>', page, re.DOTALL)[1])
    assert document["view"] == explorer.state()
    assert [source["prompt"] for source in document["sources"]] == ["what is it", "what else"]
    assert document["lesson"][0]["text"] == LESSON[0]["text"]
    assert document["sources"][0]["regions"][0]["name"] == "box"


def test_a_cell_without_widgets_gets_a_picture_and_the_map_in_words(e):
    explorer = dx.Explorer(e, step="suitcase", layers=(1, 2), colormap="viridis", opacity=1.0)
    data, _ = explorer._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == explorer.model_id
    heat = e.heatmap("suitcase", layers=(1, 2))
    row, col = heat.peak
    assert "Map of “suitcase”: layers 1–2" in data["text/plain"]
    assert f"Peak: row {row + 1}, column {col + 1} of 3×4" in data["text/plain"]
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).convert("RGB"), int)
    expected = figures.overlay(e.example.image, heat, colours="viridis", opacity=1.0)
    height, width = shown.shape[:2]
    middle = expected[15, 20].astype(int)
    assert np.abs(shown[height // 2, width // 2] - middle).max() < 40  # enlarged, and on 256 colours


@pytest.mark.parametrize(
    ("case", "view", "said"),
    [
        ("ordinary", {}, "Map of the whole answer: layers 0–2"),
        ("all_silenced", {}, "The map is silenced."),
        ("all_silenced", {}, "Silenced words: “a”, “red”"),
        ("one_cell", {"step": 0, "head_filter": "none"}, "The map is constant."),
        ("one_step", {"layers": 0}, "layer 0, head filter max"),
        ("summary_only", {"relu": False}, "No map: A map with relu=False"),
        ("ordinary", {"heads": [(0, 1)], "layers": 2}, "None of the chosen heads"),
        ("ordinary", {"layers": 1, "layer_mode": "cumulative"}, "layers 0–1"),
        ("ordinary", {"layers": (0, 2), "layer_mode": "single"}, "layer 2"),
        ("three_to_one", {"relu": False}, "Peak: row"),
    ],
)
def test_every_kind_of_map_has_words_and_a_picture(case, view, said):
    data, _ = dx.Explorer(CASES[case](), **view)._repr_mimebundle_()
    assert said in data["text/plain"]
    assert Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).size[0] > 0


def test_a_word_is_silenced_in_words_only_when_all_of_it_is():
    e = CASES["twelve_layers"]()  # "a red suit", of which "suit" is silenced
    words = (e.generation.words[0], Word("redsuit", (1, 2)))
    half = replace(e, generation=replace(e.generation, words=words))
    assert "Silenced words: “suit”." in dx.Explorer(e)._repr_mimebundle_()[0]["text/plain"]
    assert "Silenced words: none." in dx.Explorer(half)._repr_mimebundle_()[0]["text/plain"]


def test_the_picture_of_attention_is_its_mean_over_heads_and_layers():
    e = with_parts()
    explorer = dx.Explorer(e, method="attention", step=1, layers=0)
    tokens = e.layout.tokens_of(0)
    expected = np.asarray(e.attention, float)[1, 0].mean(0)[tokens].reshape(2, 3)
    assert np.allclose(explorer.heatmap().values, expected, atol=1e-3)
    assert "method attention" in explorer._repr_mimebundle_()[0]["text/plain"]


def test_a_snapshot_is_an_output_of_its_own_with_the_page_in_a_frame(e, monkeypatch):
    shown = []
    monkeypatch.setattr("dexar_widgets.widgets.explorer.display", lambda data, raw: shown.append(data))
    explorer = dx.Explorer(build(pieces=[" it's", " <script>", ' & "so"']), step=0)
    explorer.snapshot()
    explorer.snapshot(interactive=False)
    assert set(shown[0]) == {"text/html", "image/png", "text/plain"}
    assert set(shown[1]) == {"image/png", "text/plain"}
    frame = shown[0]["text/html"]
    assert 'sandbox="allow-scripts allow-downloads"' in frame
    inner, fallback = re.search(r"srcdoc='([^']*)'>(.*)</iframe>$", frame, re.DOTALL).groups()
    assert fallback.startswith('<img alt="Asked: ') and shown[0]["image/png"] in fallback
    assert inner.replace("&#39;", "'").replace("&amp;", "&") == explorer.to_html()


def saved(explorer) -> int:
    """Bytes that a notebook grows by: the state of the widget and its layout, and the cell's output."""
    states = explorer.get_manager_state(widgets=[explorer, explorer.layout])
    data, _ = explorer._repr_mimebundle_()
    return len(json.dumps([states, data]).encode())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("grid", "size", "sources"),
    [((3, 4), (40, 30), 1), ((24, 24), (500, 500), 1), ((24, 24), (2400, 1800), 1), ((12, 12), (1200, 1200), 3)],
)
def test_a_saved_notebook_grows_by_at_most_a_megabyte_and_a_half(grid, size, sources):
    made = build(steps=8, layers=24, heads=16, grid=grid, size=size)  # noise: no picture takes more bytes
    explorer = dx.Explorer(*[made] * sources)
    assert saved(explorer) <= 1_500_000
    document = json.loads(explorer._document)
    apart = not explorer._payload
    assert all(bool(source["blocks"]) != apart for source in document["sources"])
    image = document["sources"][0]["image"]
    assert (image["width"], image["height"]) == size
    picture = Image.open(io.BytesIO(base64.b64decode(image["src"].partition(",")[2])))
    assert picture.width / picture.height == pytest.approx(size[0] / size[1], rel=0.01)
    assert min(picture.size) >= min(480, *size)


def test_numbers_that_are_too_large_to_be_saved_are_asked_for(monkeypatch):
    script = len(json.dumps(html.script_of("widget.js")))
    monkeypatch.setattr("dexar_widgets.widgets.wire.SAVED_BYTES", script + 300_000 + 10_000)
    explorer = dx.Explorer(build())
    (source,) = json.loads(explorer._document)["sources"]
    assert (explorer._payload, source["blocks"]) == (b"", [])
    specs, payload = explorer.part(0, source["opening"][0])
    assert len(payload) > 0 and {spec["name"] for spec in specs} >= {"maps/none", "maps/all/max", "visual/max"}


def test_it_says_in_a_line_what_it_is(explorer):
    assert repr(explorer) == "Explorer('a red suitcase.')"
    explorer.close()
    assert repr(explorer) == "Explorer(closed)"
    with pytest.raises(TraitError, match="its cell ran again; make another one"):
        explorer.step = 0
    with pytest.raises(ValueError, match="make another one"):
        explorer.to_html()
