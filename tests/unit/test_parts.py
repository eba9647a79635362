"""What a view opens with is read in one pass, is what single questions would give, and stays small."""

import numpy as np
import pytest

from dexar_widgets import filters
from dexar_widgets.evidence import Evidence
from dexar_widgets.widgets import parts, wire
from tests.golden.cases import CASES, build


@pytest.mark.parametrize("name", ["ordinary", "delta_near_zero", "text_100_times", "all_silenced", "summary_only"])
@pytest.mark.parametrize("preset", ["paper", "released"])
def test_maps_made_together_are_those_made_one_by_one(name, preset):
    e = CASES[name]()
    choices = [e.options(head_filter=head_filter, preset=preset) for head_filter in ("none", "max")]
    for options, maps in zip(choices, e.evidence.all_layer_maps(choices), strict=True):
        each = e.layer_maps(options)
        np.testing.assert_allclose(maps, each, rtol=1e-5, atol=1e-6 * np.abs(each).max())


@pytest.mark.parametrize(("word", "fraction"), [("0.25", 0.25), ("1", 1.0), ("avg", 1.0), ("1e-7", 1e-7)])
def test_a_fraction_that_is_only_set_in_python_has_numbers_too(word, fraction):
    e = build()
    found, read = parts.part(e, f"level/content/{word}"), e.sensitivity(e.options(text_set="content"), fraction)
    values = {spec["name"]: np.frombuffer(piece, "<f4") for spec, piece in zip(found.specs, found.pieces, strict=True)}
    np.testing.assert_array_equal(values[f"visual/{word}"], read.visual.ravel())
    np.testing.assert_array_equal(values[f"text/content/{word}"], read.text.ravel())


@pytest.mark.parametrize("rest", ["all/none", "all/nan", "all/1.5", "all/", "all", "all/max/2", "mine/0.5"])
def test_what_is_no_text_set_or_fraction_has_none(rest):
    with pytest.raises(ValueError, match="There are no numbers for"):
        parts.part(build(), f"level/{rest}")


def test_signed_maps_keep_their_negative_gradients():
    e = build()
    options = e.options(relu=False, layers=[1])
    (maps,) = e.evidence.all_layer_maps([options])
    assert maps.min() < 0
    assert not maps[:, [0, 2]].any()
    np.testing.assert_allclose(maps, e.layer_maps(options), rtol=1e-5, atol=1e-6)


def test_an_opening_reads_each_steps_image_once_for_its_maps_and_once_for_its_filters(monkeypatch):
    e = build(steps=4)
    maps, sides = [], []
    gradients, one_side = Evidence.visual_gradients, filters._one_side
    monkeypatch.setattr(
        Evidence, "visual_gradients", lambda self, place, **how: maps.append(place) or gradients(self, place, **how)
    )
    monkeypatch.setattr(
        filters, "_one_side", lambda tensor, tokens, **how: sides.append(len(tokens)) or one_side(tensor, tokens, **how)
    )
    parts.part(e, "open")
    assert maps == [0, 1, 2, 3] * 2  # once for preset paper, once for the last layer of preset released
    cells = int(e.layout.is_image.sum())
    assert sides.count(cells) == 2


@pytest.mark.slow
def test_fifty_steps_of_a_7b_model_open_with_less_than_4_mb():
    e = build(steps=50, layers=32, heads=32, grid=(24, 24), keep="summary", pieces=[" word"] * 50)
    document, payload = wire.document([e])
    assert document["sources"][0]["opening"] == ["open"]
    assert len(payload) <= 4_000_000
