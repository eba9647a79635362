"""The Compare tab in a real browser: its numbers are those that Python has for the same two maps."""

import re

import numpy as np
import pandas as pd
import pytest

from dexar_widgets.widgets import html
from tests.browser.hosts.notebook import eventually
from tests.browser.view import View, view_in
from tests.golden.cases import CASES, build

SIZES = {"steps": 5, "layers": 4, "heads": 3, "grid": (6, 8), "size": (160, 120)}


def share(values: np.ndarray) -> np.ndarray:
    return values / np.maximum(values, 0).sum()


def compare(view: View, against: str) -> None:
    view.root.get_by_role("tab", name="Compare").click()
    view.root.get_by_label("B", exact=True).select_option(label=against)


def sums(view: View) -> list[float]:
    canvases = view.root.locator(".compare figure:not([hidden]) canvas")
    return [float(found) for found in canvases.evaluate_all("all => all.map(c => c.dataset.sum)")]


def figures(view: View) -> tuple[int, float, float]:
    """Energy in the same cells (percent), rank correlation and cosine, as they are said."""
    said = view.text(".compare [role=status]").replace("−", "-")
    found = re.search(r"correlation ([-\d.e]+)\); (\d+) % .* cosine ([-\d.e]+)\.$", said)
    assert found, said
    return int(found[2]), float(found[1]), float(found[3])


def agreement(a: np.ndarray, b: np.ndarray) -> tuple[int, float, float]:
    one, other = a.astype(float).ravel(), b.astype(float).ravel()
    overlap = np.minimum(*(np.maximum(share(each), 0) for each in (one, other))).sum()
    cosine = one @ other / np.sqrt((one @ one) * (other @ other))
    return (
        round(100 * overlap),
        pytest.approx(pd.Series(one).rank().corr(pd.Series(other).rank()), rel=5e-3),
        pytest.approx(cosine, rel=5e-3),
    )


def test_a_word_with_and_without_filters(show):
    e = build(**SIZES)
    view = show(e)
    view.word(1).click()
    compare(view, "Without filters")
    a, b = e.heatmap(1).values, e.heatmap(1, head_filter="none").values
    assert figures(view) == agreement(a, b)
    assert sums(view) == pytest.approx([1, 1, 0], abs=1e-6)
    assert not view.root.get_by_role("radiogroup", name="Scale").is_visible()
    assert view.text(".compare .unit") == "share of the map’s energy"


def test_signed_gradients_on_one_scale_of_raw_values(show):
    e = build(**SIZES)
    view = show(e)
    view.word(2).click()
    compare(view, "With negative gradients")
    a, b = e.heatmap([2, 3]).values, e.heatmap([2, 3], relu=False).values
    assert sums(view) == pytest.approx([a.sum(), b.sum(), (a - b).sum()], rel=1e-5, abs=1e-5)
    assert figures(view) == agreement(a, b)
    view.set("Scale", "Share of energy")
    assert sums(view)[:2] == pytest.approx([1, share(b).sum()], rel=1e-5)


def test_the_same_word_in_another_answer_or_another_word(show):
    e, other = build(**SIZES), build(**SIZES, seed=9, prompt="and what now?")
    view = show(html.page([e, other]))
    view.word(1).click()
    compare(view, "2 · and what now? · a red suitcase.")
    assert figures(view) == agreement(e.heatmap(1).values, other.heatmap(1).values)
    view.root.get_by_label("Word", exact=True).select_option(label="suitcase")
    assert figures(view) == agreement(e.heatmap(1).values, other.heatmap("suitcase").values)
    view.page.keyboard.press("Escape")
    assert figures(view) == agreement(e.sequence_map().values, other.sequence_map().values)


def test_attention_beside_the_method(show):
    e = CASES["with_attention"]()
    view = show(e)
    view.word(0).click()
    compare(view, "Raw attention")
    rows = e.attention[0].mean((0, 1))[e.layout.tokens_of(0)]
    overlap, rank, _ = figures(view)
    wanted = agreement(e.heatmap(0).values, rows.reshape(e.layout.grids[0].rows, -1))
    assert (overlap, rank) == (pytest.approx(wanted[0], abs=1), wanted[1])


def test_the_difference_of_equal_maps_is_white(show):
    e = build(**SIZES)
    view = show(html.page([e, e]))
    compare(view, "2 · a red suitcase.")
    assert figures(view) == (100, 1, 1)
    pixels = view.root.locator(".compare figure canvas").last.evaluate(
        "c => Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)"
    )
    assert np.reshape(pixels, (-1, 4)).min() >= 245  # the table's middle is nearly white


def test_grids_that_differ_have_no_difference_map(show):
    view = show(html.page([build(), CASES["three_to_one"]()]))
    compare(view, "2 · a red suit")
    assert len(sums(view)) == 2
    assert "grids differ" in view.text(".compare [role=status]")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_comparing_and_exporting_have_no_accessibility_violation(show, scheme):
    view = show(html.page([build(), build(seed=9)]), scheme=scheme, width=390)
    view.word(1).click()
    for tab in ("Compare", "Export"):
        view.root.get_by_role("tab", name=tab).click()
        assert view.violations() == []
        assert view.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


LAB = f"""
import dexar_widgets as dx
from tests.golden.cases import build
a, b = (build(**{SIZES | {"steps": 8, "layers": 16, "heads": 16, "grid": (12, 12)}}, seed=seed) for seed in (0, 9))
w = dx.Explorer(a, b)
w
"""


def test_a_kernel_brings_what_the_other_explanation_needs(lab):
    notebook = lab(LAB)
    notebook.run()
    view = view_in(notebook)
    view.word(1).click()
    view.root.get_by_label("Positive gradients only").uncheck()
    compare(view, "2 · a red suitcase. and the sky")
    eventually(lambda: len(sums(view)), 3)
    want = notebook.value("[float(e.heatmap(1, relu=False).values.sum()) for e in (a, b)]")
    assert sums(view)[:2] == pytest.approx(want, rel=0.02)
