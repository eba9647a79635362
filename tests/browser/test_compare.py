"""The Compare tab in a real browser: its numbers are those that Python has for the same two maps."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dexar_widgets.explanation import Explanation
from dexar_widgets.figures import COLOUR_TABLES
from dexar_widgets.types import minmax
from dexar_widgets.widgets import html
from tests.browser.hosts.notebook import eventually
from tests.browser.view import View, view_in
from tests.golden.cases import CASES, build
from tests.unit.made import attribution_of

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


def with_methods(count: int = 4, **sizes: object) -> Explanation:
    """So many methods, of which the second is signed, the third has one map for the answer, the last is a control."""
    e = build(**SIZES | sizes)
    last = count - 1
    made = [
        attribution_of(e, f"method_{at}", seed=at, signed=at == 1, whole=at == 2, control=at == last)
        for at in range(count)
    ]
    return replace(e, attributions={each.method: each for each in made})


def cell(view: View, row: int, col: int) -> object:
    """A map of the table: row 0 is the whole answer, column 0 the paper's method."""
    return view.root.locator(".methods tbody tr").nth(row).get_by_role("gridcell").nth(col)


def table_sums(view: View) -> list[list[float]]:
    return view.root.locator(".methods tbody tr").evaluate_all(
        "rows => rows.map(r => [...r.querySelectorAll('canvas')].map(c => c.dataset.sum ? Number(c.dataset.sum) : NaN))"
    )


def test_every_word_by_every_method(show):
    e = with_methods()
    view = show(e)  # opens on the comparison, since there is something to compare
    found = np.array(table_sums(view))
    words = [list(word.steps) for word in e.generation.words]
    maps = [[e.sequence_map(), *(e.heatmap(word) for word in words)]]
    for each in e.attributions.values():
        maps.append([each.sequence_map(), *(None if each.whole else each.heatmap(word) for word in words)])
    want = np.array([[np.nan if m is None else m.values.sum(dtype=float) for m in column] for column in maps]).T
    np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-4)
    assert view.root.locator(".methods thead th").all_inner_texts()[-1].split() == ["Method", "3", "control"]
    view.root.get_by_label("Chance controls").uncheck()
    assert len(table_sums(view)[0]) == 4
    assert view.text(".methods tfoot tr:nth-child(2)") == "Seconds – 2 2 2"


@pytest.mark.parametrize("scaling", ["each map", "each method", "all"])
def test_a_maps_colours_span_what_is_said(show, scaling):
    e = with_methods(5)
    view = show(e)
    view.page.get_by_label("Opacity").fill("1")
    view.set("Drawn as", "Cells")
    view.page.get_by_text("Scale and blending").click()
    view.page.get_by_label("Low values let the image through").uncheck()
    view.set("One scale for", scaling)
    pixels = (
        cell(view, 2, 1)
        .locator("canvas")
        .evaluate("c => [c.width, ...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]")
    )
    drawn = np.reshape(pixels[1:], (-1, pixels[0], 4))[10::20, 10::20, :3]  # the middle of each cell
    plain = e.attributions["method_0"]
    values = plain.heatmap(1).values.astype(float)
    if scaling == "each map":
        unit = minmax(values)
    elif scaling == "each method":
        words = [plain.heatmap(list(word.steps)).values for word in e.generation.words]
        unit = (values - np.min(words)) / (np.max(words) - np.min(words))
    else:  # some method is signed, so that all colours are about zero
        named = view.text(".methods .ticks").split()
        unit = 0.5 + share(values) / float(named[-1]) / 2
    table = COLOUR_TABLES["blue_red" if scaling == "all" else "cividis"].astype(int)
    assert np.abs(drawn - table[np.rint(255 * unit).astype(int)]).max() <= (8 if scaling == "all" else 2)


def test_a_map_that_is_chosen_shows_its_word_and_is_b(show):
    e = with_methods()
    view = show(e)
    cell(view, 2, 1).click()
    assert view.chosen() == [1]
    assert figures(view) == agreement(e.heatmap(1).values, e.attributions["method_0"].heatmap(1).values)
    for key in ("ArrowDown", "ArrowRight", "ArrowRight", "Enter"):
        view.page.keyboard.press(key)
    assert view.chosen() == [2]
    assert "one map for the whole answer" in view.text(".compare figure:nth-child(2) figcaption")
    assert figures(view) == agreement(e.heatmap([2, 3]).values, e.attributions["method_2"].sequence_map().values)
    chosen = view.root.locator(".methods [aria-selected=true]").evaluate_all("all => all.map(c => c.ariaLabel)")
    assert [label.split(":")[0] for label in chosen] == ["suitcase, DEX-AR", "suitcase, Method 2"]


def test_the_image_can_show_any_method_and_keeps_its_word(show):
    e = with_methods()
    view = show(e)
    view.word(1).click()
    view.root.get_by_label("Map of").select_option(label="Method 1")
    heat = e.attributions["method_1"].heatmap(1)
    assert (view.peak(), view.total()) == (heat.peak, pytest.approx(float(heat.values.sum()), rel=1e-4))
    view.page.get_by_label("Last layer").fill("1")
    assert view.total() == pytest.approx(float(heat.values.sum()), rel=1e-4)
    assert "Layers and filters do not apply." in view.text(".image .about")
    assert "Method 1, whatever the layers and filters" in view.text(".compare figure figcaption")


@pytest.mark.parametrize("width", [1280, 390])
def test_many_words_and_methods_scroll_within_their_own_region(show, width):
    e = with_methods(15, steps=20, pieces=[f" word{at}" for at in range(20)])
    view = show(e, width=width)
    box = view.root.get_by_role("region", name="Maps, words by methods")
    assert box.evaluate("b => b.scrollWidth > b.clientWidth && b.scrollHeight > b.clientHeight")
    assert view.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    box.focus()
    assert box.evaluate("b => b === document.activeElement")
    cell(view, 0, 0).focus()
    for key in ["ArrowRight"] * 16 + ["ArrowDown"] * 12:
        view.page.keyboard.press(key)
    seen = "c => c.contains(document.elementFromPoint(...(({x, y, width, height}) => "
    seen += "[x + width / 2, y + height / 2])(c.getBoundingClientRect())))"
    for part in (cell(view, 12, 15), box.locator("thead th").nth(15), box.locator("tbody th").nth(12)):
        assert part.evaluate(seen), "what is in focus, its word and its method are in sight"


def test_drawing_the_table_anew_takes_no_longer_than_a_blink(show):
    e = with_methods(15, steps=20, grid=(24, 24), size=(480, 480), pieces=[f" word{at}" for at in range(20)])
    view = show(e)
    spent = view.root.get_by_role("radiogroup", name="One scale for").evaluate(
        """async group => {
          const start = performance.now();
          group.querySelector("[value=share]").click();
          return performance.now() - start;
        }"""
    )
    assert spent < 500


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_by_methods_have_no_accessibility_violation(show, scheme, width):
    view = show(with_methods(9), scheme=scheme, width=width)
    for scaling in ("each map", "each method", "all"):
        view.set("One scale for", scaling)
        assert view.violations() == []
    assert view.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


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
