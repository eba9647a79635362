"""What a report says first, what it never hides, and that its page is one file that asks for nothing."""

import base64
import re

import numpy as np
import pytest

from dexar_widgets.evaluation import charts, pictures, report, results
from dexar_widgets.evaluation.reopened import reopened
from dexar_widgets.evaluation.samples import BrokenSampleError, Given, Sample, Target
from tests.unit.evaluated import lost, score, write

pytestmark = pytest.mark.slow  # together 10 s, of 90 for all that are not

HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)>|`'
VALUES = {"dexar": 0.4, "attention": 0.5, "random": 0.1, "rollout": 0.3}


def rows(values=VALUES, count=12, **more):
    return [score(n, name, value + n / 100, **more) for name, value in values.items() for n in range(count)]


def made(folder, *scores, into="page", **more):
    found = results.read([write(folder / "results", *scores, **more)])
    files = report.write(found, folder / into)
    return {kind: path.read_text() for kind, path in files.items()}


def words(page):
    """The text of a page, a space between any two pieces."""
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def test_losses_come_first_and_name_who_won(tmp_path):
    texts = made(tmp_path, *rows())
    text = texts["md"]
    first = text.split("\n\n")[2]
    assert "In 1 of 3 comparisons with another method or setting DEX-AR loses" in first
    assert "Most often it loses to attention (1: IoU, best threshold)." in first
    assert "No better than chance: 0 of its 1 numbers whose chance is known." in first
    assert "It beats the controls, maps that know nothing of the model, in all 1 comparisons with them." in text
    (place,) = [line for line in text.split("\n") if line.startswith("| IoU, best threshold ↑ |")][:1]
    assert place == "| IoU, best threshold ↑ | 0.455; 1 ▲ 0 ≈ 2 ▽; attention 0.555 |"
    assert text.index(place) < text.index("## Table 2") < text.index("## Every comparison\n\nIn the HTML page")
    assert "Another is better than DEX-AR: 1" in words(texts["html"])
    both = made(tmp_path / "b", *rows({"dexar": 0.0, "random": 0.1}, chance=0.2))
    losing = both["md"]
    assert "it is no better in 1 of 1 comparisons: random on lab/llava, lab: IoU" in losing
    assert "DEX-AR is no better than chance: 1" in words(both["html"])
    assert "1 of its 1 numbers whose chance is known (IoU, best threshold)." in losing.split("\n\n")[2]


def test_a_loss_is_told_by_the_means_of_the_cases_that_both_have(tmp_path):
    scores = [*rows({"dexar": 0.4, "attention": 0.5}), score(50, "dexar", 0.9), score(51, "attention", 0.0)]
    text = words(made(tmp_path, *scores)["html"])
    assert "attention 0.455 0.555 0.100 (0.100 to 0.100)" in text


def test_a_map_of_the_masks_is_no_method_that_dexar_loses_to(tmp_path):
    text = made(tmp_path, *rows({"dexar": 0.4, "oracle": 0.9}))["md"]
    assert "In 1 of" not in text
    assert "the masks (oracle)" in text


def test_without_dexar_or_with_few_samples_nothing_is_claimed(tmp_path):
    assert "DEX-AR was not measured here" in made(tmp_path / "a", *rows({"random": 0.1}))["md"]
    assert "3 comparisons have fewer than 10 samples" in made(tmp_path / "b", *rows(count=4))["md"]


def test_tables_that_were_not_measured_are_named_with_what_measures_them(tmp_path):
    text = made(tmp_path, *rows())["md"]
    assert "## Table 2. Segmentation: soft IoU, IoU and energy pointing game (on the lab)" in text
    missing = text.split("## The paper's tables that were not measured")[1].split("##")[0]
    for name in ("table1", "table3", "table4", "table5", "table6", "table7", "table8"):
        assert f"dexar reproduce {name}" in missing
    assert "dexar reproduce table2" not in missing
    assert "only 1 of its 4 rows" in missing  # of table 5


def test_skips_and_broken_units_are_told(tmp_path):
    scores = [
        *rows({"dexar": 0.4, "random": 0.1}),
        *(score(n, "random", 0.1) for n in (50, 51)),
        score(50, "dexar", None),
        lost(51, "dexar", "broken", "no such file"),
    ]
    texts = made(tmp_path, *scores)
    for text in (texts["md"], texts["html"]):
        assert "1 constant_map, 1 broken skipped" in text
        assert "Units without a result: 1 of" in text
        assert "no such file" in text
    assert "1 constant_map, 1 broken" in texts["csv"]


def test_a_metric_nobody_knows_is_shown_and_not_judged(tmp_path):
    texts = made(tmp_path, *rows(metric="mystery"))
    assert "mystery" in words(texts["html"]).partition("Every number")[2]
    assert "Nothing can be said of who is better" in texts["md"]


def test_hostile_names_are_text(tmp_path):
    names = {"dexar": 0.4, HOSTILE: 0.5, "random": 0.1}
    hostile = rows(names, model=f"lab/llava{HOSTILE}", metric=f"m{HOSTILE}", target=HOSTILE)
    hostile += rows(names, model=f"lab/llava{HOSTILE}", metric="iou", target=HOSTILE)
    curve = {"levels": [0.0, 0.5, 1.0], "positive": [1.0, 2.0, 3.0], "negative": [], "insertion": []}
    texts = made(tmp_path, *hostile, lost(99, "dexar", "broken", HOSTILE, model=f"lab/llava{HOSTILE}"), units=curve)
    own = texts["html"].split("<body>")[1]
    for script in re.findall(r"<script[^>]*>", own):
        assert script == "<script>" or script.startswith('<script type="application/json"')
    assert own.count("<script>") == 2  # plotly, and what draws with it
    assert "<script>alert" not in texts["html"] + texts["md"]
    assert "onerror=alert(1)&gt;" in own
    assert "<img src=x" not in texts["html"] + texts["md"]


def test_the_page_is_one_small_file_that_allows_its_own_scripts_alone(tmp_path):
    curve = {"levels": [0.0, 1.0], "positive": [1.0, 2.0], "negative": [1.0, 2.0], "insertion": [2.0, 1.0]}
    text = made(tmp_path, *rows(), units=curve)["html"]
    assert len(text.encode()) < 6_000_000
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert "default-src 'none'" in policy
    assert "img-src data:;" in policy
    for directive in ("connect-src", "unsafe-eval", "http", "'self'"):
        assert directive not in policy
    assert policy.count("'sha256-") == 2
    before = text.split("<script>")[0]
    assert not re.search(r"""(?:src|href)=["'](?!data:)""", before)


def test_curves_are_means_of_what_the_answer_loses():
    levels = [0.0, 0.5, 1.0]
    units = results.pd.DataFrame(
        [
            {"model": "m", "data": "d", "variant": "v<b>", "status": "ok", "levels": levels, "positive": positive,
             "negative": None, "insertion": [3.0, 2.0, 1.0], "sample": str(place), "facts": "{}"}
            for place, positive in enumerate([[1.0, 2.0, 4.0], [2.0, 5.0, 6.0], [1.0, float("nan"), 1.0]])
        ]
    )  # fmt: skip
    positive, insertion = charts.curves(units, ["v<b>"]).charts
    (line,) = positive.figure["data"]
    assert line["line"]["width"] == 5
    assert (line["x"], line["y"], line["name"]) == (levels, [0.0, 2.0, 3.5], "v&lt;b&gt;")
    assert insertion.figure["data"][0]["y"] == [2.0, 1.0, 0.0]  # less those of the whole image, its end


IMAGE = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
CAT = np.pad(np.ones((10, 10), bool), ((5, 25), (5, 25)))
TALL = np.zeros((60, 30, 3), np.uint8)


def shown(folder, samples, **units):
    data = Given(samples, "lab")
    scores = [
        score(sample.id, name, value) for sample in samples for name, value in (("dexar", 0.4), ("attention", 0.5))
    ]
    found = results.read([write(folder, *scores, units=units)])
    return pictures.examples(found, {"lab": "dexar"}, {"lab": data})


def test_cases_are_shown_with_both_maps(tmp_path):
    part = shown(tmp_path, [Sample("a", IMAGE, "what?", targets=(Target("cat", CAT),))])
    kinds = [row[0].text.split("\n") for row in part.tables[0].rows]
    assert kinds == [[kind, "a", "dexar 0.400", "attention 0.500"] for kind in ("best", "worst", "furthest behind")]
    row = part.tables[0].rows[0]
    assert [bool(cell.picture) for cell in row] == [False, True, True, True, False]
    assert base64.b64decode(row[1].picture).startswith(b"\x89PNG")
    assert row[4].text == "what?\na cat"


def test_what_cannot_be_shown_says_why(tmp_path):
    tall = Sample("b", TALL, targets=(Target("cat", np.ones((60, 30), bool)),))
    assert shown(tmp_path / "b", [tall], box=[0.0, 15.0, 30.0, 45.0]).tables[0].rows[0][2].picture

    class Broken(Given):
        def load(self, id_):
            raise BrokenSampleError("no such image")

    found = results.read(str(write(tmp_path / "c", score("a", "dexar", 0.4))))
    part = pictures.examples(found, {"lab": "dexar"}, {"lab": Broken([tall], "lab")})
    assert part.tables[0].rows[0][1].text == "cannot be shown: no such image"
    assert "not at hand" in pictures.examples(found, {"lab": "dexar"}, {}).sentences[1]
    assert pictures.examples(found, {}, {}) is None


def test_the_labs_data_sets_are_opened_again_and_others_below_their_folder():
    from dexar_widgets.evaluation import data
    from dexar_widgets.evaluation.corruptions import Corrupted
    from dexar_widgets.evaluation.presets import PRESETS

    plain = data.open("lab", count=3, objects=1)
    gathered = PRESETS["table1"].sources[1].open(None)
    for dataset in (plain, Corrupted(plain, "fog", 5, seed=1), gathered):
        again = reopened(dataset.name, dict(dataset.settings), {})
        assert again.ids == dataset.ids
    assert reopened("lab", {**plain.settings, "listed": "other"}, {}) is None
    assert reopened("voc2012", {"year": "2012"}, {}) is None
    assert reopened("given", {"ids": ["a"]}, {}) is None


def test_settings_stand_once_and_say_of_which_data_where_they_differ(tmp_path):
    folders = [
        write(tmp_path / name, *rows({"dexar": 0.4}, model=model), levels=levels)
        for name, model, levels in (("a", "lab/llava", 10), ("b", "lab/florence2", 10), ("c", "lab/llava", 4))
    ]
    text = report.write(results.read(folders), tmp_path / "page")["md"].read_text()
    assert "| levels | lab | 10 |\n| levels | lab [c] | 4 |" in text
    assert '| metrics | all | ["iou"] |' in text


@pytest.mark.parametrize("scores", [rows({"dexar": 0.4}), [lost(1, "dexar"), lost(2, "dexar")]])
def test_one_method_alone_and_units_that_all_failed_make_a_page(tmp_path, scores):
    texts = made(tmp_path, *scores)
    assert "Where DEX-AR loses" in texts["html"]
    assert "The paper's tables that were not measured" in texts["md"].replace("&#x27;", "'")
