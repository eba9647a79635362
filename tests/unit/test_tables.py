"""Tidy rows hold the numbers of the views, under the names the columns promise."""

import sys

import numpy as np
import pytest

from tests.unit.made import explanation_of, full_parts, layout_of, random_parts, tensor_of

LAYOUT = layout_of(["system", "image", "image", "prompt"], 1, 2)


@pytest.fixture
def e():
    """Two steps, two layers, two heads."""
    values = np.zeros((2, 2, 2, 4))
    values[0, 0] = [[1, 5, 2, 0], [0, 0, 1, 3]]
    values[0, 1] = [[2, 2, 1, 0], [0, 4, 0, 1]]
    values[1, 0] = [[8, 1, 1, 0], [0, 1, 2, 0]]
    return explanation_of(tensor_of(values), LAYOUT)


def test_steps_have_one_row_each_with_their_largest_sensitivities(e):
    rows = e.to_pandas("steps")
    assert rows["word"].tolist() == ["a", "b"]
    assert rows["sample"].tolist() == ["it.png", "it.png"]
    assert rows["log_prob"].tolist() == pytest.approx([-0.1, -0.2])
    assert rows["s_vis"].tolist() == [5, 2]
    assert rows["s_txt"].tolist() == [3, 8]
    assert rows["delta"].tolist() == [4, 2]
    assert rows["omega"].tolist() == [2, 0]
    assert rows["text_piece"].tolist() == ["prompt3", "system0"]
    assert rows[["text_layer", "text_head", "text_token"]].to_numpy().tolist() == [[0, 1, 3], [0, 0, 0]]


def test_flow_has_one_row_per_step_and_layer(e):
    rows = e.to_pandas("flow")
    assert rows[["step", "layer"]].to_numpy().tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert rows["s_vis"].tolist() == [5, 4, 2, 0]
    assert rows["s_txt"].tolist() == [3, 2, 8, 0]
    assert rows["delta"].tolist() == [4, 3, 2, 0]
    assert rows["omega"].tolist() == [2, 2, 0, 0]


def test_heads_have_one_row_per_step_layer_and_head(e):
    rows = e.to_pandas("heads", sample="mine")
    assert len(rows) == 8
    one = rows[(rows["step"] == 0) & (rows["layer"] == 1) & (rows["head"] == 1)].iloc[0]
    assert (one["s_vis"], one["s_txt"], one["delta"], one["omega"]) == (4, 1, 3, 2)
    assert (one["sample"], one["text_piece"], one["text_token"]) == ("mine", "prompt3", 3)


def test_cells_have_one_row_per_step_and_cell_with_the_raw_map(e):
    rows = e.to_pandas("cells")
    assert rows[["step", "image", "row", "col"]].to_numpy().tolist() == [
        [0, 0, 0, 0],
        [0, 0, 0, 1],
        [1, 0, 0, 0],
        [1, 0, 0, 1],
    ]
    # δ = 4, 0, 0, 3 at step 0: 4·(5 2) + 3·(4 0); δ = 0, 2, 0, 0 at step 1: 2·(1 2)
    assert rows["value"].tolist() == [32, 8, 2, 4]


def test_cells_of_several_images_follow_each_other():
    e = explanation_of(tensor_of([[[[1, 2, 3, 4, 0]]]]), layout_of(["image"] * 4 + ["prompt"], 1, 2))
    rows = e.to_pandas("cells")
    assert rows["image"].tolist() == [0, 0, 1, 1]
    assert rows["value"].tolist() == [4, 8, 12, 16]


def test_rows_follow_the_options(e):
    options = e.options(layers=1, heads=[(1, 1)])
    assert e.to_pandas("heads", options=options)[["step", "layer", "head"]].to_numpy().tolist() == [
        [0, 1, 1],
        [1, 1, 1],
    ]
    assert e.to_pandas("steps", options=options)["s_vis"].tolist() == [4, 0]
    assert e.to_pandas("flow", options=options)["layer"].tolist() == [1, 1]
    assert e.to_pandas("cells", options=options)["value"].tolist() == [12, 0, 0, 0]


def test_attention_and_lens_have_columns_where_they_were_asked_for():
    parts = full_parts(3)
    tensor, layout = random_parts(3)
    e = explanation_of(tensor, layout, **parts)
    mass = parts["attention"].astype(float)[..., layout.is_image].sum(-1)
    heads, flow, steps = (e.to_pandas(kind) for kind in ("heads", "flow", "steps"))
    np.testing.assert_allclose(heads["attention"], mass.ravel())
    np.testing.assert_allclose(flow["attention"], mass.mean(-1).ravel())
    np.testing.assert_allclose(steps["attention"], mass.mean((1, 2)))
    np.testing.assert_array_equal(flow["logit"], parts["lens"].logit.ravel())
    np.testing.assert_array_equal(steps["rank"], parts["lens"].rank[:, -1])
    np.testing.assert_array_equal(heads["rank"], np.repeat(parts["lens"].rank.ravel(), e.heads))
    plain = explanation_of(tensor, layout).to_pandas("heads")
    assert not {"attention", "logit", "rank"} & set(plain.columns)


@pytest.mark.parametrize("kind", ["steps", "flow", "heads", "cells"])
def test_every_keep_gives_the_same_rows(kind):
    full, visual, summary = (explanation_of(*random_parts(5), keep=keep) for keep in ("full", "visual", "summary"))
    rows = full.to_pandas(kind)
    for other in (visual, summary):
        found = other.to_pandas(kind)
        assert list(found.columns) == list(rows.columns)
        for name in rows.columns:
            if rows[name].dtype.kind == "f":
                np.testing.assert_allclose(found[name], rows[name], rtol=1e-6, atol=1e-6)
            else:
                assert found[name].tolist() == rows[name].tolist()


def test_an_unknown_table_names_the_known_ones(e):
    with pytest.raises(ValueError, match="kind='layers' is unknown; accepted: 'steps', 'flow', 'heads', 'cells'"):
        e.to_pandas("layers")


def test_a_text_that_is_empty_has_no_winner():
    e = explanation_of(tensor_of([[[[1, 2]]]]), layout_of(["image", "image"], 1, 2))
    rows = e.to_pandas("heads")
    assert rows["text_token"].tolist() == [-1]
    assert rows["text_piece"].isna().all()


def test_named_axes_carry_the_same_numbers():
    pytest.importorskip("xarray")
    e = explanation_of(*random_parts(3), **full_parts(3))
    found = e.to_xarray()
    np.testing.assert_array_equal(found["delta"].sel(layer=0, head=0), e.head_weights()[:, 0, 0])
    np.testing.assert_array_equal(found["image0"].sel(step=1), e.heatmap(1).values)
    np.testing.assert_array_equal(found["gradients"], e.gradients.values)
    assert found["word"].values.tolist() == ["a", "b", "c", "d"][: len(e.steps)]
    assert found["omega"].dims == ("step",)


def test_without_xarray_the_error_says_what_to_install(e, monkeypatch):
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(ValueError, match=r"pip install 'dexar-widgets\[xarray\]'"):
        e.to_xarray()
