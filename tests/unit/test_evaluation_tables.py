"""Means, what was skipped, comparisons and orders, by hand; and what several folders have in common."""

import json

import numpy as np
import pandas as pd
import pytest

from dexar_widgets.attributions import options_of
from dexar_widgets.evaluation import results
from dexar_widgets.evaluation.comparison import comparison, left_out, measured_rows, orders, same_setting
from dexar_widgets.evaluation.gathered import Gathered
from dexar_widgets.evaluation.presets import PRESETS
from dexar_widgets.evaluation.published import family_of, published
from dexar_widgets.evaluation.ranks import agreement, kendall, signed_rank
from dexar_widgets.evaluation.readings import Reading, cases_of, meaning_of, readings_in
from dexar_widgets.evaluation.samples import EVERY, Given, Sample
from dexar_widgets.evaluation.tables import costs_of, summary
from tests.unit.evaluated import frame, lost, score, write

IOU = Reading("iou")


def row(scores, variant, reading=IOU, reference="dexar", **more):
    found = summary(scores, [reading], reference, **more)
    (one,) = found[found["variant"] == variant].to_dict("records")
    return one


def test_a_mean_counts_cases_and_its_interval_comes_from_samples():
    one = row(frame(score(1, "dexar", 0.2), score(1, "dexar", 0.4, target="dog"), score(2, "dexar", 0.6)), "dexar")
    assert (one["mean"], one["median"], one["n"], one["samples"]) == (pytest.approx(0.4), 0.4, 3, 2)
    assert (one["low"], one["high"]) == (pytest.approx(0.3), pytest.approx(0.6))  # one sample alone, or the other
    assert row(frame(score(1, "dexar", 0.2)), "dexar")["n"] == 1
    assert np.isnan(row(frame(score(1, "dexar", 0.2)), "dexar")["low"])


def test_what_is_skipped_is_told_and_counts_as_the_worst_where_it_is_the_maps_fault():
    scores = frame(
        score(1, "dexar", 0.6), score(2, "dexar", None), score(3, "dexar", None, status="empty_mask"),
        lost(4, "dexar"), lost(5, "dexar", "broken"),
        *(score(sample, "random", 0.1) for sample in (1, 2, 4)), score(3, "random", None, status="empty_mask"),
        lost(5, "random", "broken"),
    )  # fmt: skip
    one = row(scores, "dexar")
    assert (one["n"], one["skipped"]) == (1, 4)
    assert sorted(one["reasons"].split(", ")) == ["1 broken", "1 constant_map", "1 empty_mask", "1 failed"]
    assert one["pessimistic"] == pytest.approx(0.6 / 3)  # with 0 for the constant map and for what failed
    other = row(scores, "random")
    assert (other["n"], other["reasons"], other["pessimistic"]) == (3, "1 empty_mask, 1 broken", pytest.approx(0.1))


def test_a_case_that_others_have_is_not_forgotten():
    words = [score(sample, name, 0.5, view="word") for sample, name in ((1, "dexar"), (2, "dexar"), (1, "rise"))]
    one = row(frame(*words, score(2, "rise", 0.5)), "rise", Reading("iou", view="word"))
    assert (one["n"], one["skipped"], one["reasons"]) == (1, 1, "1 no map")
    assert one["pessimistic"] == pytest.approx(0.25)


def test_a_number_above_all_is_no_fault_of_the_map():
    infinite = [score(sample, "dexar", None, metric="snr", status="overflow") for sample in range(5)]
    known = [score(sample, "dexar", 5.0, metric="snr") for sample in range(5, 10)]
    one = row(frame(*infinite, *known), "dexar", Reading("snr"))
    assert (one["n"], one["reasons"], one["pessimistic"]) == (5, "5 overflow", 5.0)


def test_a_sample_that_another_lost_is_no_case_where_the_metric_does_not_apply():
    scores = [score(1, "dexar", 0.8), score(1, "rise", 0.5), score(2, "dexar", 0.5, metric="mse"), lost(2, "rise")]
    one = row(frame(*scores), "dexar")
    assert (one["n"], one["skipped"], one["pessimistic"]) == (1, 0, 0.8)


def test_samples_that_a_method_was_not_asked_for_are_not_held_against_it():
    one = row(frame(*(score(sample, "dexar", 0.5) for sample in range(20)), score(1, "rise", 0.5)), "rise")
    assert (one["n"], one["skipped"], one["reasons"], one["pessimistic"]) == (1, 0, "", 0.5)


def test_a_mean_without_bounds_has_no_pessimistic_one():
    scores = frame(
        score(1, "dexar", 2, metric="negative_perplexity"), score(2, "dexar", None, metric="negative_perplexity")
    )
    assert np.isnan(row(scores, "dexar", Reading("negative_perplexity"))["pessimistic"])


def test_differences_are_of_the_cases_that_both_have_and_know_what_is_better():
    values = {"dexar": [0.5] * 12, "attention": [0.7, *[0.6] * 11], "random": [0.1] * 12}
    scores = [score(n, name, value) for name, many in values.items() for n, value in enumerate(many)]
    scores.append(score(99, "attention", 0.0))  # dexar has no such case
    attention = row(frame(*scores), "attention")
    assert (attention["pairs"], attention["less_reference"]) == (12, pytest.approx((0.2 + 11 * 0.1) / 12))
    assert attention["paired"] == pytest.approx((0.7 + 11 * 0.6) / 12)  # without the case that dexar has not
    assert (attention["beside_reference"], attention["beside_chance"]) == ("better", "better")
    assert attention["p"] == pytest.approx(2 * 2 / 10_001)  # the least of a bootstrap, for two comparisons
    random = row(frame(*scores), "random")
    assert (random["beside_reference"], random["beside_chance"]) == ("worse", "")
    assert row(frame(*scores), "dexar")["beside_reference"] == ""
    lower = [one | {"metric": "mse"} for one in scores]
    assert row(frame(*lower), "attention", Reading("mse"))["beside_reference"] == "worse"
    assert row(frame(*scores), "random", uncompared=["random"])["beside_reference"] == ""


def asked_about(images, questions, value_of, variant="dexar", **more):
    """So many questions about each image, all with the image's own value."""
    return [
        score(f"{image}-{question}", variant, value_of(image), facts=json.dumps({"image": str(image)}), **more)
        for image in range(images) for question in range(questions)
    ]  # fmt: skip


def test_questions_about_one_image_make_nothing_surer_than_one_of_them():
    values = np.random.default_rng(0).normal(size=(2, 12))
    found = {}
    for questions in (1, 5):
        scores = asked_about(12, questions, lambda image: values[0, image], "dexar", metric="mystery")
        scores += asked_about(12, questions, lambda image: values[1, image] + 1, "attention", metric="mystery")
        found[questions] = row(frame(*scores), "attention", Reading("mystery"))
    one, five = found[1], found[5]
    assert (five["n"], five["samples"], five["clusters"], one["clusters"]) == (60, 60, 12, 12)
    for name in ("low", "high", "less_reference_low", "less_reference_high", "p", "wilcoxon"):
        assert five[name] == pytest.approx(one[name]), name
    apart = frame(*(score(n, "dexar", values[0, n % 12], metric="mystery") for n in range(60)))  # of 60 images
    alone = row(apart, "dexar", Reading("mystery"))
    dexar = row(
        frame(*asked_about(12, 5, lambda image: values[0, image], metric="mystery")), "dexar", Reading("mystery")
    )
    assert alone["high"] - alone["low"] < 0.6 * (dexar["high"] - dexar["low"])


def test_many_questions_about_few_images_are_not_judged():
    scores = [*asked_about(9, 5, lambda _: 0.5), *asked_about(9, 5, lambda _: 0.1, "random")]
    assert row(frame(*scores), "random")["beside_reference"] == "few"


def test_a_floor_is_told_and_noise_is_what_maps_are_tested_against():
    scores = [score(n, name, value, chance=0.1) for name, value in (("dexar", 0.3), ("random", 0.3)) for n in range(12)]
    dexar = row(frame(*scores), "dexar")
    assert (dexar["floor"], dexar["chance"], dexar["chance_from"]) == (pytest.approx(0.1), pytest.approx(0.3), "random")
    assert (dexar["beside_chance"], dexar["less_chance"]) == ("level", 0)  # though all are far above the floor
    alone = row(frame(*scores[:12]), "dexar")
    assert (alone["beside_chance"], alone["chance_from"], alone["floor"]) == ("", "", pytest.approx(0.1))
    energy = row(frame(*(one | {"metric": "energy_pointing_game"} for one in scores)), "random",
                 Reading("energy_pointing_game"))  # fmt: skip
    assert (energy["chance"], energy["chance_from"], energy["beside_chance"]) == (pytest.approx(0.1), "known", "better")
    assert np.isnan(energy["floor"])


def test_an_infinite_ratio_is_a_share_of_one_and_no_pair_is_lost():
    scores = [score(n, "dexar", 3.0, metric="snr", chance=1.0) for n in range(12)]
    scores += [score(n, "attention", 1.0, metric="snr", chance=1.0) for n in range(6)]
    scores += [score(n, "attention", None, metric="snr", status="overflow", chance=1.0) for n in range(6, 12)]
    one = row(frame(*scores), "attention", Reading("snr"))
    assert (one["pairs"], one["form"], one["mean"], one["n"]) == (12, "as shares", 1.0, 6)
    assert one["less_reference"] == pytest.approx((0.5 + 1) / 2 - 0.75)  # 0: of the six with a number it would lose all
    assert one["beside_reference"] == "level"
    assert (one["paired"], one["less_chance"]) == (pytest.approx(0.75), pytest.approx(0.25))
    decibel = [one | {"parts": json.dumps({"decibel": 10 * np.log10(3)})} for one in scores]
    assert row(frame(*decibel), "attention", Reading("snr", "decibel"))["pairs"] == 12
    assert row(frame(*(one | {"metric": "iou"} for one in scores)), "attention")["pairs"] == 6


def test_a_signed_rank_is_what_all_signs_give():
    apart = np.array([0.3, -0.1, 0.5, 0.7, -0.2, 0.9, 1.1, 0.4, 0.6, 0.8, -0.45, 1.3])
    order = np.argsort(np.argsort(abs(apart))) + 1
    seen = order[apart > 0].sum()
    sums = np.array([(order * signs).sum() for signs in np.ndindex(*[2] * 12)])
    exact = min(1, 2 * min((sums >= seen).mean(), (sums <= seen).mean()))
    assert signed_rank(apart, np.arange(12)) == pytest.approx(exact, abs=0.005)  # of twelve, by the normal curve
    assert signed_rank(np.repeat(apart, 5), np.repeat(np.arange(12), 5)) == pytest.approx(
        signed_rank(apart, np.arange(12))
    )
    assert signed_rank(np.array([0.0, np.nan, 1.0, -1.0]), np.arange(4)) == 1
    assert np.isnan(signed_rank(np.zeros(3), np.arange(3)))


def test_few_samples_are_not_judged():
    scores = frame(*(score(n, name, value) for n in range(9) for name, value in (("dexar", 0.5), ("random", 0.1))))
    assert row(scores, "random")["beside_reference"] == "few"


def test_a_metric_nobody_knows_has_a_mean_and_no_verdict():
    scores = [score(n, name, n, metric="mystery") for n in range(12) for name in ("dexar", "random")]
    one = row(frame(*scores), "random", Reading("mystery"))
    assert (one["mean"], one["beside_reference"], one["beside_chance"]) == (5.5, "", "")
    assert one["pessimistic"] == 5.5  # nothing was skipped
    assert meaning_of("mystery").higher_is_better is None
    assert Reading("mystery").title == "mystery"


def test_views_are_kept_apart():
    scores = frame(
        score(1, "dexar", 0.1), score(1, "dexar", 0.3, target="dog"), score(1, "dexar", 0.9, target=EVERY),
        score(2, "dexar", 0.5), score(1, "dexar", 0.7, view="word"),
    )  # fmt: skip
    assert readings_in(scores) == [Reading("iou"), Reading("iou", view="together"), Reading("iou", view="word")]
    values = {one.view: cases_of(scores, one)["value"].tolist() for one in readings_in(scores)}
    assert values == {"answer": [0.1, 0.3, 0.5], "together": [0.9, 0.5], "word": [0.7]}  # of one target, that is all


def test_a_part_is_read_and_a_missing_one_is_skipped():
    parts = [json.dumps({"otsu": 0.25}), json.dumps({"otsu": "nan"}), "{}"]
    scores = frame(*(score(n, "dexar", 0.5, parts=text) for n, text in enumerate(parts)))
    one = row(scores, "dexar", Reading("iou", "otsu"))
    assert (one["mean"], one["n"], one["reasons"]) == (0.25, 1, "2 part missing")
    assert np.isnan(one["chance"])  # that of the value says nothing of another scale
    assert row(scores, "dexar", Reading("iou", "grid"))["n"] == 0


def test_orders_by_hand():
    assert agreement([1, 2, 3, 4], [10, 30, 20, 40]) == {"n": 4, "spearman": pytest.approx(0.8), "kendall": 4 / 6}
    assert agreement([1, 2, np.nan], [1, 2, 3])["n"] == 2
    assert np.isnan(agreement([1, 2], [1, 2])["spearman"])
    # of three pairs one is tied in the first: two agree, of 2 and 3 that are not tied
    assert kendall(np.array([1.0, 1, 2]), np.array([1.0, 2, 3])) == pytest.approx(2 / np.sqrt(2 * 3))
    assert np.isnan(kendall(np.ones(3), np.arange(3.0)))


def test_costs_are_means_of_an_explanation():
    costs = pd.DataFrame(
        [{"model": "m", "data": "d", "variant": "v", "seconds_answer": 1.0, "seconds_shared": 2.0, "seconds_own": own,
          "seconds_curves": 9.0, "forwards": 4, "backwards": 1, "peak_bytes": 5, "sample": str(own), "facts": "{}"}
         for own in (1.0, 3.0, np.nan)]
    )  # fmt: skip
    (one,) = costs_of(costs).to_dict("records")
    assert (one["n"], one["seconds"], one["seconds_curves"], one["peak_bytes"]) == (2, 5.0, 9.0, 5.0)


def test_one_folder_given_twice_costs_what_it_cost_once(tmp_path):
    for name in ("one", "copy"):
        write(tmp_path / name, *(score(sample, "dexar", 0.5) for sample in range(3)))
    both = results.read([tmp_path / "one", tmp_path / "copy"])
    assert len(both.costs) == len(results.read([tmp_path / "one"]).costs) == len(both.units) == 3


def test_the_papers_names_and_ours_mean_the_same_families():
    names = {
        "llava": ("LlaVA-1.5", "LLaVA-1.5-7B", "unspecified(LLaVA-1.5?)", "lab/llava", "llava-hf/llava-1.5-7b-hf"),
        "bakllava": ("BakLlaVA-v1", "BakLLaVA-v1(inferred)", "lab/bakllava", "llava-hf/bakLlava-v1-hf"),
        "paligemma": ("PaliGemma", "google/paligemma-3b-pt-224", "lab/paligemma"),
        "florence2": ("Florence2", "Florence-2", "florence-community/Florence-2-base", "lab/florence2"),
        None: (
            "./mine",
            "lab/analytic",
            "google/paligemma2-3b-pt-224",
            "llava-hf/llava-v1.6-mistral-7b-hf",
            "llava-hf/llava-onevision-qwen2-0.5b-ov-hf",
        ),
    }
    for family, spelt in names.items():
        assert {family_of(name) for name in spelt} == {family}
    with pytest.raises(ValueError, match="table1 to table8"):
        published("table9")


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_a_preset_has_a_place_for_each_number_of_the_paper_and_its_options_are_accepted(preset):
    theirs = published(preset.name)
    assert set(theirs["method"]) == {one.published for one in preset.rows if one.published}
    assert set(zip(theirs["dataset"], theirs["metric"], strict=True)) == {one.published for one in preset.columns}
    assert {one.source for one in preset.columns} <= {one.title for one in preset.sources}
    assert preset.reference in [one.name for one in preset.variants]
    settings = [same_setting(one.method, one.options) for one in preset.variants]
    assert len(set(settings)) == len({one.name for one in preset.variants}) == len(preset.variants)
    for variant in preset.variants:
        if variant.method != "oracle":
            options_of(variant.method, variant.options)
    for source in preset.sources:
        dataset = source.open(None)
        assert dataset.name == source.names(lab=True)
        assert source.agrees(dataset.settings)
        assert len(dataset.ids) >= preset.samples


def test_a_table_holds_our_numbers_beside_the_papers(tmp_path):
    rows = [
        score(n, name, value) for n in range(12) for name, value in (("dexar", 0.4), ("attention", 0.5), ("tam", 0.2))
    ]
    found = results.read([write(tmp_path / "a", *rows)])
    table = comparison(PRESETS["table2"], found, lab=True)
    cells = table.set_index(["row", "column"])
    assert cells.loc[("DEX-AR", "IoU ↑, %"), ["mean", "published", "n"]].tolist() == [pytest.approx(40), 36.34, 12]
    attention = cells.loc[("Attention", "IoU ↑, %")]
    assert (attention["mean"], attention["beside_reference"]) == (pytest.approx(50), "better")
    assert attention["floor"] == pytest.approx(10)
    assert np.isnan(attention["chance"])
    assert cells.loc[("tam (not in the paper)", "IoU ↑, %"), "mean"] == pytest.approx(20)
    assert np.isnan(cells.loc[("GradCAM", "IoU ↑, %"), "mean"])
    assert cells.loc[("GradCAM", "IoU ↑, %"), "published"] == 28.9
    assert np.isnan(cells.loc[("DEX-AR", "soft-IoU ↑, %"), "mean"])
    assert measured_rows(table) == 3
    assert orders(table).empty  # of two methods there is no order
    assert comparison(PRESETS["table2"], found, lab=False).empty


def test_models_that_were_measured_in_different_ways_stand_in_one_table_all_the_same(tmp_path):
    one = write(tmp_path / "one", *(score(n, "dexar", 0.4, model="lab/llava") for n in range(3)))
    other = write(
        tmp_path / "two", *(score(n, "dexar", 0.3, model="lab/paligemma") for n in range(3)), dtype="bfloat16"
    )
    found = results.read([one, other])
    assert len(found.told) == 2
    table = comparison(PRESETS["table2"], found, lab=True)
    cells = table[(table["row"] == "DEX-AR") & (table["column"] == "IoU ↑, %")].set_index("model")["mean"]
    assert cells.to_dict() == {"lab/llava": pytest.approx(40), "lab/paligemma": pytest.approx(30)}
    assert not list(left_out(PRESETS["table2"], table, found, lab=True))
    released = comparison(PRESETS["table1"], results.read([one]), lab=True)
    assert "DEX-AR, released" not in set(released[released["model"] == "lab/paligemma"]["row"])


def test_settings_of_one_method_do_not_stand_in_each_others_rows(tmp_path):
    rows = [score(n, "dexar", 3, metric="snr") for n in range(3)]
    rows += [score(n, "dexar blunt", 2, metric="snr", options='{"head_filter": "avg"}') for n in range(3)]
    rows += [score(n, "attention", 1, metric="snr") for n in range(3)]
    table = comparison(PRESETS["table3"], results.read([write(tmp_path, *rows)]), lab=True)
    means = table[table["column"] == "SNR ↑"].set_index("row")["mean"].dropna().to_dict()
    assert means == {"max": 3.0, "avg": 2.0}


def test_what_stands_in_no_row_of_a_table_is_told(tmp_path):
    blunt, sharp = '{"head_filter": "avg"}', '{"head_filter": 0.15}'
    rows = [score(n, "dexar", 3, metric="snr") for n in range(3)]
    for name, options in (("dexar again", "{}"), ("dexar blunt", blunt), ("dexar sharp", sharp)):
        rows += [score(n, name, 2, metric="snr", options=options) for n in range(3)]
    rows += [score(n, "attention", 1, metric="snr") for n in range(3)]
    other = write(tmp_path / "other", score(1, "dexar", 3, metric="snr"), levels=4)
    found = results.read([write(tmp_path / "one", *rows), other])
    table = comparison(PRESETS["table3"], found, lab=True)
    means = table[table["column"] == "SNR ↑"].set_index("row")["mean"].dropna().to_dict()
    further = {f"dexar {name} (not in the paper)": 2.0 for name in ("again", "sharp")}
    assert means == {"max": 3.0, "avg": 2.0} | further  # another setting of the same method has a row
    told = list(left_out(PRESETS["table3"], table, found, lab=True))
    assert told == [
        "Measured in another way, and not in this table: lab [other]; see every number.",
        "Also measured on these data, and in no row of this table: attention; see every number.",
    ]
    assert not list(left_out(PRESETS["table2"], comparison(PRESETS["table2"], found, lab=True), found, lab=False))


def test_a_unit_that_was_asked_for_and_is_not_there_counts_as_unmeasured(tmp_path):
    first = write(tmp_path / "a", *(score(n, name, 0.5) for n in range(3) for name in ("dexar", "tam")))
    for name in ("results", "units", "costs"):
        table = pd.read_parquet(first / f"{name}.parquet")
        table[(table["variant"] != "tam") | (table["sample"] != "2")].to_parquet(first / f"{name}.parquet")
    one = row(results.read([first]).scores, "tam")
    assert (one["n"], one["skipped"], one["reasons"], one["pessimistic"]) == (2, 1, "1 unmeasured", 0.5)
    slow = write(tmp_path / "b", *(score(n, "rise", 0.5) for n in range(2)))  # of a folder of fewer samples
    assert row(results.read([first, slow]).scores, "rise")["skipped"] == 0


def test_defaults_that_are_spelt_out_are_the_same_setting():
    assert same_setting("dexar", {}) == same_setting("dexar", {"head_filter": "max", "relu": True})
    assert same_setting("dexar", {}) != same_setting("dexar", {"relu": False})
    assert same_setting("of somebody else", {"a": 1}) == same_setting("of somebody else", {"a": 1})


def test_parts_of_one_evaluation_are_joined_and_others_keep_apart(tmp_path):
    first = write(tmp_path / "first", score(1, "dexar", 0.5), lost(2, "dexar"))
    second = write(tmp_path / "second", score(2, "dexar", 0.6), score(1, "random", 0.1), score(2, "random", 0.1))
    found = results.read([first, second])
    assert list(found.told) == ["lab"]
    assert row(found.scores, "dexar")["n"] == 2  # what failed in one folder was measured in the other
    assert row(found.scores, "random")["pairs"] == 2
    assert (found.units["status"] == "ok").all()
    other = write(tmp_path / "other", score(1, "dexar", 0.9), levels=4)
    apart = results.read([first, other])
    assert list(apart.told) == ["lab", "lab [other]"]
    assert apart.plain_name("lab [other]") == "lab"
    named = write(tmp_path / "named", score(1, "dexar", 0.9, options='{"relu": false}'))
    assert list(results.read([first, named]).told) == ["lab", "lab [named]"]  # one name, two meanings
    assert list(results.read([tmp_path]).told) == ["lab", "lab [named]", "lab [other]"]  # folders within


def test_results_come_in_the_order_in_which_they_were_asked_for(tmp_path):
    folder = write(tmp_path, score(1, "random", 0.1), score(1, "dexar", 0.5))
    told = json.loads((folder / "configuration.json").read_text())
    told["variants"].reverse()
    (folder / "configuration.json").write_text(json.dumps(told))
    assert results.read([folder]).scores["variant"].tolist() == ["dexar", "random"]


def damage(path):
    path.write_bytes(path.read_bytes()[:50])


@pytest.mark.parametrize(
    ("harm", "match"),
    [
        (lambda folder: (folder / "configuration.json").unlink(), "holds no results"),
        (lambda folder: (folder / "results.parquet").unlink(), "cut short; the same `dexar evaluate`"),
        (lambda folder: damage(folder / "units.parquet"), "units.parquet' is damaged"),
        (lambda folder: damage(folder / "configuration.json"), "configuration.json' is damaged"),
        (lambda folder: (folder / "configuration.json").write_text("{}"), "no 'data'"),
    ],
)
def test_a_folder_that_cannot_be_read_says_why(tmp_path, harm, match):
    folder = write(tmp_path / "a", score(1, "dexar", 0.5))
    harm(folder)
    with pytest.raises(ValueError, match=match):
        results.read([folder])


def test_an_empty_folder_and_one_without_units_say_what_to_do(tmp_path):
    with pytest.raises(ValueError, match="dexar evaluate --out"):
        results.read([tmp_path])
    with pytest.raises(ValueError, match="no folder"):
        results.read([tmp_path / "nowhere"])
    folder = write(tmp_path / "a", score(1, "dexar", 0.5))
    for name in ("results", "units", "costs"):
        pd.read_parquet(folder / f"{name}.parquet").iloc[:0].to_parquet(folder / f"{name}.parquet")
    with pytest.raises(ValueError, match="nothing was measured yet"):
        results.read([folder])


def test_data_sets_are_gathered_in_turn():
    black = np.zeros((2, 2, 3), np.uint8)
    sets = [
        Given([Sample(id_, black, answer=f"{name} {id_}") for id_ in ids], name)
        for name, ids in (("a", "12"), ("b", "1"))
    ]
    both = Gathered("both", sets)
    assert both.ids == ("a/1", "b/1", "a/2")
    assert (both.load("b/1").answer, both.load("b/1").id) == ("b 1", "b/1")
    with pytest.raises(ValueError, match="no sample 'c/1'"):
        both.load("c/1")
    with pytest.raises(ValueError, match="one name"):
        Gathered("both", [sets[0], sets[0]])
