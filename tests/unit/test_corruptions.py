"""ImageNet-C's corruptions: what each does to a picture, and a data set under them."""

import colorsys
import json
import pickle
from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from dexar_widgets.evaluation import data
from dexar_widgets.evaluation.corruptions import (
    CORRUPTIONS,
    SEVERITIES,
    Corrupted,
    _plasma,
    corrupt,
    corruptions_of,
)
from dexar_widgets.evaluation.samples import BrokenSampleError, Given, Sample, Target
from dexar_widgets.lab import scene

RANDOM = ("gaussian_noise", "motion_blur", "fog")


def flat(colour: int | Sequence[int], height: int = 224, width: int = 224) -> np.ndarray:
    return np.full((height, width, 3), colour, np.uint8)


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    """A scene with fine grain, 224 pixels a side."""
    return scene(30_000_000, size=224, background="grass").image


def off(image: np.ndarray, corruption: str, severity: int, sample: str = "") -> float:
    return float(np.abs(corrupt(image, corruption, severity, sample=sample).astype(float) - image).mean())


# All of them


@pytest.mark.parametrize("corruption", CORRUPTIONS)
@pytest.mark.parametrize("shape", [(224, 224), (60, 97), (300, 150), (1, 1), (3, 700)])
def test_shape_and_type_are_kept_and_the_given_image_is_untouched(corruption, shape):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    before = image.copy()
    for severity in (1, 5):
        changed = corrupt(image, corruption, severity)
        assert (changed.dtype, changed.shape) == (np.uint8, image.shape)
    np.testing.assert_array_equal(image, before)


@pytest.mark.slow
@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_a_severer_corruption_is_further_from_the_picture(photo, corruption):
    mean = [np.mean([off(photo, corruption, severity, str(n)) for n in range(8)]) for severity in SEVERITIES]
    assert mean[0] > 1
    if corruption == "fog":  # from 3 to 4 the published fog gets rougher and no stronger, and so from 1 to 2 little
        assert mean[0] < mean[1] < mean[4]
    else:
        assert mean == sorted(mean)
        assert len({*mean}) == 5


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_seed_sample_corruption_and_severity_decide_every_pixel(photo, corruption):
    again = [corrupt(photo, corruption, 3, seed=1, sample="a").tobytes() for _ in range(2)]
    assert again[0] == again[1]
    others = {corrupt(photo, corruption, 3, seed=seed, sample=id_).tobytes() for seed, id_ in ((1, "b"), (2, "a"))}
    assert (again[0] in others) == (corruption not in RANDOM)
    assert len(others) == (2 if corruption in RANDOM else 1)


def test_no_global_generator_is_read_or_moved(photo):
    np.random.seed(0)  # noqa: NPY002
    first = corrupt(photo, "gaussian_noise", 5)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    np.random.seed(1)  # noqa: NPY002
    np.testing.assert_array_equal(corrupt(photo, "gaussian_noise", 5), first)
    np.random.seed(0)  # noqa: NPY002
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


@pytest.mark.slow
@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_a_larger_picture_is_corrupted_as_much_once_it_is_made_smaller(corruption):
    small, large = (scene(30_000_001, size=size).image for size in (224, 672))
    distances = []
    for n in range(3):
        sample = str(n)
        at_once = corrupt(small, corruption, 4, sample=sample).astype(float)
        shrunk = Image.fromarray(corrupt(large, corruption, 4, sample=sample)).resize((224, 224), Image.Resampling.BOX)
        distances.append((np.abs(at_once - small).mean(), np.abs(np.asarray(shrunk, float) - small).mean()))
    first, second = np.mean(distances, axis=0)
    assert abs(second - first) < 0.15 * first + 0.5


@pytest.mark.parametrize(
    ("corruption", "severity", "message"),
    [
        (
            "snow",
            1,
            "no corruption 'snow'; there are gaussian_noise, motion_blur, zoom_blur, fog, brightness, pixelate",
        ),
        ("fog", 0, "severity=0 is not accepted; choose one of 1, 2, 3, 4, 5"),
        ("fog", 6, "severity=6"),
        ("fog", True, "severity=True"),
        ("fog", "3", "severity='3'"),
    ],
)
def test_what_there_is_not_is_refused(corruption, severity, message):
    for make in (corrupt, Corrupted):
        with pytest.raises(ValueError, match=message):
            make(flat(0) if make is corrupt else Given([]), corruption, severity)


# Noise


@pytest.mark.parametrize(("severity", "sigma"), [(1, 0.08), (2, 0.12), (3, 0.18)])
@pytest.mark.parametrize("side", [224, 448])
def test_noise_has_the_published_deviation_and_no_mean(severity, sigma, side):
    image = flat(128, side, side)
    noise = corrupt(image, "gaussian_noise", severity).astype(float) / 255 - 128 / 255
    assert abs(noise.mean()) < 0.002  # σ / √(224² · 3) is 0.0005 at most
    clipped = 0.005 if severity == 3 else 0.0003  # of 0.18, values beyond ±0.5 are cut off
    assert abs(noise.std() - sigma) < 0.01 * sigma + clipped


def test_noise_of_channels_and_neighbours_is_independent():
    noise = corrupt(flat(128), "gaussian_noise", 1).astype(float) - 128
    for first, second in ((noise[..., 0], noise[..., 1]), (noise[1:], noise[:-1]), (noise[:, 1:], noise[:, :-1])):
        assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.02  # 1 / √224² is 0.0045


def test_the_grain_of_noise_grows_with_the_picture():
    noise = corrupt(flat(128, 448, 672), "gaussian_noise", 1)
    blocks = noise.reshape(224, 2, 336, 2, 3)
    assert (blocks == blocks[:, :1, :, :1]).all()


# Blurs


@pytest.mark.parametrize("corruption", ["motion_blur", "zoom_blur"])
@pytest.mark.parametrize("severity", SEVERITIES)
def test_a_blur_is_a_mean_so_one_colour_stays(corruption, severity):
    image = flat((250, 3, 128), 100, 160)
    np.testing.assert_array_equal(corrupt(image, corruption, severity), image)


@pytest.mark.parametrize("corruption", ["motion_blur", "zoom_blur"])
def test_a_blur_stays_between_the_darkest_and_brightest_and_smooths(photo, corruption):
    blurred = corrupt(photo, corruption, 5)
    assert photo.min() <= blurred.min()
    assert blurred.max() <= photo.max()
    assert np.diff(blurred.astype(float), axis=1).std() < 0.6 * np.diff(photo.astype(float), axis=1).std()


def trail(severity: int, sample: str, side: int = 224) -> np.ndarray:
    """What becomes of one white block of 3 × 3 in the middle, as parts of its light."""
    image = flat(0, side, side)
    middle = side // 2
    image[middle - 1 : middle + 2, middle - 1 : middle + 2] = 255
    light = corrupt(image, "motion_blur", severity, sample=sample)[..., 0].astype(float)
    return light / light.sum()


@pytest.mark.parametrize("sample", ["a", "b", "c", "d", "e", "f"])
def test_motion_is_a_line_to_one_side_within_45_degrees_of_the_horizontal(sample):
    light = trail(5, sample)
    rows, cols = np.nonzero(light)
    assert np.ptp(cols) > np.ptp(rows) - 4  # three pixels of the block itself
    assert cols.max() <= 113  # the light runs to one side alone
    # A pixel's light lies on a half Gaussian of σ 15, cut at 40: its mean distance is 11.8.
    distance = np.hypot(
        (light * np.indices(light.shape)[0]).sum() - 112, (light * np.indices(light.shape)[1]).sum() - 112
    )
    assert abs(distance - 11.8) < 0.8  # rounding to 255 levels loses the faint end


def test_motion_goes_in_every_direction_there_is():
    slopes = []
    for n in range(40):
        light = trail(3, str(n))
        down, across = ((light * index).sum() - 112 for index in np.indices(light.shape))
        slopes.append(np.degrees(np.arctan2(down, across + 0.0)))
    angles = (np.array(slopes) + 180 + 90) % 180 - 90
    assert -50 < angles.min() < -30
    assert 30 < angles.max() < 50


@pytest.mark.slow
def test_motion_is_as_long_in_a_picture_of_another_size():
    lengths = [np.ptp(np.nonzero(trail(5, "a", side))[1]) / side for side in (224, 448, 1344)]
    assert max(lengths) - min(lengths) < 0.05


def test_zoom_leaves_the_centre_and_blurs_the_edge_most():
    stripes = np.zeros((224, 224, 3), np.uint8)
    stripes[:, ::8] = stripes[:, 1::8] = stripes[:, 2::8] = stripes[:, 3::8] = 255
    changed = np.abs(corrupt(stripes, "zoom_blur", 5).astype(float) - stripes).mean((0, 2))
    assert changed[110:114].mean() < 0.5 * changed[:60].mean()
    symmetric = np.minimum(np.arange(224), 223 - np.arange(224))
    picture = np.repeat(symmetric[None, :, None], 224, axis=0).repeat(3, axis=2).astype(np.uint8)
    zoomed = corrupt(picture, "zoom_blur", 5)
    np.testing.assert_allclose(zoomed.astype(int), zoomed[:, ::-1].astype(int), atol=1)


def test_zooms_are_the_published_ones():
    """A slope through the centre is divided by each zoom: its mean slope is the mean of their inverses."""
    ramp = np.repeat(np.arange(224)[None, :, None], 224, axis=0).repeat(3, axis=2).astype(np.uint8)
    published = {5: [1 + 0.03 * n for n in range(11)], 1: [1 + 0.01 * n for n in range(12)]}
    for severity, zooms in published.items():
        row = corrupt(ramp, "zoom_blur", severity)[112, :, 0].astype(float)
        slope = np.polyfit(np.arange(40, 184), row[40:184], 1)[0]
        assert abs(slope - np.mean([1, *(1 / zoom for zoom in zooms)])) < 0.003  # of levels, rounded


# Fog


def test_fog_on_black_and_white_is_what_the_formula_says():
    assert corrupt(flat(0), "fog", 5).max() == 0  # the brightest value is 0, and the sum is brought back to it
    foggy = corrupt(flat(255), "fog", 5).astype(float) / 255  # (1 + 3p) / 4, p from 0 to 1
    assert foggy.min() >= 0.25 - 1 / 255
    assert foggy.max() <= 1
    assert (foggy == foggy[..., :1]).all()


def test_fog_spans_its_range_over_a_whole_period_and_repeats_without_a_seam():
    foggy = corrupt(flat(255, 224, 900), "fog", 3).astype(float) / 255
    np.testing.assert_array_equal(foggy[:, :256], foggy[:, 256:512])
    steps = np.abs(np.diff(foggy[..., 0], axis=1))
    assert steps[:, 255].mean() < 2 * steps.mean() + 0.01


def test_fog_is_cloudy_and_gets_finer_with_severity():
    def roughness(severity: int) -> float:
        fog = [corrupt(flat(255), "fog", severity, sample=str(n))[..., 0].astype(float) for n in range(6)]
        return float(np.mean([np.abs(np.diff(one, axis=1)).mean() / one.std() for one in fog]))

    assert roughness(1) < roughness(3) < roughness(5)
    assert roughness(5) < 0.4  # white noise has 1.13


@pytest.mark.parametrize("decay", [2.0, 1.7, 1.4])
def test_each_finer_scale_of_fog_strays_less_by_the_square_of_the_decay(decay):
    cloud = _plasma(np.random.default_rng(0), decay)
    assert (cloud.min(), cloud.max()) == (0, 1)
    strays = []
    for step in (2, 4, 8, 16):
        corner = cloud[::step, ::step]
        sides = [corner, np.roll(corner, -1, 0), np.roll(corner, -1, 1), np.roll(corner, (-1, -1), (0, 1))]
        strays.append((cloud[step // 2 :: step, step // 2 :: step] - np.mean(sides, axis=0)).std())
    np.testing.assert_allclose(np.divide(strays[1:], strays[:-1]), decay**2, rtol=0.1)


def test_every_point_of_fog_strays_alike_from_the_four_around_it():
    cloud = _plasma(np.random.default_rng(0), 2.0)
    mean = np.mean([np.roll(cloud, shift, axis) for shift in (1, -1) for axis in (0, 1)], axis=0)
    strays = [(cloud - mean)[rows, cols].std() for rows, cols in ((np.s_[::2], np.s_[1::2]), (np.s_[1::2], np.s_[::2]))]
    corner = cloud[::2, ::2]
    sides = [corner, np.roll(corner, -1, 0), np.roll(corner, -1, 1), np.roll(corner, (-1, -1), (0, 1))]
    np.testing.assert_allclose(strays, (cloud[1::2, 1::2] - np.mean(sides, axis=0)).std(), rtol=0.05)


def test_fog_of_a_larger_picture_is_the_same_fog():
    small, large = (corrupt(flat(255, side, side), "fog", 4) for side in (224, 448))
    shrunk = large.reshape(224, 2, 224, 2, 3).astype(float).mean((1, 3))
    assert np.abs(shrunk - small).mean() < 2


# Brightness and blocks


def test_brightness_keeps_hue_and_saturation_and_raises_the_value():
    colours = [(200, 100, 50), (10, 90, 30), (64, 64, 64), (5, 0, 120), (255, 10, 10)]
    image = np.array([colours], np.uint8)
    for severity in SEVERITIES:
        changed = corrupt(image, "brightness", severity)[0]
        for before, after in zip(colours, changed.tolist(), strict=True):
            hue, saturation, value = colorsys.rgb_to_hsv(*(channel / 255 for channel in before))
            expected = colorsys.hsv_to_rgb(hue, saturation, min(1, value + severity / 10))
            np.testing.assert_allclose(after, np.multiply(expected, 255), atol=0.51)


def test_brightness_turns_black_grey():
    np.testing.assert_array_equal(corrupt(flat(0, 2, 2), "brightness", 2), flat(51, 2, 2))


@pytest.mark.parametrize(("severity", "blocks"), [(1, 134), (2, 112), (3, 89), (4, 67), (5, 56)])
def test_a_pixelated_picture_has_so_many_blocks_a_side_at_every_size(severity, blocks):
    random = np.random.default_rng(0)
    for side in (224, 448):
        image = random.integers(0, 256, (side, side, 3)).astype(np.uint8)
        changed = corrupt(image, "pixelate", severity).astype(int)
        assert 1 + np.abs(np.diff(changed, axis=0)).any((1, 2)).sum() == blocks
        assert 1 + np.abs(np.diff(changed, axis=1)).any((0, 2)).sum() == blocks


def test_a_block_is_the_mean_of_what_it_covers():
    image = np.random.default_rng(0).integers(0, 256, (224, 224, 3)).astype(np.uint8)
    changed = corrupt(image, "pixelate", 5).reshape(56, 4, 56, 4, 3)
    means = image.reshape(56, 4, 56, 4, 3).mean((1, 3), keepdims=True)
    np.testing.assert_allclose(changed, np.broadcast_to(means, changed.shape), atol=1)


def test_a_picture_smaller_than_the_published_ones_loses_pixels_too():
    image = np.random.default_rng(0).integers(0, 256, (96, 96, 3)).astype(np.uint8)
    changed = corrupt(image, "pixelate", 1).astype(int)
    assert 1 + np.abs(np.diff(changed, axis=0)).any((1, 2)).sum() == int(0.6 * 96)


# A corrupted data set


def test_a_corrupted_data_set_has_the_same_samples_under_other_ids_and_pictures():
    lab = data.open("lab", count=3, size=96)
    foggy = Corrupted(lab, "fog", 5, seed=2)
    assert foggy.ids == tuple(f"{id_}/fog-5" for id_ in lab.ids)
    assert foggy.name == "lab/fog-5"
    for id_ in lab.ids:
        plain, changed = lab.load(id_), foggy.load(f"{id_}/fog-5")
        assert changed.id == f"{id_}/fog-5"
        np.testing.assert_array_equal(changed.image, corrupt(plain.image, "fog", 5, seed=2, sample=id_))
        assert (changed.prompt, changed.answer, changed.content) == (plain.prompt, plain.answer, plain.content)
        for first, second in zip(changed.targets, plain.targets, strict=True):
            np.testing.assert_array_equal(first.mask, second.mask)
        assert changed.facts == {**plain.facts, "corruption": "fog", "severity": "5"}


def test_the_picture_without_a_target_is_corrupted_in_the_same_way():
    lab = data.open("lab", count=1, objects=2, size=96)
    noisy = Corrupted(lab, "gaussian_noise", 1)
    plain, changed = lab.load(lab.ids[0]), noisy.load(noisy.ids[0])
    for before, after, target in zip(plain.without, changed.without, plain.targets, strict=True):
        np.testing.assert_array_equal(after[~target.mask], changed.image[~target.mask])  # the same noise
        assert (after != before).mean() > 0.9
        assert (after[target.mask] != changed.image[target.mask]).any()


def test_settings_tell_the_corruption_and_that_of_what():
    lab = data.open("lab", count=1, size=48)
    settings = Corrupted(Corrupted(lab, "fog", 1), "pixelate", 2, seed=5).settings
    assert json.loads(json.dumps(settings)) == settings
    assert (settings["corruption"], settings["severity"], settings["seed"]) == ("pixelate", 2, 5)
    assert settings["of"]["name"] == "lab/fog-1"
    assert settings["of"]["of"] == {"name": "lab", **lab.settings}


def test_a_worker_corrupts_in_the_same_way():
    foggy = Corrupted(data.open("lab", count=2, size=96), "fog", 3)
    other = pickle.loads(pickle.dumps(foggy))
    assert other.ids == foggy.ids
    np.testing.assert_array_equal(other.load(other.ids[1]).image, foggy.load(foggy.ids[1]).image)


def test_any_data_set_can_be_corrupted_whether_it_holds_pixels_or_paths(tmp_path):
    Image.fromarray(flat(100, 8, 8)).save(tmp_path / "grey.png")
    mask = np.eye(8, dtype=bool)
    given = Given([Sample("a", tmp_path / "grey.png", targets=(Target("it", mask),)), Sample("b", flat(100, 8, 8))])
    bright = Corrupted(given, "brightness", 1)
    for id_ in bright.ids:
        np.testing.assert_array_equal(bright.load(id_).image, flat(126, 8, 8))  # 100 + 25.5
    assert bright.load("a/brightness-1").targets[0].mask is mask


def test_a_picture_that_cannot_be_read_is_broken_and_an_unknown_id_refused(tmp_path):
    dataset = Corrupted(Given([Sample("a", tmp_path / "none.png")]), "fog", 1)
    with pytest.raises(BrokenSampleError, match="No image at"):
        dataset.load("a/fog-1")
    with pytest.raises(ValueError, match="has no sample 'a'; its samples end in '/fog-1'"):
        dataset.load("a")


def test_corruptions_are_read_from_a_line_each_once():
    assert corruptions_of("fog:2, pixelate,fog:2,fog:5") == [("fog", 2), ("pixelate", 5), ("fog", 5)]
    for text, match in (("fog:", "write NAME:SEVERITY"), ("fog:-1", "write NAME:SEVERITY"), ("fog:0", "choose one of")):
        with pytest.raises(ValueError, match=match):
            corruptions_of(text)
