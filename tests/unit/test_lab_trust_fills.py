"""T13: nats lost by filling an object beside those lost by its removal."""

import numpy as np
import pandas as pd
import pytest

import dexar_widgets as dx
from dexar_widgets.lab.trust.fills import FILLS, fills, observe_fills
from dexar_widgets.perturb import hide


def row_of(table, what, how):
    (row,) = table[table["what"].str.startswith(what) & (table["method"] == how)].to_dict("records")
    return row


def test_agreement_is_by_scene_and_false_effects_are_counted():
    seen = pd.DataFrame(
        {
            "scene": [1, 1, 1, 2, 2, 2, 3, 3],
            "removed": [5.0, 2.0, 0.01, 4.0, 0.0, -0.02, 0.0, 0.0],
            "mean": [9.0, 8.0, 7.0, 1.0, 2.0, 3.0, 0.5, 0.0],  # the same order; the opposite; no order to compare
            "blur": [5.0, 2.0, 0.0, 4.0, 0.0, 0.0, 0.0, 0.0],
        }
    )
    found = fills(seen)
    assert list(found["method"]) == [how for how in FILLS for _ in range(2)]
    agreement = row_of(found, "rank correlation", "mean")
    assert agreement["value"] == pytest.approx(0, abs=1e-9)  # (1 − 1) ÷ 2
    assert agreement["n"] == 2
    assert "1 of 3 scenes have no rank" in agreement["note"]
    # removal changes at most .05 in five cases; in three of them the mean takes a nat
    assert row_of(found, "1 nat lost", "mean")["value"] == pytest.approx(3 / 5)
    assert row_of(found, "1 nat lost", "blur")["value"] == 0
    assert set(found["test"]) == {"T13"}


@pytest.mark.slow
def test_what_is_filled_is_the_visible_object():
    vlm, scene = dx.load(), dx.lab.scene(3_290_000, objects=2, prompt="Describe the image.")
    seen = observe_fills(vlm, scene, [], number=7)
    assert set(seen["scene"]) == {7}
    assert len(seen) == 2 * len(seen["step"].unique())
    e = dx.explain(vlm, scene.image, scene.prompt, answer=scene.caption, keep="summary")
    for how in FILLS:
        image = hide(scene.image, scene.visible[1], how=how)
        other = dx.explain(vlm, image, scene.prompt, answer=scene.caption, keep="summary")
        lost = np.asarray(e.generation.log_probs) - np.asarray(other.generation.log_probs)
        one = seen[seen["object"] == 1].set_index("step")[how]
        assert one.to_numpy() == pytest.approx(lost[one.index], abs=2e-3)
