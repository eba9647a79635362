"""Maps against masks on paper, against plain loops, and in the order of maps that are known to be good or bad."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from dexar_widgets import plugins
from dexar_widgets.maps import coverage
from dexar_widgets.metrics import Case
from dexar_widgets.types import Grid, HeatMap, minmax

METRICS = {name: plugins.get("metrics", name) for name in plugins.names("metrics")}
METRICS = {name: metric for name, metric in METRICS.items() if metric.NEEDS == {"mask"}}
SCENE, SMALL = (Grid(12, 12, (0.0, 0.0, float(size), float(size)), (size, size)) for size in (96, 48))


def case(values, mask, ignored=None, grid=None):
    """A row of pixels, each a cell, or as many rows as are given."""
    values, mask = np.atleast_2d(np.asarray(values, np.float32)), np.atleast_2d(np.array(mask, bool))
    grid = grid or Grid(*values.shape, (0.0, 0.0, float(values.shape[1]), float(values.shape[0])), values.shape[::-1])
    return Case(HeatMap(values, grid, "made", (0,)), mask, None if ignored is None else np.atleast_2d(ignored) > 0)


def measured(name, *given, **more):
    return METRICS[name].measure(case(*given, **more))


def test_the_share_of_positive_energy_on_the_mask_beside_what_a_uniform_map_has():
    score = measured("energy_pointing_game", [3, 1], [1, 0])
    assert (score.value, score.chance, score.status) == (0.75, 0.5, "ok")
    assert measured("energy_pointing_game", [3, -5], [1, 0]).value == 1
    score = measured("energy_pointing_game", [3, 1, 2], [1, 0, 0])
    assert score.value == 0.5
    assert score.parts == pytest.approx({"on_minmaxed": 1 / 1.5, "over_area": 1.5})


def test_min_maxing_makes_of_a_map_with_a_constant_the_map_without():
    bare, raised = (measured("energy_pointing_game", np.array([3, 0, 1]) + more, [1, 0, 0]) for more in (0, 7))
    assert bare.parts["on_minmaxed"] == raised.parts["on_minmaxed"] == bare.value == 0.75
    assert raised.value == 10 / 25


def test_the_highest_pixel_hits_or_misses_and_equal_ones_hit_by_half():
    assert measured("pointing_game", [1, 3, 2], [0, 1, 0]).value == 1
    assert measured("pointing_game", [1, 3, 2], [0, 0, 1]).value == 0
    score = measured("pointing_game", [1, 3, 3, 0], [0, 1, 0, 0])
    assert (score.value, score.chance) == (0.5, 0.25)
    assert measured("pointing_game", [-3, -1, -2], [0, 1, 0]).value == 1


def test_of_as_many_pixels_as_the_mask_has_equal_ones_count_in_proportion():
    assert measured("pointing_game", [5, 4, 3, 1], [1, 0, 1, 0]).parts == {"rank_accuracy": 0.5}
    assert measured("pointing_game", [5, 3, 3, 1], [1, 0, 1, 0]).parts == {"rank_accuracy": 0.75}


def test_the_best_threshold_by_hand():
    score = measured("iou", [4, 3, 2, 1], [1, 0, 1, 0])  # 1/2, 1/3, 2/3 and 2/4 of the union
    assert (score.value, score.chance) == (pytest.approx(2 / 3), 0.5)
    assert score.parts == pytest.approx({"grid": 2 / 3, "otsu": 1 / 3, "mean": 1 / 3})
    assert measured("iou", [-1, -2, -3, -4], [1, 0, 1, 0]).value == pytest.approx(2 / 3)


def test_no_map_has_less_than_the_masks_share_of_the_image():
    score = measured("iou", [0, 1, 2, 3, 4], [1, 0, 0, 0, 0])
    assert score.value == score.chance == 0.2
    flat = measured("iou", [1, 1, 1, 1, 1], [1, 0, 0, 0, 0])
    assert (flat.status, flat.chance) == ("constant_map", 0.2)


@pytest.mark.parametrize("seed", range(30))
def test_the_best_threshold_is_that_of_a_plain_loop_over_all(seed):
    random = np.random.default_rng(seed)
    values = random.integers(-5, 6, (6, 7)) if seed % 2 else random.normal(size=(6, 7))  # with ties, and without
    mask = random.random((6, 7)) < random.uniform(0.1, 0.9)
    score = measured("iou", values, mask)
    values = values.astype(np.float32).astype(float)

    def at(threshold):
        taken = values >= threshold
        return (taken & mask).sum() / (taken | mask).sum()

    def between(threshold):
        low, high = values[values < threshold], values[values >= threshold]
        return len(low) * len(high) * (low.mean() - high.mean()) ** 2

    thresholds = np.unique(values)
    otsu = max(thresholds[1:], key=between)
    expected = {
        "grid": max(at(one) for one in np.linspace(values.min(), values.max(), 100)),
        "otsu": at(otsu),
        "mean": at(values.mean()),
    }
    assert score.value == pytest.approx(max(map(at, thresholds)))
    assert score.parts == pytest.approx(expected)
    assert max(score.parts.values()) <= score.value
    assert score.value >= score.chance == mask.mean()


def test_fixed_thresholds_by_hand():
    score = measured("iou_fixed", [6, 4, 2], [1, 0, 0])  # 1, ½ and 0 when min–maxed
    assert (score.value, score.chance) == (0.5, pytest.approx(0.25))
    assert score.parts["at_0.1"] == score.parts["at_0.5"] == 0.5
    assert score.parts["at_0.6"] == score.parts["at_0.9"] == 1
    assert list(score.parts) == [f"at_0.{tenth}" for tenth in range(1, 10)]


def test_soft_iou_by_hand_and_as_minimum_over_maximum():
    score = measured("soft_iou", [4, 2, 0], [1, 0, 0])
    assert (score.value, score.chance) == (pytest.approx(1 / 1.5), pytest.approx(0.25))
    random = np.random.default_rng(0)
    values, mask = random.random((9, 9)).astype(np.float32), random.random((9, 9)) < 0.3
    scaled = minmax(values.astype(float))
    assert measured("soft_iou", values, mask).value == pytest.approx(
        np.minimum(scaled, mask).sum() / np.maximum(scaled, mask).sum()
    )


def test_one_pixel_can_own_a_soft_iou_and_clipping_tells():
    values, mask = np.zeros((40, 50)), np.zeros((40, 50), bool)
    mask[:2] = True
    values[mask], values[20, 20] = 1, 100
    score = measured("soft_iou", values, mask)
    assert score.value == pytest.approx(1 / 101)  # 100 pixels of 0.01, one of 1
    assert score.parts["clipped"] == pytest.approx(100 / 101)
    alone = measured("soft_iou", np.eye(40, 50) * (np.arange(50) < 1), mask)
    assert "clipped" not in alone.parts  # the only pixel with energy is above the percentile


def test_signal_to_noise_by_hand():
    score = measured("snr", [6, 1, 1, 1], [1, 0, 0, 0])
    assert (score.value, score.chance) == (6, 1)
    assert score.parts == pytest.approx({"raw": 2, "decibel": 7.78151})  # its min–maxed map has no noise
    score = measured("snr", [6, 1, 2, -3], [1, 0, 0, 0])
    assert score.value == 6
    assert score.parts["on_minmaxed"] == pytest.approx(6)


@pytest.mark.parametrize("noise", [0, 1e-7, -2])
def test_nothing_beside_the_mask_has_no_finite_ratio(noise):
    score = measured("snr", [6, noise, 0], [1, 0, 0])
    assert (score.status, np.isnan(score.value)) == ("overflow", True)


def test_nothing_on_the_mask_has_a_ratio_of_0_and_no_decibels():
    score = measured("snr", [0, 1, 2], [1, 0, 0])
    assert (score.value, score.parts) == (0, {"raw": 0, "on_minmaxed": 0})


def test_squared_error_by_hand():
    score = measured("mse", [4, 2, 0], [1, 0, 0])
    assert (score.value, score.chance) == (pytest.approx(1 / 12), pytest.approx(1 / 3))
    assert score.parts == pytest.approx({"blank": 1 / 3})


def test_chance_is_what_noise_has_and_for_iou_what_everything_has():
    random = np.random.default_rng(1)
    noise, mask = random.random((300, 400)), random.random((300, 400)) < 0.2
    for name in ("energy_pointing_game", "iou_fixed", "soft_iou", "mse", "snr"):
        score = measured(name, noise, mask)
        assert score.value == pytest.approx(score.chance, rel=0.02)


@pytest.mark.parametrize("name", METRICS)
def test_ignored_pixels_count_neither_as_right_nor_as_wrong(name):
    random = np.random.default_rng(3)
    values, mask, ignored = random.random((8, 9)), random.random((8, 9)) < 0.4, np.zeros((8, 9))
    ignored[:, 6:] = 1
    kept = measured(name, values[:, :6], mask[:, :6])
    assert kept.status == "ok"
    values[:, 6:], mask[:, 6:] = random.normal(size=(8, 3)) * 1e3, ~mask[:, 6:]
    assert repr(measured(name, values, mask, ignored)) == repr(kept)


@pytest.mark.parametrize("name", METRICS)
def test_what_the_processor_cropped_away_is_not_judged(name):
    random = np.random.default_rng(4)
    values, mask = random.random((4, 6)) - 0.3, random.random((8, 20)) < 0.4
    crop = Grid(4, 6, (4.0, 0.0, 16.0, 8.0), (20, 8))  # the middle: cells of 2 × 2
    inner = Grid(4, 6, (0.0, 0.0, 12.0, 8.0), (12, 8))
    one, other = measured(name, values, mask, grid=crop), measured(name, values, mask[:, 4:16], grid=inner)
    assert one.status == "ok"
    assert repr(one) == repr(other)
    outside = np.zeros((8, 20), bool)
    outside[:, :4] = True
    assert measured(name, values, outside, grid=crop).status == "empty_mask"
    assert measured(name, values, ~outside, grid=crop).status == "full_mask"


@pytest.mark.parametrize("name", METRICS)
def test_a_map_is_enlarged_bilinearly_and_one_of_all_pixels_is_taken_as_it_is(name):
    random = np.random.default_rng(5)
    mask = np.zeros((8, 12), bool)
    mask[2:5, 3:9] = True
    small = case(random.random((4, 6)), mask, grid=Grid(4, 6, (0.0, 0.0, 12.0, 8.0), (12, 8)))
    across = np.clip((np.arange(12) + 0.5) / 2 - 0.5, 0, 5)
    down = np.clip((np.arange(8) + 0.5) / 2 - 0.5, 0, 3)
    rows = np.stack([np.interp(across, np.arange(6), row) for row in small.heat.values])
    large = np.stack([np.interp(down, np.arange(4), col) for col in rows.T], 1).astype(np.float32)
    whole = replace(small, heat=replace(small.heat, values=large))
    one, other = (METRICS[name].measure(some) for some in (small, whole))
    assert one.value == pytest.approx(other.value, rel=1e-4)
    assert one.parts == pytest.approx(other.parts, rel=1e-4)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.usefixtures("unchecked_shapes")
def test_a_mask_of_another_size_is_refused(name):
    with pytest.raises(ValueError, match="A mask is 2×3 but the image is 1×4"):
        measured(name, [1, 2, 3, 4], np.ones((2, 3)))
    with pytest.raises(ValueError, match="masks are over the original image"):
        measured(name, [1, 2, 3, 4], [1, 0, 0, 0], ignored=np.zeros((4, 1)))


def ellipse(random, least, most, size=96):
    """A random ellipse within a scene."""
    down, across = random.uniform(least, most, 2) / 2
    top, left = random.uniform(down, size - down), random.uniform(across, size - across)
    rows, cols = np.mgrid[:size, :size] + 0.5
    return ((rows - top) / down) ** 2 + ((cols - left) / across) ** 2 <= 1


@pytest.fixture(scope="module")
def masks():
    random = np.random.default_rng(11)
    return [ellipse(random, 6, 26, size=48) for _ in range(200)]


@pytest.mark.slow
@pytest.mark.parametrize("name", METRICS)
def test_the_oracle_beats_noise_and_noise_its_opposite_on_200_masks(name, masks):
    sign, random = (1 if METRICS[name].HIGHER_IS_BETTER else -1), np.random.default_rng(12)
    rows = []
    for mask in masks:
        right = coverage(mask, SMALL)
        maps = [right, *random.random((4, 12, 12)), 1 - right]
        first, *noise, last = (sign * measured(name, values, mask, grid=SMALL).value for values in maps)
        rows.append((first, np.mean(noise), last))
    right, chance, opposite = np.transpose(rows)
    assert (right > chance).all()
    assert (chance >= opposite).all()  # equal where neither hits: the pointing game
    assert chance.mean() > opposite.mean()


@pytest.fixture(scope="module")
def reference():
    """Mean scores of maps that are known to be good or bad, over scenes of three objects, one of which is meant."""
    random = np.random.default_rng(13)
    rows, cols = np.mgrid[:12, :12] - 5.5
    found = {}
    for _ in range(60):
        objects = [ellipse(random, 20, 32) for _ in range(3)]
        right, mask = coverage(objects[0], SCENE), objects[0]
        sunk = right.copy()
        sunk[tuple(random.choice(np.argwhere(right == 0)))] = 10
        maps = {
            "oracle": right,
            "sink": sunk,
            "all": coverage(np.any(objects, axis=0), SCENE),
            "centre": np.exp(-(rows**2 + cols**2) / 18),
            "random": random.random((12, 12)),
            "inverted": 1 - right,
        }
        for kind, values in maps.items():
            for name in METRICS:
                score = measured(name, values, mask, grid=SCENE)
                found.setdefault((name, kind), []).append(score.value)
                if "rank_accuracy" in score.parts:
                    found.setdefault(("rank_accuracy", kind), []).append(score.parts["rank_accuracy"])
    return {key: float(np.nanmean(values)) for key, values in found.items()}


PUBLISHED = {  # of other scenes of this kind: objects of 20 to 32 pixels on 12 × 12 cells, 4.9 % of the image each
    "iou": {"oracle": 0.83, "sink": 0.60, "random": 0.062, "inverted": 0.049},
    "soft_iou": {"oracle": 0.52, "sink": 0.07, "random": 0.046, "inverted": 0.014},
    "energy_pointing_game": {"oracle": 0.65, "sink": 0.30, "random": 0.049, "inverted": 0.014},
    "snr": {"oracle": 42, "sink": 9.9, "random": 1.0, "inverted": 0.30},
    "mse": {"oracle": 0.011, "sink": 0.045, "random": 0.29, "inverted": 0.95},
    "rank_accuracy": {"oracle": 0.89, "sink": 0.56, "random": 0.04, "inverted": 0.0},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", [*METRICS, "rank_accuracy"])
def test_reference_maps_stand_in_their_order(name, reference):
    sign = -1 if name in METRICS and not METRICS[name].HIGHER_IS_BETTER else 1
    found = {kind: sign * reference[name, kind] for kind in ("oracle", "sink", "all", "centre", "random", "inverted")}
    for order in (("oracle", "all", "centre", "random", "inverted"), ("oracle", "sink")):
        ranked = [found[kind] for kind in order]
        assert all(one > other for one, other in pairwise(ranked)), found


@pytest.mark.parametrize("name", PUBLISHED)
def test_reference_maps_score_what_they_did_elsewhere(name, reference):
    for kind, value in PUBLISHED[name].items():
        assert reference[name, kind] == pytest.approx(value, rel=0.35, abs=0.01)  # these objects are a little larger
