"""Words, filters, layers and keys of the offline page, held to the numbers that Python computes."""

import numpy as np
import pytest

from dexar_widgets.explanation import Explanation
from tests.golden.cases import CASES, build


def peak_of(e: Explanation, **options) -> tuple[int, int]:
    return e.sequence_map(**options).peak


def kept(e: Explanation, **options) -> int:
    return int((e.head_weights(**options) > 0).sum())


def silenced(e: Explanation, **options) -> int:
    return int((e.word_weights(e.options(**options)) == 0).sum())


def test_clicking_words_changes_the_map_and_several_are_summed(show):
    e = build()
    view = show(e)
    words = [list(word.steps) for word in e.generation.words]
    for index, steps in enumerate(words):
        view.word(index).click()
        want = e.heatmap(step=steps)
        assert view.chosen() == [index]
        assert float(view.map_data()["sum"]) == pytest.approx(float(want.values.sum()), rel=1e-5, abs=1e-6)
        if want.status == "ok":
            assert view.peak() == want.peak
    view.word(0).click()
    view.word(2).click(modifiers=["Shift"])
    assert view.chosen() == [0, 1, 2]
    total = e.heatmap(step=words[0] + words[1] + words[2]).values.sum()
    assert float(view.map_data()["sum"]) == pytest.approx(float(total), rel=1e-5)
    view.word(1).click(modifiers=["Control"])
    assert view.chosen() == [0, 2]
    view.page.click("button.whole")
    assert view.chosen() == []
    assert view.peak() == peak_of(e)


def test_a_part_of_a_word_has_its_own_map(show):
    e = build()
    view = show(e)
    (suitcase,) = [i for i, word in enumerate(e.generation.words) if word.text == "suitcase"]
    view.word(suitcase).click()
    assert view.word(suitcase).locator(".part").all_inner_texts() == ["suit", "case"]
    view.word(suitcase).locator(".part").nth(1).click()
    want = e.heatmap(step=3).values.sum()
    assert float(view.map_data()["sum"]) == pytest.approx(float(want), rel=1e-5, abs=1e-6)


def test_the_picture_shows_the_largest_cell_in_the_last_colour(show):
    e = build()
    view = show(e)
    view.page.keyboard.press("c")
    row, col = peak_of(e)
    cols = e.layout.grids[0].cols
    pixels = np.array(view.pixels()).reshape(-1, cols, 4)
    assert pixels.shape[:2] == e.sequence_map().values.shape
    assert np.abs(pixels[row, col, :3] - [254, 232, 56]).max() <= 2  # cividis, its largest value (alpha rounds)
    assert pixels[row, col, 3] == pixels[..., 3].max()


def test_filters_change_the_counts_to_pythons_numbers(show):
    e = build()
    view = show(e)
    steps, layers, heads = len(e.steps), len(e.layers), e.heads
    assert view.counts() == {
        "kept": kept(e),
        "heads": steps * layers * heads,
        "silenced": silenced(e),
        "words": len(e.generation.words),
    }
    view.set("Head filter", "Off")
    assert view.counts()["kept"] == steps * layers * heads
    view.set("Head filter", "Top share")
    assert view.counts()["kept"] == kept(e, head_filter=0.1)
    view.set("Filler filter", "Off")
    assert view.counts()["silenced"] == 0
    view.set("Filler filter", "Max")
    view.page.get_by_label("Which text the image is compared with").select_option("content")
    assert view.counts()["silenced"] == silenced(e, text_set="content", head_filter=0.1)
    assert view.counts()["kept"] == kept(e, text_set="content", head_filter=0.1)
    assert view.peak() == peak_of(e, text_set="content", head_filter=0.1)


def test_one_words_count_of_heads_reads_as_a_sentence(show):
    e = build()
    view = show(e)
    view.word(0).click()
    here = int((e.head_weights()[0] > 0).sum())
    assert view.text(".counts") == f"{here} of 6 heads kept, {silenced(e)} of {len(e.generation.words)} words silenced"


def test_the_released_preset_gives_the_authors_numbers(show):
    e = CASES["twelve_layers"]()
    view = show(e)
    view.set("Preset", "Released code")
    assert view.text(".layers .figure") == "layers 2–11"
    assert view.peak() == peak_of(e, preset="released")
    want = e.sequence_map(preset="released").values.sum()
    assert float(view.map_data()["sum"]) == pytest.approx(float(want), rel=1e-5, abs=1e-6)


def test_a_model_of_another_family_is_not_offered_the_released_preset(show):
    view = show(build(provenance={"family": "florence2"}))
    assert view.page.get_by_text("Released code").count() == 0


def test_without_the_sign_the_map_is_signed(show):
    e = build()
    view = show(e)
    view.word(1).click()
    view.page.get_by_label("Positive gradients only").click()
    want = e.heatmap(step=list(e.generation.words[1].steps), relu=False).values
    reach = float(np.abs(want).max())
    low, high = (float(view.map_data()[name]) for name in ("low", "high"))
    assert (low, high) == pytest.approx((float(want.min()), float(want.max())), rel=1e-5)
    ends = [float(text.replace("−", "-")) for text in view.page.locator(".ticks span").all_inner_texts()]
    assert ends == pytest.approx([-reach, 0, reach], rel=5e-3)


def test_layers_are_scrubbed_one_up_to_and_as_a_range(show):
    e = build()
    view = show(e)
    view.set("Which layers", "One")
    slider = view.page.get_by_label("Layer", exact=True)
    slider.fill("1")
    assert view.text(".layers .figure") == "layer 1 of 0–2"
    assert view.counts()["kept"] == kept(e, layers=1)
    assert view.peak() == peak_of(e, layers=1)
    view.set("Which layers", "Up to")
    assert view.peak() == peak_of(e, layers=slice(0, 2))
    view.set("Which layers", "Range")
    view.page.get_by_label("Last layer").fill("2")
    view.page.get_by_label("First layer").fill("1")
    assert view.text(".layers .figure") == "layers 1–2"
    assert view.peak() == peak_of(e, layers=slice(1, 3))


def test_the_layer_curve_says_where_the_image_is_above_the_text(show):
    e = build()
    view = show(e)
    view.word(0).click()
    flow = e.flow()
    label = view.page.get_attribute(".curve", "aria-label")
    assert f"Image: largest in layer {flow.visual[0].argmax()}" in label
    assert f"Text: largest in layer {flow.text[0].argmax()}" in label


def test_keys_work_words_layers_filters_and_help(show):
    e = build()
    view = show(e)
    press = view.page.keyboard.press
    press("ArrowRight")
    assert view.chosen() == [0]
    press("ArrowRight")
    press("Shift+ArrowRight")
    assert view.chosen() == [1, 2]
    press("Escape")
    assert view.chosen() == []
    press("]")
    assert view.text(".layers .figure") == "layer 0 of 0–2"
    press("]")
    assert view.text(".layers .figure") == "layer 1 of 0–2"
    press("[")
    assert view.peak() == peak_of(e, layers=0)
    press("a")
    assert view.text(".layers .figure") == "all layers 0–2"
    press("h")
    assert view.counts()["kept"] == view.counts()["heads"]
    press("h")
    press("f")
    assert view.counts()["silenced"] == 0
    press("f")
    assert view.counts()["silenced"] == silenced(e)
    press("?")
    assert view.page.get_by_role("dialog").is_visible()
    press("Escape")
    assert not view.page.locator("dialog").is_visible()


def test_holding_u_shows_the_map_without_filters(show):
    e = build()
    view = show(e)
    view.page.keyboard.down("u")
    assert view.peak() == peak_of(e, head_filter="none", filler_filter="none")
    assert view.counts()["silenced"] == 0
    view.page.keyboard.up("u")
    assert view.peak() == peak_of(e)


def test_keys_leave_browser_shortcuts_and_controls_alone(show):
    view = show(build())
    view.page.keyboard.press("Control+f")
    view.page.keyboard.press("Alt+h")
    assert view.counts()["kept"] < view.counts()["heads"]
    view.page.get_by_label("Opacity").focus()
    view.page.keyboard.press("ArrowRight")
    assert view.chosen() == []
    assert view.text(".controls output") == "80 %"


def test_hovering_and_arrow_keys_read_one_cell(show):
    e = build()
    view = show(e)
    view.word(0).click()
    heat = e.heatmap(step=0).values
    row, col = e.heatmap(step=0).peak
    view.page.focus(".stage canvas")
    view.page.keyboard.press("ArrowUp")
    said = view.text(".readout")
    assert said.startswith(f"row {row + 1}, column {col + 1} · ")
    assert " · rank 1 of 12 · pixels " in said
    canvas = view.page.locator(".stage canvas")
    area = canvas.bounding_box()
    canvas.hover(position={"x": area["width"] * 1.5 / 4, "y": area["height"] * 2.5 / 3})
    said = view.text(".readout")
    assert said.startswith("row 3, column 2 · ")
    assert f"rank {int((heat > heat[2, 1]).sum()) + 1} of 12" in said
    assert "pixels 10–20 × 20–30" in said


def test_a_silenced_word_says_which_layer_head_and_text_won(show):
    e = CASES["text_100_times"]()
    view = show(e)
    silent = next(s for s in e.silenced() if e.generation.word_of(s.step).steps == (s.step,))
    index = next(i for i, word in enumerate(e.generation.words) if silent.step in word.steps)
    assert "silenced" in view.word(index).get_attribute("aria-label")
    view.word(index).click()
    said = view.text(".reason")
    assert f"“{silent.word}” is silenced, the text wins: text " in said
    assert f"at layer {silent.layer}, head {silent.head} on “{silent.piece.strip() or '␣'}”" in said
