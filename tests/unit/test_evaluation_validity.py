"""Which perturbation metrics can be believed, on tables whose verdict is known."""

import json

import numpy as np
import pytest

from dexar_widgets.evaluation import report, results
from dexar_widgets.evaluation.validity import validities, validity
from tests.unit.evaluated import score, write

pytestmark = pytest.mark.slow

COUNT = 12
RIGHT = {"oracle": 3.0, "dexar": 2.0, "random": 0.0, "inverted_oracle": -3.0}
AROUND = np.tile([-0.2, 0.2], COUNT // 2)  # one half each, so that a mean is that of the row


def rows(metric, levels, count=COUNT, **more):
    """Each variant's level, and around it what the samples differ by; an array tells each sample."""
    return [
        score(sample, name, value, metric=metric, target="", **more)
        for name, level in levels.items()
        for sample, value in enumerate((level + AROUND if np.isscalar(level) else level)[:count])
    ]


def causal(levels, count=COUNT):
    return rows("causal_agreement", levels, count, view="word")


def found(folder, *scores):
    read = results.read([write(folder, *scores)])
    return {one.metric: one for one in validities(read, {"lab": "dexar"})}


def said(folder, *scores):
    return " ".join(validity(list(found(folder, *scores).values())).sentences)


def test_a_metric_that_puts_all_four_in_order_holds(tmp_path):
    one = found(tmp_path, *rows("perplexity_gap", RIGHT))["perplexity_gap"]
    assert one.holds
    assert (one.samples, one.means["oracle"].value) == (COUNT, pytest.approx(3))
    assert one.steps["DEX-AR", "random"].value == pytest.approx(2)
    assert one.error == pytest.approx(AROUND.std(ddof=1) / np.sqrt(COUNT))
    assert (one.random_is_zero, one.inverted_is_below) == (True, True)
    assert "lab/llava, lab: Perplexity gap does what was asked." in said(tmp_path / "b", *rows("perplexity_gap", RIGHT))


def test_where_low_numbers_are_good_the_order_is_the_other_way_round(tmp_path):
    falling = {name: 5 - level for name, level in RIGHT.items()}
    one = found(tmp_path, *rows("insertion", falling), *rows("deletion", falling))
    assert one["insertion"].holds
    assert one["insertion"].steps["oracle", "random"].value == pytest.approx(3)
    assert one["insertion"].random_is_zero is None
    assert one["deletion"].steps["oracle", "random"].value == pytest.approx(-3)


def test_what_does_not_hold_is_said_in_words(tmp_path):
    level = {**RIGHT, "random": 3.0 + AROUND[::-1]}  # now above the oracle and now below
    text = said(tmp_path / "a", *rows("deletion", level))
    assert "Deletion puts random above DEX-AR here (better by -1.000" in text
    assert "it does not tell the oracle from random here (better by 0.000" in text
    text = said(tmp_path / "b", *rows("deletion", {**RIGHT, "dexar": 4.0}))
    assert "lab/llava, lab: Deletion puts DEX-AR above the oracle here (better by -1.000, -1.000 to -1.000)." in text


def test_noise_must_have_a_gap_of_zero_and_the_inverted_oracle_less(tmp_path):
    text = said(tmp_path, *rows("perplexity_gap", {**RIGHT, "random": 0.5, "inverted_oracle": AROUND}))
    assert "Perplexity gap does not give random 0: 0.500, 8.3 standard errors away" in text
    assert "it does not put the inverted oracle below 0: 0.000" in text


def test_the_order_of_the_methods_is_held_against_causal_agreement(tmp_path):
    levels = {**RIGHT, "attention": 2.5, "rollout": 1.0}
    agreeing = {"dexar": 0.5, "attention": 0.6, "rollout": 0.4, "random": 0.1, "oracle": -1.0}  # masks do not count
    one = found(tmp_path / "a", *rows("perplexity_gap", levels), *causal(agreeing))["perplexity_gap"]
    assert (one.order.spearman.value, one.order.methods, one.order.samples) == (pytest.approx(1), 4, COUNT)
    assert (one.order.spearman.low, one.order.spearman.high) == (pytest.approx(1), pytest.approx(1))
    assert one.order.holds
    turned = {"dexar": 0.1, "attention": 0.2, "rollout": 0.3, "random": 0.4}
    scores = [*rows("perplexity_gap", levels), *causal(turned)]
    one = found(tmp_path / "b", *scores)["perplexity_gap"]
    assert one.order.spearman.value == pytest.approx(1 - 6 * (4 + 4 + 1 + 9) / (4 * 15))
    assert one.order.holds is False
    assert "does not order the methods as causal agreement does: ρ = -0.800 (-0.800 to -0.800) of 4 methods" in said(
        tmp_path / "c", *scores
    )
    few = found(tmp_path / "d", *rows("perplexity_gap", levels), *causal(agreeing, 4))["perplexity_gap"]
    assert (few.order.samples, few.order.holds) == (4, None)
    assert few.holds
    assert "the order of the methods is not judged" in said(tmp_path / "e", *rows("perplexity_gap", levels))


def test_the_order_is_of_the_samples_that_all_methods_have(tmp_path):
    levels = {**RIGHT, "attention": 2.5, "rollout": 1.0}
    scores = rows("perplexity_gap", levels)
    for one in scores:  # what attention was not asked for is easy for all
        one["value"] += 100.0 if int(one["sample"]) >= 11 and one["variant"] != "rollout" else 0.0
    agreeing = {"dexar": 0.5, "attention": 0.6, "rollout": 0.4, "random": 0.1}
    asked = [one for one in causal(agreeing) if (one["variant"], one["sample"]) != ("attention", "11")]
    scores = [one for one in scores if (one["variant"], one["sample"]) != ("attention", "11")]
    order = found(tmp_path, *scores, *asked)["perplexity_gap"].order
    assert (order.spearman.value, order.samples) == (pytest.approx(1), 11)  # means of their own would put it third


def test_noise_about_one_image_is_as_unsure_as_its_images_are_many(tmp_path):
    levels = {**RIGHT, "random": np.random.default_rng(0).normal(size=COUNT)}
    alone = found(tmp_path / "a", *rows("perplexity_gap", levels))["perplexity_gap"]
    facts = [json.dumps({"image": str(n)}) for n in range(COUNT)]
    five = [
        one | {"sample": f"{one['sample']}-{n}", "facts": facts[int(one["sample"])]}
        for one in rows("perplexity_gap", levels) for n in range(5)
    ]  # fmt: skip
    copied = found(tmp_path / "b", *five)["perplexity_gap"]
    assert (copied.samples, copied.clusters, copied.error) == (5 * COUNT, COUNT, pytest.approx(alone.error))
    assert copied.steps["oracle", "random"].low == pytest.approx(alone.steps["oracle", "random"].low)


def test_a_sample_counts_where_all_four_have_a_number(tmp_path):
    scores = rows("perplexity_gap", RIGHT)
    lacking = [one for one in scores if (one["sample"], one["variant"]) != ("0", "dexar")]
    one = found(tmp_path, *lacking)["perplexity_gap"]
    assert (one.samples, one.means["oracle"].n) == (COUNT - 1, COUNT - 1)


def test_of_few_samples_nothing_is_said_and_without_the_four_there_is_no_chapter(tmp_path):
    text = said(tmp_path / "a", *rows("perplexity_gap", RIGHT, 5))
    assert "of fewer than 10 samples, so nothing is said of Perplexity gap." in text
    assert "asked" not in text.split("DEX-AR says least.")[1].split("Means with")[0]
    for absent in RIGHT:
        three = {name: level for name, level in RIGHT.items() if name != absent}
        assert not found(tmp_path / absent, *rows("perplexity_gap", three))
    assert validity([]) is None


@pytest.mark.slow
def test_the_report_has_the_chapter_where_the_four_were_measured(tmp_path):
    four = results.read([write(tmp_path / "a", *rows("perplexity_gap", RIGHT))])
    text = report.write(four, tmp_path)["md"].read_text()
    assert "## Can the perturbation metrics be believed?" in text
    assert "✓ 2.000; (2.000 to 2.000)" in text
    two = results.read([write(tmp_path / "b", *rows("perplexity_gap", {"dexar": 1.0, "random": 0.0}))])
    assert "be believed?" not in report.write(two, tmp_path)["md"].read_text()
