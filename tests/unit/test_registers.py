"""Outlier patches: norms far above the image's median, on patches that show little."""

from dataclasses import replace

import numpy as np
import pytest

from dexar_widgets import registers
from tests.golden.cases import build, with_attention

# sixteen norms: median 10, absolute deviations 0 (8 times) and 1 (8 times), so their median is 0.5
NORMS = np.array([10.0] * 8 + [9.0] * 4 + [11.0] * 4)


def test_the_threshold_is_the_median_and_deviations_or_a_multiple_whichever_is_higher():
    narrow = registers.find(NORMS, np.zeros(16))
    assert (narrow.usual, narrow.threshold) == (10, 15)  # 10 + 3.5 · 1.4826 · 0.5 = 12.6 is below 1.5 · 10
    wide = registers.find(10 + 10 * (NORMS - 10), np.zeros(16))
    assert wide.threshold == pytest.approx(10 + 3.5 * 1.4826 * 5)


def test_only_a_norm_above_the_threshold_is_an_outlier():
    norms = NORMS.copy()
    # six deviations of 0 and eight of 1 are left, so their median is 1: 10 + 3.5 · 1.4826 = 15.19
    norms[[3, 5]] = 15.1, 15.3
    assert registers.find(norms, np.zeros(16)).cells.tolist() == [5]


def test_a_patch_with_more_detail_than_the_median_is_none():
    norms, detail = NORMS.copy(), np.linspace(0, 1, 16)
    norms[[2, 14]] = 90
    assert registers.find(norms, detail).cells.tolist() == [2]


def test_equal_norms_have_no_outlier_and_one_among_equals_has():
    assert registers.find(np.full(16, 3.0), np.zeros(16)).cells.tolist() == []
    assert registers.find(np.array([3.0] * 15 + [5.0]), np.zeros(16)).cells.tolist() == [15]


def test_a_few_patches_do_not_say_what_is_usual():
    with pytest.raises(ValueError, match="15 patches are too few"):
        registers.find(NORMS[:15], np.zeros(15))


def test_detail_is_the_deviation_of_brightness_within_a_cell():
    e = build(steps=1, grid=(1, 2), size=(4, 2))
    pixels = np.zeros((2, 4, 3), np.uint8)
    pixels[:, 3] = 255  # the right cell is half black, half white
    shown = replace(e, example=replace(e.example, image=pixels))
    assert registers.detail_of(shown).tolist() == pytest.approx([0, 0.5])


def test_an_explanation_names_its_outliers_and_says_what_was_found():
    e = with_attention()
    found = registers.outliers_of(e)
    assert found.cells.tolist() == [0]  # cell 7 has the same norm, and much to show
    report = registers.report(e)
    assert report["cells"] == [0]
    assert report["text"].startswith("1 of 20 patches may be registers")
    assert "attention=True" in registers.report(replace(e, attention=None))["text"]


def report_with(norms):
    return registers.report(replace(with_attention(), patch_norm=norms))


def test_a_report_without_outliers_says_why():
    missing = report_with(None)
    assert "dx.explain(vlm, image, prompt, patch_norm=True, attention=True)" in missing["text"]
    kept = with_attention().patch_norm
    flat = report_with(np.where(np.isnan(kept), kept, np.float32(1)))
    assert flat["text"].startswith("None found")
    single = build(grid=(1, 1), size=(9, 9))
    small = registers.report(replace(single, patch_norm=np.ones(len(single.layout), np.float32)))
    assert "1 patch is too few" in small["text"]
    assert missing["cells"] == flat["cells"] == small["cells"] == []
