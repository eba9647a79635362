"""Sub-words and repeats: what a right, a wrong and a blind map, or weight, is told to be."""

import numpy as np
import pandas as pd
import pytest
import torch

import dexar_widgets as dx
from dexar_widgets.lab.trust import repeats, words
from dexar_widgets.statistics import wilson


@pytest.fixture(scope="module")
def vlm():
    torch.set_num_threads(1)
    return dx.load()


def pieces(word, first, second, weights, *, scene=0, own=0.5):
    common = {"scene": scene, "object": 0, "word": word, "role": "class", "method": "dexar", "probability": 1.0}
    common |= {
        "weight_avg": np.nan,
        "reclassed": 2.5,
        "mass": 1.0,
        "area": 0.1,
        "oracle": 0.6,
        "own": own,
        "empty": False,
    }
    return [common | {"piece": piece, "weight": weight} for piece, weight in zip((first, second), weights, strict=True)]


def test_a_second_piece_that_follows_should_be_dark_and_one_that_does_not_should_be_lit():
    rows = [*pieces("suitcase", " suit", "case", (2.0, 0.1)), *pieces("football", " foot", "ball", (1.0, 3.0))]
    found = words.subwords(pd.DataFrame(rows))
    assert found["verdict"].tolist() == ["measured", "measured", "as expected", "as expected", "as expected"]
    assert found["value"].tolist() == pytest.approx([2.5, 2.5, 0.05, 1.0, 0.8])
    rows = [*pieces("suitcase", " suit", "case", (2.0, 2.0)), *pieces("football", " foot", "ball", (1.0, 0.0), own=0.2)]
    assert words.subwords(pd.DataFrame(rows))["verdict"].tolist() == ["measured"] * 2 + ["finding"] * 3
    unsaid = pd.DataFrame(rows).assign(probability=0.4)
    assert set(words.subwords(unsaid)["verdict"]) == {"not measured"}


def test_two_words_of_a_scene_are_as_sure_as_one():
    rows = [
        row | {"object": thing, "scene": scene}
        for scene in (0, 1)
        for thing in (0, 1)
        for row in pieces("football", " foot", "ball", (1.0, 3.0))
    ]
    found = words.subwords(pd.DataFrame(rows))
    (row,) = found[found["what"] == "ball, print: weight above 0"].to_dict("records")
    assert (row["value"], row["n"]) == (1.0, 4)
    assert row["low"] == pytest.approx(wilson(2, 2)[0])


def test_repeats_are_told_apart_by_a_right_map_and_not_by_a_blind_one(vlm):
    shown = [repeats.scene_with_repeat(seed) for seed in (2, 3)]
    for one, kind in zip(shown, ("name", "colour"), strict=True):
        first, second = one.spec.objects[:2]
        assert getattr(first, kind) == getattr(second, kind)
        assert (first.name, first.colour) != (second.name, second.colour)
    rows = pd.concat([repeats.observe_repeats(vlm, one, ["uniform", "tam"], number=i) for i, one in enumerate(shown)])
    found = repeats.repeats(rows.assign(said=1.0))
    own = found[found["what"].str.startswith("own object")].groupby("method")["value"].mean()
    assert (own["oracle"], own["uniform"], own["inverted oracle"]) == (1.0, 0.5, 0.0)
    alike = found[found["what"].str.startswith("correlation") & (found["method"] == repeats.RAW)]
    assert alike["value"].tolist() == pytest.approx([1.0, 1.0], abs=1e-12)
    alike = repeats.repeats(rows.assign(said=rows["occurrence"] == 0))  # of one word there is no pair
    assert set(alike[alike["what"].str.startswith("correlation")]["verdict"]) == {"not measured"}
