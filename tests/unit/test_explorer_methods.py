"""Other methods' maps in the Explorer: as traits, pictures and pages have them, and asked for while it is open."""

import json
import re
import threading
import weakref
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from traitlets import TraitError

import dexar_widgets as dx
from dexar_widgets import jobs
from dexar_widgets.widgets import html, parts, snapshot, wire
from tests.golden.cases import CASES, build
from tests.unit.browser import Browser
from tests.unit.made import attribution_of

E = CASES["with_methods"]()


def document_of(explorer) -> dict:
    return json.loads(explorer._document)


def test_the_header_says_what_each_methods_maps_are_and_what_they_took():
    (header,) = wire.document([E])[0]["sources"]
    assert [method["name"] for method in header["methods"]] == ["rise", "integrated_gradients", "tam", "centre", "iia"]
    assert header["methods"][2] == {
        "name": "tam",
        "title": "Tam",
        "unit": "made-up units",
        "control": False,
        "whole": True,
        "minmaxed": False,
        "steps": [0, 1, 2, 3],
        "seconds": 0.75,
        "own": 0.5,
        "peakBytes": None,
        "forwards": 1,
        "backwards": 0,
    }
    assert header["methods"][3]["control"] and header["methods"][4]["steps"] == [1, 2, 3]


@pytest.mark.parametrize("name", ["dexar", "rise", "tam", "integrated_gradients", "centre"])
def test_any_method_that_gave_maps_can_be_looked_at(name):
    explorer = dx.Explorer(E, method=name, step=1)
    assert explorer.method == explorer.state()["method"] == name
    heat = explorer.heatmap()
    expected = {
        "dexar": lambda: E.heatmap(1),
        "tam": lambda: E.attributions["tam"].sequence_map(),
    }.get(name, lambda: E.attributions[name].heatmap(1))()
    np.testing.assert_array_equal(heat.values, expected.values)
    explorer.steps = []
    whole = E.sequence_map() if name == "dexar" else E.attributions[name].sequence_map()
    np.testing.assert_array_equal(explorer.heatmap().values, whole.values)


def test_a_method_that_gave_no_maps_is_refused_and_those_that_did_are_named():
    explorer = dx.Explorer(E)
    with pytest.raises(TraitError, match=r"'dexar', 'attention', 'rise', .* 'iia'"):
        explorer.method = "grad_cam"
    with pytest.raises(TraitError, match="attention=True"):
        explorer.method = "attention"


def test_attention_is_the_methods_own_map_where_no_rows_were_kept():
    found = attribution_of(E, "attention")
    explorer = dx.Explorer(replace(E, attributions={"attention": found}), method="attention")
    np.testing.assert_array_equal(explorer.heatmap().values, found.sequence_map().values)
    rows = CASES["with_attention"]()
    explorer = dx.Explorer(replace(rows, attributions={"attention": attribution_of(rows, "attention")}))
    explorer.method = "attention"
    assert explorer.heatmap().values.max() < 1, "the rows' own"


def test_a_picture_says_the_method_and_no_setting_that_does_not_touch_it():
    explorer = dx.Explorer(E, method="integrated_gradients", step=1, heads=[(0, 1)], layers=2)
    data = snapshot.bundle(explorer)  # no chosen head lies in these layers, which is nothing to this method
    assert "Map of “red”: method integrated_gradients." in data["text/plain"]
    assert "Silenced" not in data["text/plain"] and data["image/png"]
    explorer.method = "tam"
    assert "one map for the whole answer, method tam" in snapshot.bundle(explorer)["text/plain"]


def test_a_page_holds_every_methods_maps_whatever_its_budget():
    page = html.page(E, max_bytes=0)
    (source,) = json.loads(re.search(r'id="document">(.*?)</script>', page, re.DOTALL)[1])["sources"]
    assert source["opening"] == ["open", *(f"method/{name}" for name in E.attributions)]
    blocks = {spec["name"]: spec["shape"] for spec in source["blocks"]}
    assert blocks["method/rise"] == [4, 12] and blocks["method/tam/answer"] == [1, 12]


def test_a_view_of_a_method_needs_no_other_numbers():
    view = {"method": "rise", "heads": [[0, 0]], "relu": False}
    assert parts.opening(E, 0, view)[1:] == tuple(f"method/{name}" for name in E.attributions)


class Model:
    """What stands for a model: nothing asks it anything."""

    name = "made"


@pytest.fixture
def without():
    """An Explorer whose model is not in memory."""
    explorer = dx.Explorer(E)
    yield explorer
    explorer.close()


@pytest.fixture
def live(monkeypatch):
    """An Explorer of an answer whose model is in memory; its methods give made-up maps as soon as they may."""
    model, may = Model(), threading.Event()

    def attribute(e, *, method):
        for done in range(3):
            jobs.progress(done, 3, "hiding")
        while not may.wait(0.01):
            jobs.check()
        return attribution_of(e, method)

    monkeypatch.setattr(dx, "verbs", SimpleNamespace(attribute=attribute), raising=False)
    monkeypatch.setattr("dexar_widgets.plugins.names", lambda kind: ("centre", "grad_cam", "rise"))
    explorer = dx.Explorer(replace(E, vlm=weakref.ref(model)), step=1, layers=1)
    explorer.test_model = model
    explorer.let = may
    yield explorer
    may.set()
    explorer.close()


def test_hello_names_the_methods_that_can_be_asked_for(live, without):
    assert Browser(live).tell("hello")["methods"] == ["centre", "grad_cam", "rise"]
    assert Browser(without).tell("hello")["methods"] == []


def test_a_method_asked_for_in_the_browser_joins_the_view_which_stays_as_it_is(live):
    browser = Browser(live)
    before, state = document_of(live), live.state()
    browser.tell("attribute", id="a", method="grad_cam")
    live.let.set()
    found = live.wait(10)
    assert browser.kinds("a") == ["progress", "done"]
    assert live.explanation.attributions["grad_cam"] == found
    (update,) = browser.updates
    assert set(update) == {"_document", "_payload"} and live.state() == state
    after = json.loads(update["_document"])
    for document in (before, after):
        for name in ("methods", "opening", "blocks"):
            document["sources"][0].pop(name)
    assert after == before, "nothing but the methods is new"
    brought = browser.tell("part", source=0, name="method/grad_cam")["blocks"]
    assert "method/grad_cam" in {spec["name"] for spec in brought}
    live.method = "grad_cam"


def test_a_method_asked_for_in_python_can_be_waited_for(live):
    live.let.set()
    job = live.attribute("rise")
    assert live.wait(10) is job.result() is live.explanation.attributions["rise"]


def test_two_methods_at_once_are_both_there_in_the_end(live):
    jobs_ = [live.attribute(name) for name in ("grad_cam", "rise")]
    live.let.set()
    for job in jobs_:
        job.result(10)
    assert {"grad_cam", "rise", "tam"} <= set(live.explanation.attributions)


def test_a_method_finds_its_answer_though_another_one_is_shown_by_then(live):
    job = live.attribute("grad_cam")
    live._show(build(seed=5, prompt="and now?"), {})
    live.let.set()
    job.result(10)
    shown, before = live.sources
    assert not shown.attributions and "grad_cam" in before.attributions


def test_a_method_that_is_stopped_changes_nothing(live):
    browser = Browser(live)
    browser.tell("attribute", id="a", method="grad_cam")
    browser.tell("cancel", job="a")
    with pytest.raises(jobs.Cancelled):
        live.wait(10)
    assert browser.kinds("a")[-1] == "cancelled"
    assert "grad_cam" not in live.explanation.attributions and browser.updates == []


def test_a_method_that_fails_or_is_unknown_says_why(live, without, monkeypatch):
    def fail(e, *, method):
        raise MemoryError("lower n_masks")

    monkeypatch.setattr(dx.verbs, "attribute", fail)
    browser = Browser(live)
    browser.tell("attribute", id="a", method="rise")
    with pytest.raises(MemoryError):
        live.wait(10)
    assert [m["message"] for m in browser.heard if m["id"] == "a" and m["kind"] == "error"] == ["lower n_masks"]
    with pytest.raises(ValueError, match="method='lime' is unknown; accepted: 'centre', 'grad_cam', 'rise'"):
        live.attribute("lime")
    assert "needs 'method'" in browser.tell("attribute", id="b")["message"]
    assert "no model in memory" in Browser(without).tell("attribute", method="rise")["message"]


def test_the_next_answer_is_looked_at_with_a_method_that_it_has(live):
    live.method = "rise"
    live._show(build(seed=5, prompt="and now?"), {})
    assert live.method == "dexar"


@pytest.mark.slow
def test_fifteen_methods_of_twenty_words_stay_small():
    e = build(steps=20, layers=4, heads=4, grid=(24, 24), size=(96, 96), pieces=[" word"] * 20)
    bare = len(html.page(e, max_bytes=0))
    every = {name: attribution_of(e, name, signed=name < "h") for name in map("method{}".format, "abcdefghijklmno")}
    full = replace(e, attributions=every)
    names = [f"method/{name}" for name in every]
    sizes = [parts.part(full, name).size for name in names]
    assert sum(sizes) <= 190_000
    assert sizes == pytest.approx([parts._size(full, name) for name in names], rel=0.02)
    assert len(html.page(full, max_bytes=0)) - bare <= 270_000
    explorer = dx.Explorer(full)
    assert all(source["blocks"] for source in document_of(explorer)["sources"])
    assert len(json.dumps(explorer.get_manager_state(widgets=[explorer])).encode()) <= 1_200_000


def test_maps_travel_exactly_while_they_are_few_and_within_half_a_percent_of_their_peak_else(monkeypatch):
    def read(name: str) -> np.ndarray:
        blocks = parts.part(E, name)
        values = {
            spec["name"]: np.frombuffer(piece, f"<{spec['dtype']}", int(np.prod(spec["shape"]))).reshape(spec["shape"])
            for spec, piece in zip(blocks.specs, blocks.pieces, strict=True)
        }
        scale = values.get(f"{name}/scale")
        return values[name] if scale is None else values[name] * scale[:, None]

    exact = {name: found.maps.reshape(len(found.maps), -1) for name, found in E.attributions.items()}
    for name, maps in exact.items():
        np.testing.assert_array_equal(read(f"method/{name}"), maps)
    monkeypatch.setattr(parts, "EXACT_CELLS", 10)
    for name, maps in exact.items():
        assert (np.abs(read(f"method/{name}") - maps) <= 0.005 * np.abs(maps).max(-1, keepdims=True)).all()
    with pytest.raises(ValueError, match="methods that gave theirs: rise, "):
        parts.part(E, "method/lime")
