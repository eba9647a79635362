"""The golden files still say what Python says; vitest holds TypeScript to the same files."""

import json
import re
from collections import Counter

import numpy as np
import pytest

from dexar_widgets.figures import COLOUR_TABLES, colour_stops_json
from dexar_widgets.widgets import html, parts, wire
from tests.golden.cases import CASES, build
from tests.golden.make import COLOUR_STOPS, HERE, golden

REMAKE = "if the change is meant, run: python -m tests.golden.make"


def assert_same(found: object, written: object, place: str = "") -> None:
    """Equal structure; numbers agree to 1e-6 of the list's largest."""
    if isinstance(written, dict):
        assert isinstance(found, dict) and found.keys() == written.keys(), f"{place}: {REMAKE}"
        for key, value in written.items():
            assert_same(found[key], value, f"{place}/{key}")
    elif isinstance(written, list) and written and isinstance(written[0], float):
        peak = max(map(abs, written))
        np.testing.assert_allclose(found, written, rtol=0, atol=1e-6 * peak, err_msg=f"{place}: {REMAKE}")
    elif isinstance(written, list):
        assert isinstance(found, list) and len(found) == len(written), f"{place}: {REMAKE}"
        for index, value in enumerate(written):
            assert_same(found[index], value, f"{place}[{index}]")
    elif isinstance(written, float):
        assert found == pytest.approx(written, rel=1e-6), f"{place}: {REMAKE}"
    else:
        assert found == written, f"{place}: {REMAKE}"


@pytest.mark.parametrize("name", CASES)
def test_the_file_says_what_python_says(name):
    found, written = json.loads(json.dumps(golden(name))), json.loads((HERE / f"{name}.json").read_text())
    for each in (found, written):
        del each["document"]["sources"][0]["image"]["src"]  # the bytes of a PNG depend on the zlib at hand
        each["payload"] = len(each["payload"])  # its numbers are read in the next test
    assert_same(found, written)


def test_there_is_a_file_for_every_case_and_no_other():
    assert {path.stem for path in HERE.glob("*.json")} == set(CASES)


def test_the_front_ends_colours_are_those_of_figures():
    assert json.loads(COLOUR_STOPS.read_text()) == json.loads(colour_stops_json()), REMAKE
    tables = json.loads((HERE / "colours" / "tables.json").read_text())
    assert tables == {name: table.ravel().tolist() for name, table in COLOUR_TABLES.items()}, REMAKE


def blocks_of(document: dict, payload: bytes, source: int = 0) -> dict[str, np.ndarray]:
    """Decode by hand, from the description alone."""
    header = document["sources"][source]
    kinds = {"f4": "<f4", "i4": "<i4", "i2": "<i2", "u1": "u1", "i1": "i1"}
    raw = {
        spec["name"]: np.frombuffer(payload, kinds[spec["dtype"]], int(np.prod(spec["shape"])), spec["offset"]).reshape(
            spec["shape"]
        )
        for spec in header["blocks"]
    }
    scales = {spec["name"]: spec["scale"] for spec in header["blocks"] if "scale" in spec}
    return {name: raw[name] * raw[scales[name]][..., None] if name in scales else raw[name] for name in raw}


def test_blocks_hold_the_sensitivities_and_winners_of_the_maximum_taken_by_hand():
    e = build()
    blocks = blocks_of(*wire.document([e]))
    values, kinds = np.maximum(e.gradients.values, 0), np.array(e.layout.kinds)
    image, answer = kinds == "image", kinds == "answer"
    np.testing.assert_array_equal(blocks["visual/max"], values[..., image].max(-1))
    np.testing.assert_array_equal(blocks["text/all/max"], values[..., ~image].max(-1))
    np.testing.assert_array_equal(blocks["text/answer/max"], values[..., answer].max(-1))
    text = np.where(image, -1, values)
    np.testing.assert_array_equal(blocks["winner/all"], text.argmax(-1))
    assert (blocks["winner/answer"][0] == -1).all()  # the first step reads no answer yet
    np.testing.assert_allclose(blocks["visual/avg"], values[..., image].mean(-1), rtol=1e-6)


def test_layer_maps_travel_within_half_a_percent_of_their_peak():
    e = build()
    blocks = blocks_of(*wire.document([e]))
    values, image = np.maximum(e.gradients.values, 0), np.array(e.layout.kinds) == "image"
    delta = np.maximum(values[..., image].max(-1) - values[..., ~image].max(-1), 0)
    for name, weight in (("maps/none", np.ones_like(delta)), ("maps/all/max", delta)):
        want = np.einsum("slh,slhj->slj", weight, values[..., image])
        assert np.abs(blocks[name] - want).max() <= 0.005 * want.max()
    for step in e.steps:
        np.testing.assert_array_equal(blocks[f"tensor/{step}"], e.gradients.values[step][..., image])


def test_many_gradients_travel_coarse_or_wait_until_they_are_asked_for():
    e = build(steps=1, layers=192, heads=16, grid=(16, 16))
    fine, coarse, none = (
        {spec["name"]: spec["dtype"] for spec in wire.document([each])[0]["sources"][0]["blocks"]}
        for each in (
            build(steps=1, layers=4, heads=16, grid=(16, 16)),
            build(steps=1, layers=64, heads=16, grid=(16, 16)),
            e,
        )
    )
    assert fine["tensor/0"] == "f4"
    assert coarse["tensor/0"] == "i1"
    assert "tensor/0" not in none
    asked = parts.part(e, "tensor/0")
    blocks = blocks_of({"sources": [{"blocks": asked.specs}]}, asked.payload)
    image = np.array(e.layout.kinds) == "image"
    want = e.gradients.values[0][..., image]
    assert np.abs(blocks["tensor/0"].reshape(want.shape) - want).max() <= 0.005 * np.abs(want).max()


def test_the_file_that_travels_names_no_block_twice_and_is_plain_json():
    document, payload = wire.document([CASES["twelve_layers"]()])
    header = document["sources"][0]
    names = Counter(spec["name"] for spec in header["blocks"])
    assert set(names.values()) == {1}
    assert all(spec["offset"] % 4 == 0 for spec in header["blocks"])
    json.dumps(document, allow_nan=False)
    assert len(payload) % 4 == 0


def test_no_text_can_leave_its_place_in_the_page():
    hostile = "</script><script>alert(1)</script><!--"
    page = html.page(build(prompt=hostile, pieces=[" " + hostile]), title=hostile)
    assert len(re.findall(r"<script", page)) == len(re.findall(r"</script>", page)) == 3
    assert "alert(1)</script>" not in page


def test_a_missing_front_end_is_said_with_the_way_out(monkeypatch, tmp_path):
    monkeypatch.setattr(html, "STATIC", tmp_path)
    with pytest.raises(ValueError, match="npm --prefix js ci"):
        html.page(build())


def test_a_large_image_travels_as_a_smaller_jpeg_and_keeps_its_own_coordinates():
    document, _ = wire.document([build(steps=1, size=(2000, 1000))])
    header = document["sources"][0]
    assert header["image"]["src"].startswith("data:image/jpeg;base64,")
    assert (header["image"]["width"], header["image"]["height"]) == (2000, 1000)
    assert header["grid"]["box"] == [0, 0, 2000, 1000]
