"""The layers: scrubbing, playing and the lens in a real browser."""

import pytest

from tests.golden.cases import CASES, build


def test_each_layer_has_pythons_map(show):
    e = build(layers=4)
    view = show(e)
    view.word(1).click()
    view.set("Which layers", "One")
    slider = view.root.get_by_label("Layer", exact=True)
    for layer in range(4):
        slider.fill(str(layer))
        want = e.heatmap(step=1, layers=layer).values.sum()
        assert float(view.map_data()["sum"]) == pytest.approx(float(want), rel=1e-5, abs=1e-6)
    view.set("Which layers", "Up to")
    view.root.get_by_label("Last layer").fill("2")
    want = e.heatmap(step=1, layers=[0, 1, 2]).values.sum()
    assert float(view.map_data()["sum"]) == pytest.approx(float(want), rel=1e-5, abs=1e-6)


def test_playing_passes_every_layer_and_stops_at_the_last(show):
    view = show(build(layers=5))
    view.root.get_by_label("Speed").select_option("8")
    view.page.evaluate(
        """() => {
          window.seen = [];
          const line = document.querySelector(".layers .head [role=status]");
          new MutationObserver(() => seen.push(line.textContent)).observe(line, { childList: true });
        }"""
    )
    view.page.locator("body").press(" ")
    view.root.get_by_role("button", name="Pause").wait_for()
    view.root.get_by_role("button", name="Play").wait_for()
    assert view.page.evaluate("[...new Set(seen)]") == [f"layer {layer} of 0–4" for layer in range(5)]


def test_a_click_on_the_curve_chooses_the_layer(show):
    view = show(build(layers=4))
    view.set("Which layers", "One")
    chart = view.root.locator("svg.curve").first.bounding_box()
    left, right = chart["width"] * 44 / 420, chart["width"] * 408 / 420
    view.page.mouse.click(chart["x"] + left + (right - left) * 1.5 / 4, chart["y"] + chart["height"] / 2)
    assert view.text(".layers .head [role=status]") == "layer 1 of 0–3"


def test_the_lens_follows_layer_and_pointer(show):
    e = CASES["with_attention"]()
    view = show(e)
    view.word(1).click()
    view.set("Which layers", "One")
    view.root.get_by_label("Layer", exact=True).fill("0")

    def says(layer: int) -> None:
        words = " and ".join(f"“{word}”" for word in e.lens.top_words[1][layer])
        said = view.text(".lens .hint")
        assert said.startswith(f"After layer {layer}, “red” has rank {e.lens.rank[1, layer]} and logit ")
        assert said.endswith(f"the layer would say {words}.")

    says(0)
    view.root.locator(".lens svg").hover()
    says(1)  # the middle of three
    view.page.mouse.move(0, 0)
    says(0)


def test_a_narrow_view_needs_no_sideways_scroll(show):
    for width in (390, 700, 900):
        view = show(CASES["with_attention"](), width=width)
        view.word(1).click()
        assert view.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
        stage, layers = (view.root.locator(part).bounding_box() for part in (".stage", ".layers"))
        assert (layers["x"] > stage["x"] + stage["width"]) == (width >= 700)


def test_a_view_in_a_narrow_place_of_a_wide_window_is_narrow(show):
    view = show(build(), width=1280)
    view.page.evaluate("document.querySelector('.dexar').style.width = '400px'")
    stage, layers = (view.root.locator(part).bounding_box() for part in (".stage", ".layers"))
    assert layers["y"] > stage["y"] + stage["height"]
    assert layers["width"] <= 400
