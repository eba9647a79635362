"""An Explorer with a model behind it: asked, checked, cancelled, closed; with the embedded model."""

import base64
import gc
import io
import json
import re
import threading
import weakref
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import dexar_widgets as dx
from dexar_widgets import causal, jobs
from dexar_widgets.images import Opened
from dexar_widgets.widgets import live
from tests.golden.cases import build
from tests.unit.browser import Browser

pytestmark = pytest.mark.slow

SCENE = dx.lab.scene(7).image
QUESTION = "what do you see?"


@pytest.fixture(scope="module")
def vlm():
    return dx.load()


@pytest.fixture
def explorer(vlm):
    widget = dx.Explorer(vlm, SCENE)
    yield widget
    widget.close()


@pytest.fixture
def browser(explorer):
    return Browser(explorer)


def test_it_waits_for_a_question_with_its_image(explorer, browser, vlm):
    assert (explorer._document, explorer._payload, explorer.steps, explorer.layers) == ("", b"", [], [])
    answer = browser.tell("hello")
    assert (answer["model"], answer["name"]) == (True, vlm.name)
    assert (answer["image"]["width"], answer["image"]["height"]) == (SCENE.shape[1], SCENE.shape[0])
    data, _ = explorer._repr_mimebundle_()
    assert data["text/plain"] == f"Explorer of {vlm.name}: nothing was asked yet."
    picture = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    assert picture.size == (SCENE.shape[1], SCENE.shape[0])


def test_an_answer_comes_word_by_word_and_then_with_every_panels_numbers(explorer, browser, vlm):
    browser.tell("ask", id="a", prompt=QUESTION)
    e = explorer.wait(60)
    assert browser.kinds("a")[-1] == "done" and {"progress", "word"} <= set(browser.kinds("a"))
    heard = [message["text"] for message in browser.heard if message["kind"] == "word"]
    assert heard == [word.text for word in e.generation.words]
    plain = dx.explain(vlm, SCENE, QUESTION)
    assert e.generation.text == plain.generation.text == explorer.explanation.generation.text
    assert np.array_equal(e.gradients.values, plain.gradients.values)
    assert e.attention is not None and e.lens is not None and e.patch_norm is not None
    state = next(update for update in browser.updates if "_document" in update)
    assert {"_payload", "layers"} <= set(state), "one update: the view never sees half of an answer"
    assert json.loads(state["_document"])["sources"][0]["answer"] == e.generation.text
    header = json.loads(explorer._document)["sources"][0]
    assert {"attention", "lens/rank", "maps/all/max"} <= {spec["name"] for spec in header["blocks"]}
    assert "patch_norm=True" not in header["outliers"]["text"], "the patches' norms were kept and read"


def test_the_document_is_there_before_the_job_is_done(explorer):
    seen = []
    browser = Browser(explorer)
    hear = browser.comm.send

    def watch(data, buffers=None, **more):
        seen.append("document" if "_document" in data.get("state", {}) else data.get("content", {}).get("kind"))
        hear(data, buffers, **more)

    browser.comm.send = watch
    explorer.ask(QUESTION).result(60)
    assert seen.index("document") < seen.index("done")


def test_a_given_answer_is_explained_and_an_earlier_one_stays_to_compare(explorer, browser):
    first = explorer.ask(QUESTION).result(60)
    explorer.steps, explorer.layers, explorer.selection = [0], 1, (0, 0, 20, 20)
    explorer.notes = [{"steps": [0], "word": "I", "tag": "ok", "text": ""}]
    browser.tell("ask", id="b", prompt=QUESTION, answer="I see a dog .", max_new_tokens=8)
    second = explorer.wait(60)
    assert second.generation.text == "I see a dog ." and explorer.sources == (second, first)
    assert (explorer.steps, explorer.layers) == ([], [1, 1])
    assert explorer.selection == [0, 0, 20, 20], "the image is the same"
    assert explorer.notes[0]["answer"] == first.generation.text
    other = dx.lab.scene(8).image
    explorer.ask(QUESTION, other).result(60)
    assert explorer.selection is None
    assert np.array_equal(explorer.explanation.example.image, other)


def test_a_question_given_with_the_model_is_asked(vlm):
    explorer = dx.Explorer(vlm, SCENE, QUESTION, layers=(1, 2), step=1, regions={"corner": (0, 0, 9, 9)})
    explorer.wait(60)
    assert (explorer.layers, explorer.steps) == ([1, 2], [1])
    assert json.loads(explorer._document)["sources"][0]["regions"][0]["name"] == "corner"
    explorer.close()


def test_a_state_from_a_longer_answer_is_taken_as_far_as_it_goes(vlm, caplog):
    explorer = dx.Explorer.from_state(vlm, {"step": 60, "layers": [0, 1], "opacity": 0.3}, image=SCENE)
    explorer.ask(QUESTION).result(60)
    assert (explorer.steps, explorer.layers, explorer.opacity) == ([], [0, 1], 0.3)
    assert "step=60 names no explained step" in caplog.text
    explorer.close()


def test_an_image_from_the_browser_is_what_is_asked_about(explorer, browser):
    file = io.BytesIO()
    Image.fromarray(dx.lab.scene(9).image).save(file, "PNG")
    browser.tell("image", name="scene.png", buffers=[file.getvalue()])
    browser.tell("ask", id="a", prompt=QUESTION)
    e = explorer.wait(60)
    assert np.array_equal(e.example.image, dx.lab.scene(9).image)
    assert e.example.source == "scene.png"


def test_a_dropped_file_that_is_no_image_is_named(explorer, browser):
    answer = browser.tell("image", name="notes.txt", buffers=[b"no image"])
    assert answer["kind"] == "error" and answer["message"].startswith("'notes.txt' is not an image")


def test_hiding_a_region_is_measured_as_by_check(explorer, browser):
    e = explorer.ask(QUESTION).result(60)
    region = [10, 10, 50, 50]
    browser.tell("check", id="c", words=[[0], [1, 2]], region=region, how="blur")
    found = explorer.wait(60)
    assert browser.kinds("c") == ["progress", "done"]
    expected = causal.checks(e, steps=[(0,), (1, 2)], region=region, how="blur")
    assert [check.log_prob for check in found] == [check.log_prob for check in expected]
    (result,) = shown(browser)
    assert (result["kind"], result["about"], result["how"]) == ("check", {"region": region}, "blur")
    for plain, check in zip(result["checks"], expected, strict=True):
        low, high = check.chance_range
        numbers = {"log_prob": check.log_prob, "hidden": check.hidden, "kept": check.kept}
        numbers |= {"chance": check.chance, "low": low, "high": high, "p": check.p, "randoms": 19}
        kept_low, kept_high = check.kept_range
        numbers |= {"kept_low": kept_low, "kept_high": kept_high, "kept_chance": check.kept_chance}
        numbers |= {"kept_p": check.kept_p}
        assert plain.pop("verdict") == check.verdict
        assert (plain.pop("word"), plain.pop("steps")) == (check.word, list(check.steps))
        assert plain == close(numbers)


VIEW = {"layers": [0, 2], "heads": None, "head_filter": "max", "filler_filter": "max", "method": "dexar"}


def shown(browser) -> list[dict]:
    """What the browser was told last of what was measured."""
    return [update["_results"] for update in browser.updates if "_results" in update][-1]


def close(values):
    """Numbers travel with six digits."""
    return pytest.approx(values, rel=1e-5, abs=1e-9)


def test_top_cells_are_tested_as_by_check_with_the_map_that_the_message_tells(explorer, browser):
    e = explorer.ask(QUESTION).result(60)
    explorer.layers = 3  # the browser's own view counts, which may not have arrived yet
    browser.tell("deletion", id="d", steps=[3], view=VIEW, how="blur")
    found = explorer.wait(60)
    assert browser.kinds("d") == ["progress", "done"]
    expected = dx.check(e, step=[3], layers=[0, 1, 2], how="blur")
    assert np.array_equal(found.curves, expected.curves)
    (result,) = shown(browser)
    assert result["about"] == {"steps": [3], **VIEW, "text_set": "all", "relu": True, "preset": "paper"}
    assert (result["how"], result["status"], result["randoms"]) == ("blur", "ok", 19)
    assert result["own"] == close(expected.curves[0].tolist())
    assert result["mean"] == close(expected.random_curves[0].mean(0).tolist())
    low, high = expected.random_range
    assert (result["low"], result["high"]) == (close(low[0].tolist()), close(high[0].tolist()))
    assert result["fractions"] == close(expected.fractions.tolist())
    numbers = result["lost"], result["chance"], result["p"]
    assert numbers == close((expected.auc[0], expected.random_auc[0].mean(), expected.p[0]))
    assert result["verdict"] == expected.verdicts[0]


def test_python_tests_the_whole_answers_top_cells_by_the_map_in_view(explorer, browser):
    e = explorer.ask(QUESTION).result(60)
    explorer.attribute("uniform").result(60)
    explorer.attribute("random").result(60)
    explorer.method = "random"
    explorer.deletion().result(60)
    expected = dx.check(explorer.explanation, method="random")
    result = shown(browser)[-1]
    assert result["about"] == {"steps": [], "method": "random"}
    assert result["own"] == close(expected.curves[-1].tolist())
    explorer.deletion(list(e.steps)).result(60)  # named one by one, their maps are summed
    assert shown(browser)[-1]["about"]["steps"] == list(e.steps)
    explorer.method = "uniform"
    explorer.deletion(3).result(60)
    result = shown(browser)[-1]
    assert (result["status"], result["own"][0], result["lost"]) == ("constant", None, None)
    json.dumps(result, allow_nan=False)


@pytest.mark.parametrize("cut", dx.perturb.CUTS)
def test_a_cut_is_measured_as_by_check(explorer, browser, cut):
    e = explorer.ask(QUESTION).result(60)
    browser.tell("knockout", id="k", cut=list(cut), window=2)
    explorer.wait(60)
    assert browser.kinds("k")[-1] == "done"
    expected = dx.check(e, cut=cut, window=2)
    (result,) = shown(browser)
    assert (result["about"], result["depth"], result["aligned"]) == ({"cut": list(cut)}, len(e.layers), True)
    assert result["windows"] == [[int(first), int(first) + 1] for first, _ in expected.windows]
    assert [word["word"] for word in result["words"]] == list(expected.words)
    assert [word["steps"] for word in result["words"]] == [list(steps) for steps in expected.steps]
    for word, total, drop in zip(result["words"], expected.total, expected.drop, strict=True):
        assert word["total"] == pytest.approx(total, rel=1e-5, abs=1e-9)
        assert word["drop"] == close(drop.tolist())


def test_results_stay_with_their_answer_and_the_page_keeps_them(explorer, browser):
    explorer.ask(QUESTION).result(60)
    for cut in (["image", "answer"], ["prompt", "answer"], ["image", "answer"]):
        browser.tell("knockout", id="k", cut=cut)
        explorer.wait(60)
    assert [one["about"]["cut"][0] for one in shown(browser)] == ["prompt", "image"], "measured again, it is there once"
    document = json.loads(re.search(r'id="document">(.*?)</script>', explorer.to_html()).group(1))
    assert document["results"] == explorer._results
    assert "_results" not in explorer.state(), "a state may be given to another answer"
    explorer.ask(QUESTION, answer="I see a dog .").result(60)
    assert explorer._results == [] == shown(browser)


def test_a_test_that_waits_can_be_cancelled_and_leaves_nothing(explorer, browser, vlm):
    explorer.ask(QUESTION).result(60)
    with vlm.lock:  # a cell that uses the model
        browser.tell("deletion", id="d", steps=[3])
        browser.tell("cancel", id="c", job="d")
        with pytest.raises(jobs.Cancelled):
            explorer.wait(10)
    assert explorer._results == []


def test_python_checks_what_is_selected_or_a_named_region(vlm):
    explorer = dx.Explorer(vlm, SCENE, regions={"corner": (0, 0, 30, 30)})
    e = explorer.ask(QUESTION).result(60)
    explorer.step, explorer.selection = 1, (0, 0, 30, 30)
    (selected,) = explorer.check().result(60)
    (named,) = explorer.check([1], "corner").result(60)
    assert selected == named == dx.check(e, step=1, region=(0, 0, 30, 30))
    word = e.generation.words[1].text
    (one,) = explorer.check(word, "corner").result(60)
    assert one == dx.check(e, step=word, region=(0, 0, 30, 30))
    with pytest.raises(ValueError, match=r"A mask has no outline .*dx\.checks"):
        explorer.check([1], np.eye(*SCENE.shape[:2], dtype=bool))
    with pytest.raises(ValueError, match="named regions: 'corner'"):
        explorer.check([1], "edge")
    explorer.close()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"kind": "check", "words": [[0]]}, "No region is selected"),
        ({"kind": "check", "words": [[0]], "region": [1]}, "a box"),
        ({"kind": "check", "words": [[0]], "region": [900, 900, 950, 950]}, "covers nothing"),
        ({"kind": "check", "words": [[99]], "region": [0, 0, 9, 9]}, "no explained step"),
        ({"kind": "deletion", "steps": [99]}, "no explained step"),
        ({"kind": "deletion", "steps": [0], "view": {"colour": "red"}}, "has no 'colour'"),
        ({"kind": "deletion", "steps": [0], "view": {"layers": [3, 1]}}, "runs backwards"),
        ({"kind": "deletion", "steps": [0], "view": {"heads": [[9, 9]]}}, "9"),
        ({"kind": "deletion", "steps": [0], "view": {"method": "magic"}}, "method='magic' is unknown"),
        ({"kind": "knockout", "cut": ["answer", "image"]}, "cut=['answer', 'image'] is unknown; accepted"),
        ({"kind": "knockout", "cut": [["image"], "answer"]}, "is unknown; accepted"),
        ({"kind": "ask", "prompt": "  "}, "The question is empty"),
        ({"kind": "ask", "prompt": 3}, "needs 'prompt', of type str"),
        ({"kind": "ask", "prompt": "x", "max_new_tokens": "many"}, "of type int"),
    ],
)
def test_what_cannot_be_done_is_refused_at_once(explorer, browser, content, said):
    explorer.ask(QUESTION).result(60)
    answer = browser.say({"dexar": 2, "id": "x", **content})
    assert (answer["kind"], answer["id"]) == ("error", "x") and said in answer["message"]


def test_what_fails_in_the_model_is_answered_with_the_reason(explorer, browser):
    browser.tell("ask", id="x", prompt=QUESTION, max_new_tokens=0)
    with pytest.raises(ValueError, match="max_new_tokens is 0"):
        explorer.wait(60)
    assert browser.heard[-1]["kind"] == "error" and "max_new_tokens is 0" in browser.heard[-1]["message"]
    with pytest.raises(ValueError, match="how='melt'"):
        explorer.ask(QUESTION).result(60)
        browser.tell("check", id="y", words=[[0]], region=[0, 0, 9, 9], how="melt")
        explorer.wait(60)


def test_a_job_that_waits_or_is_queued_can_be_cancelled(explorer, browser, vlm):
    with vlm.lock:  # a cell that uses the model
        browser.tell("ask", id="one", prompt=QUESTION)
        browser.tell("ask", id="two", prompt=QUESTION)
        assert browser.tell("hello", id="h")["job"] == "two"
        assert browser.tell("ask", id="two", prompt=QUESTION)["message"] == "A job 'two' is running already."
        assert browser.tell("cancel", id="c2", job="two")["id"] in {"two", "c2"}
        browser.tell("cancel", id="c1", job="one")
        with pytest.raises(jobs.Cancelled):
            explorer.wait(10)
        for _ in range(200):
            if browser.kinds("one")[-1:] == ["cancelled"]:
                break
            threading.Event().wait(0.05)
    assert browser.kinds("two") == ["error", "cancelled"]
    assert browser.kinds("one")[-1] == "cancelled"
    assert browser.kinds("c1") == browser.kinds("c2") == ["done"]
    assert explorer._document == "" and explorer.sources == ()
    assert browser.tell("hello", id="h2")["job"] is None


def test_an_interrupted_wait_cancels(explorer, vlm, monkeypatch):
    with vlm.lock:
        job = explorer.ask(QUESTION)

        def interrupted(_timeout=None):
            raise KeyboardInterrupt

        monkeypatch.setattr(job, "result", interrupted)
        with pytest.raises(KeyboardInterrupt):
            explorer.wait()
    monkeypatch.undo()
    with pytest.raises(jobs.Cancelled):
        job.result(10)


def test_an_explanation_that_knows_its_model_can_be_asked_about(vlm):
    e = dx.explain(vlm, SCENE, QUESTION)
    explorer = dx.Explorer(e)
    browser = Browser(explorer)
    assert browser.tell("hello")["model"] is True
    assert explorer.ask("is there a dog?").result(60).example.prompt == "is there a dog?"
    assert np.array_equal(explorer.explanation.example.image, SCENE)
    explorer.close()


def test_closing_stops_the_work_and_lets_go_of_the_model():
    vlm = dx.load()
    explorer = dx.Explorer(vlm, SCENE, QUESTION)
    e = explorer.wait(60)
    with vlm.lock:
        job = explorer.ask(QUESTION)
        explorer.close()
        with pytest.raises(jobs.Cancelled):
            job.result(10)
    held = weakref.ref(vlm), weakref.ref(e)
    del vlm, e, job
    gc.collect()
    assert [ref() for ref in held] == [None, None]
    assert explorer.vlm is None and repr(explorer) == "Explorer(closed)"
    with pytest.raises(ValueError, match="closed, by close"):
        explorer.ask(QUESTION)


def test_garbage_collection_lets_go_of_the_model_too():
    vlm = dx.load()
    explorer = dx.Explorer(vlm, SCENE, QUESTION)
    explorer.wait(60)
    held = weakref.ref(vlm), weakref.ref(explorer)
    del vlm, explorer
    gc.collect()
    assert [ref() for ref in held] == [None, None]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"prompt": QUESTION}, "a prompt but no image"),
        ({"regions": {"x": (0, 0, 9, 9)}}, "regions need an image"),
        ({"image": 7}, "Expected an image"),
    ],
)
def test_a_live_explorer_says_what_it_lacks(vlm, more, said):
    with pytest.raises(ValueError, match=said):
        dx.Explorer(vlm, **more)


def test_without_an_image_it_says_so_when_asked(vlm):
    explorer = dx.Explorer(vlm)
    with pytest.raises(ValueError, match="no image"):
        explorer.ask(QUESTION)
    with pytest.raises(ValueError, match="one image and one prompt"):
        dx.Explorer(vlm, SCENE, QUESTION, "more")
    explorer.close()


@pytest.mark.parametrize(("attention", "kept"), [("sdpa", True), ("flash_attention_2", False)])
def test_attention_rows_are_left_out_with_a_notice_where_flash_attention_hides_them(monkeypatch, attention, kept):
    asked = {}

    def explain(_vlm, _image, _prompt, **options):
        asked.update(options)
        return build()

    monkeypatch.setattr("dexar_widgets.verbs.explain", explain)
    module = SimpleNamespace(config=SimpleNamespace(_attn_implementation=attention))
    vlm = SimpleNamespace(anatomy=SimpleNamespace(sublayers=lambda: [("self", module, None)]))
    opened = Opened(SCENE, "scene.png", ("Cropped.",))
    e = live._explained(vlm, opened, QUESTION, answer=None, max_new_tokens=5, on_word=print)
    assert asked["attention"] is kept
    assert (e.example.notices[-1].startswith("Attention rows were left out")) is not kept
    assert e.example.notices[0] == "Cropped." and e.example.source == "scene.png"


def test_a_stored_dexar_does_not_stand_in_for_the_map_in_view(vlm):
    e = dx.compare(vlm, SCENE, QUESTION, methods=["dexar", "uniform"])
    assert "dexar" in e.attributions
    explorer = dx.Explorer(e, head_filter="none")
    found = explorer.deletion().result(60)
    assert found.options["head_filter"] == explorer._results[-1]["about"]["head_filter"] == "none"
    bare = replace(e, attributions={})
    expected = causal.deletion(bare, whole=True, head_filter="none", vlm=vlm)
    assert np.allclose(found.curves, expected.curves, atol=1e-4)
    explorer.close()


def test_named_regions_come_with_an_image_that_is_asked_about_and_go_with_the_next(explorer):
    scene = dx.lab.scene(11, objects=["red cat"])
    explorer.ask(QUESTION, scene.image, regions={"cat": scene.masks[0]})
    explorer.wait(60)
    assert np.array_equal(explorer.region_of("cat"), scene.masks[0])
    assert [region["name"] for region in json.loads(explorer._document)["sources"][0]["regions"]] == ["cat"]
    explorer.ask("where is this?")  # the same image
    explorer.wait(60)
    assert np.array_equal(explorer.region_of("cat"), scene.masks[0])
    explorer.ask(QUESTION, SCENE)
    explorer.wait(60)
    with pytest.raises(ValueError, match="no region named 'cat'"):
        explorer.region_of("cat")
    with pytest.raises(ValueError, match="regions go with an image"):
        explorer.ask(QUESTION, regions={"cat": scene.masks[0]})


def test_a_scene_is_built_and_asked_about(vlm):
    builder = dx.SceneBuilder(vlm, dx.lab.scene(7, objects=["red cat", "blue boat"]), head_filter="none")
    first = builder.ask().result(60)
    builder.things = [thing for thing in builder.things if thing["name"] == "boat"]
    second = builder.ask("Is there a cat?").result(60)
    assert "red cat" in first.generation.text
    assert second.generation.text.startswith("No")
    assert (builder.prompt, builder.explorer.head_filter) == ("Is there a cat?", "none")
    assert builder.explorer.sources == (second, first)  # to be compared
    builder.close()
    assert builder.explorer.comm is None
