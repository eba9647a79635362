"""The map over the image: its numbers, colours and readings, held to Python's."""

import numpy as np
import pytest

from dexar_widgets.figures import COLOUR_TABLES
from dexar_widgets.widgets import html
from tests.golden.cases import CASES, build


def shown(view, **traits) -> None:
    """Open the display options and set them as a person would."""
    details = view.root.locator(".controls details")
    if details.get_attribute("open") is None:
        details.locator("summary").click()
    for label, value in traits.items():
        view.root.get_by_label(label.replace("_", " "), exact=True).fill(value)


def ticks(view) -> list[str]:
    return view.root.locator(".ticks span").all_inner_texts()


def cells_of(view) -> np.ndarray:
    """RGBA per cell, drawn flat and opaque."""
    view.set("Drawn as", "Cells")
    shown(view, Opacity="1")
    view.root.get_by_label("Low values let the image through").uncheck()
    return np.array(view.pixels()).reshape(-1, 4)


def colours(values: np.ndarray, low: float, high: float, name: str = "cividis") -> np.ndarray:
    """The colours that Python would give, as the browser rounds."""
    index = np.clip(np.floor(255 * (values.ravel() - low) / (high - low) + 0.5), 0, 255).astype(int)
    return COLOUR_TABLES[name][index]


def assert_colours(found: np.ndarray, expected: np.ndarray) -> None:
    # half way between two entries of the table, float32 and float64 may differ: one entry, a few units
    assert np.abs(found[:, :3].astype(int) - expected.astype(int)).max() <= 4
    assert (found[:, 3] == 255).all()


def test_every_cell_has_the_colour_of_its_value(show):
    e = build()
    view = show(e)
    view.word(1).click()
    values = e.heatmap(step=1).values
    assert_colours(cells_of(view), colours(values, values.min(), values.max()))


def test_the_last_colour_begins_at_the_percentile(show):
    e = build()
    view = show(e)
    view.word(1).click()
    shown(view, Clip_at="90")
    values = e.heatmap(step=1).values
    high = np.percentile(values.astype(float), 90)
    assert_colours(cells_of(view), colours(values, values.min(), high))
    assert ticks(view)[2] == f"≥ {high:#.3g}"


def test_all_words_can_share_one_scale(show):
    e = build()
    view = show(e)
    maps = [e.heatmap(step=list(word.steps)).values for word in e.generation.words]
    low, high = min(m.min() for m in maps), max(m.max() for m in maps)
    view.word(0).click()
    shown(view)
    view.set("Colours span", "All words")
    found = cells_of(view)
    for index, values in enumerate(maps):
        view.word(index).click()
        found = np.array(view.pixels()).reshape(-1, 4)
        assert_colours(found, colours(values, low, high))
    assert "one scale for all words" in view.text(".legend .unit")


def test_negative_gradients_have_colours_about_zero(show):
    e = build()
    view = show(e)
    view.word(1).click()
    view.root.get_by_label("Positive gradients only").uncheck()
    values = e.heatmap(step=1, relu=False).values
    reach = np.abs(values).max()
    assert_colours(cells_of(view), colours(values, -reach, reach, "blue_red"))


@pytest.mark.parametrize("blend", ["multiply", "screen"])
def test_the_map_blends_with_the_image(show, blend):
    view = show(html.page(build(), view={"display": {"blend": blend}}))
    view.pixels()
    assert view.root.locator(".stage canvas").first.evaluate("c => getComputedStyle(c).mixBlendMode") == blend


def test_raw_attention_is_the_mean_over_heads_and_layers(show):
    e = CASES["with_attention"]()
    view = show(e)
    view.set("Map of", "Raw attention")
    cells = e.layout.tokens_of(0)
    rows = e.attention[..., cells].astype(float)
    assert float(view.map_data()["sum"]) == pytest.approx(rows.mean((1, 2)).sum(), rel=5e-3)
    view.word(1).click()
    want = rows[1].mean((0, 1))
    assert float(view.map_data()["high"]) == pytest.approx(want.max(), rel=5e-3)
    assert view.peak() == divmod(int(want.argmax()), e.layout.grids[0].cols)
    assert view.text(".legend .unit").startswith("attention")
    view.set("Map of", "DEX-AR")
    assert view.peak() == e.heatmap(step=1).peak


def test_a_cell_under_the_pointer_is_read_out_and_a_tap_as_well(show):
    e = build()
    view = show(e)
    view.word(1).click()
    values = e.heatmap(step=1).values
    stage = view.root.locator(".stage").bounding_box()
    view.page.mouse.move(stage["x"] + stage["width"] * 2.5 / 4, stage["y"] + stage["height"] * 1.5 / 3)
    rank = 1 + int((values > values[1, 2]).sum())
    said = view.text(".readout")
    assert said.startswith(f"row 2, column 3 · {values[1, 2]:#.3g} · rank {rank} of 12 · pixels 20–30 × 10–20 · layer ")
    view.page.mouse.move(0, 0)
    assert view.text(".readout").startswith("Point at a cell")


def test_arrow_keys_walk_from_the_peak(show):
    e = build()
    view = show(e)
    view.word(1).click()
    row, col = e.heatmap(step=1).peak
    view.root.locator(".stage canvas").first.focus()
    view.page.keyboard.press("ArrowDown")
    assert view.text(".readout").startswith(f"row {row + 1}, column {col + 1} · ")
    view.page.keyboard.press("ArrowLeft")
    assert view.text(".readout").startswith(f"row {row + 1}, column {max(0, col - 1) + 1} · ")


def test_several_changes_of_one_frame_are_drawn_once(show):
    view = show(build())
    view.pixels()
    drawn = view.page.evaluate(
        """async () => {
          let count = 0;
          const put = CanvasRenderingContext2D.prototype.putImageData;
          CanvasRenderingContext2D.prototype.putImageData = function (...rest) {
            if (this.canvas.closest(".stage")) count++;
            put.apply(this, rest);
          };
          const slider = [...document.querySelectorAll(".scrubber input")].at(-1);
          for (const layer of [1, 0, 2]) {
            slider.value = layer;
            slider.dispatchEvent(new Event("input", { bubbles: true }));
          }
          await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
          return count;
        }"""
    )
    assert drawn == 1
