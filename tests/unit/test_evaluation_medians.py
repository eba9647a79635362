"""The interval of the area behind a median curve, against a plain loop over resamples, and what a report shows."""

import time

import numpy as np
import pandas as pd
import pytest

from dexar_widgets.evaluation import charts
from dexar_widgets.evaluation.medians import behind_median
from dexar_widgets.statistics import resampled


def plain(curves, across, clusters, draws):
    """Each resample written out, sample by sample, and its median curve by numpy."""
    names = sorted(set(clusters))
    areas = []
    for times in resampled(len(names), 0, draws):
        rows = [
            curves[row]
            for name, count in zip(names, times, strict=True)
            for _ in range(int(count))
            for row in np.flatnonzero(np.asarray(clusters) == name)
        ]
        middle = [float(np.median([row[point] for row in rows])) for point in range(len(across))]
        areas.append(sum((b - a) * (u + v) / 2 for a, b, u, v in zip(across, across[1:], middle, middle[1:])))  # noqa: B905
    return np.quantile(areas, [0.025, 0.975])


@pytest.mark.parametrize(("samples", "images"), [(2, 2), (5, 5), (12, 12), (31, 31), (12, 4), (9, 2), (30, 11)])
@pytest.mark.parametrize("ties", [True, False])
def test_the_interval_is_that_of_a_plain_loop_over_resamples(samples, images, ties):
    random = np.random.default_rng(samples + images)
    across = np.sort(random.random(6))
    curves = random.random((samples, 6)).round(1 if ties else 9)
    clusters = np.array(
        [f"image {number}" for number in [*range(images), *random.integers(0, images, samples - images)]]
    )
    found = behind_median(curves, across, clusters.astype(object), draws=60)
    assert found.value == pytest.approx(np.trapezoid(np.median(curves, axis=0), across))
    assert (found.low, found.high) == pytest.approx(tuple(plain(curves, across, clusters, 60)))
    assert found.n == samples
    assert found == behind_median(curves, across, clusters.astype(object), draws=60)  # seeded


def test_a_few_clusters_that_hold_most_samples_are_no_special_case():
    """Then a draw's median lies far from the middle of all samples."""
    random = np.random.default_rng(0)
    clusters = np.array(["a"] * 150 + ["b"] * 40 + list("cdefghijkl"), object)
    curves = random.random((200, 3)) + (clusters == "a")[:, None]
    found = behind_median(curves, np.array([0.0, 0.5, 1.0]), clusters, draws=40)
    assert (found.low, found.high) == pytest.approx(tuple(plain(curves, [0.0, 0.5, 1.0], list(clusters), 40)))


def test_of_curves_that_differ_by_a_constant_so_do_areas_and_intervals():
    """Curves of the same images see the same resamples."""
    random = np.random.default_rng(0)
    curves, across, clusters = random.random((40, 11)), np.linspace(0, 1, 11), np.arange(40)
    one, other = (behind_median(curves + more, across, clusters) for more in (0, 0.25))
    assert [other.value - one.value, other.low - one.low, other.high - one.high] == pytest.approx([0.25] * 3)
    assert one.low < one.value < one.high


def test_one_image_has_a_number_and_no_interval():
    found = behind_median(np.array([[0.0, 1.0], [0.0, 0.5]]), np.array([0.0, 1.0]), np.array(["a", "a"]))
    assert (found.value, found.n) == (0.375, 2)
    assert np.isnan([found.low, found.high]).all()


def test_the_interval_covers_the_truth_as_often_as_it_says():
    """Of curves h·t with uniform h, the median curve is t ÷ 2 and the area behind it ¼."""
    random, across = np.random.default_rng(1), np.linspace(0, 1, 5)
    found = [
        behind_median(random.random((40, 1)) * across, across, np.arange(40), seed=place, draws=200)
        for place in range(200)
    ]
    assert 0.9 <= np.mean([one.low <= 0.25 <= one.high for one in found]) <= 0.985


def test_500_images_take_a_fraction_of_a_second():
    random = np.random.default_rng(0)
    curves = np.maximum.accumulate(random.random((500, 101)) ** 3, axis=1)
    started = time.process_time()
    behind_median(curves, np.linspace(0, 1, 101), np.arange(500))
    assert time.process_time() - started < 2  # 0.1 s on a quiet machine; of 12 methods and 4 models 48 times that


def unit(sample, variant, half_way, **more):
    """Perplexities 1 on the image and 3 on the mean colour; half-way back with so many of 100 bytes."""
    return {
        "model": "m", "data": "d", "status": "ok", "levels": [0.0, 0.5, 1.0], "sample": sample, "variant": variant,
        "negative": [0.0, np.log(2), np.log(3)], "sizes": [100, half_way, 0], "facts": "{}",
    } | more  # fmt: skip


def test_number_interval_and_cases_stand_in_the_table_and_on_the_line():
    places = np.random.default_rng(0).integers(5, 95, 20)
    units = pd.DataFrame([unit(f"{n}", "dexar", place) for n, place in enumerate(places)])
    chapter = charts.curves(units)
    (table,), (*_, chart) = chapter.tables, chapter.charts
    (row,) = table.rows
    value, interval, n = row[1].text.split("\n")
    assert (row[0].text, table.heads, n) == ("dexar", ("", "m\nd"), "n 20")
    low, high = map(float, interval.strip("()").split(" to "))
    assert low < float(value) < high
    assert chart.figure["data"][0]["name"] == f"dexar {value} {interval}"
    assert "2,000 resamples of the images" in chapter.sentences[0]


def test_questions_about_one_image_are_drawn_together():
    def chapter_of(facts):
        units = [unit(f"{n}", "dexar", 10 * n + 5, facts=facts(n)) for n in range(8)]
        return charts.curves(pd.DataFrame(units)).tables[0].rows[0][1].text

    apart, together = chapter_of(lambda _: "{}"), chapter_of(lambda n: f'{{"image": "{n // 4}"}}')
    assert apart.endswith("\nn 8")
    assert together.endswith("\nn 8 of 2 images")
    assert apart.split("\n")[1] != together.split("\n")[1]
    assert chapter_of(lambda _: '{"image": "one"}').split("\n")[1:] == ["n 8 of 1 images"]


def test_of_bad_baselines_alone_there_is_no_line_and_of_some_a_dash():
    bad = {"negative": [1.0, 0.5, 0.0]}
    assert charts.curves(pd.DataFrame([unit("a", "dexar", 50, **bad), unit("b", "dexar", 50, **bad)])).tables == []
    units = [unit(sample, "dexar", 50, **bad) for sample in "ab"]
    units += [unit(sample, "rise", 50, model=model) for sample in "ab" for model in "mn"]
    units += [unit(sample, "dexar", 50, model="n") for sample in "ab"]
    (table,) = charts.curves(pd.DataFrame(units)).tables
    told = {row[0].text: [cell.text.split("\n")[0] for cell in row[1:]] for row in table.rows}
    assert told == {"dexar": ["–", "0.500"], "rise": ["0.500", "0.500"]}
