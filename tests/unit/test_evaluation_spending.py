"""What images took by stage, and what is left by that: by hand."""

from pathlib import Path

import pandas as pd
import pytest

from dexar_widgets.evaluation.configuration import Configuration, Variant
from dexar_widgets.evaluation.engines import Task
from dexar_widgets.evaluation.samples import Given, Sample
from dexar_widgets.evaluation.spending import STAGES, estimated, spent
from tests.unit.evaluated import COSTS

DATA = Given([Sample(name, Path("nowhere.png")) for name in "abcdef"])
CONFIGURATION = Configuration(
    {"lab/a": "1", "lab/b": "2"}, "given", {}, (Variant("dexar", "dexar"),), ("randomisation",), randomised=3
)


def unit(sample, model="lab/a", **took):
    nothing = {f"seconds_{stage}": 0.0 for stage in STAGES if stage != "rest"}
    return {"model": model, "sample": sample, "forwards_randomised": 0} | nothing | took


def costs(*rows):
    return pd.DataFrame(rows)


TWO_UNITS = (
    unit("a", seconds_answer=1, seconds_shared=2, seconds_own=3, seconds_curves=4, seconds_randomised=8,
         seconds_sample=30, forwards_sample=50, forwards_randomised=20),
    unit("a", seconds_answer=1, seconds_own=0.5, seconds_curves=4, seconds_metrics=0.5, seconds_sample=30,
         forwards_sample=50),
)  # fmt: skip


def test_what_a_samples_units_share_counts_once_and_the_rest_is_what_no_stage_tells():
    one = spent(costs(*TWO_UNITS, unit("b", seconds_own=10, seconds_sample=10, forwards_sample=10)))["lab/a"]
    assert (one.images, one.seconds, one.forwards) == (2, 20, 30)
    assert one.stages == pytest.approx(
        {"answer": 0.5, "shared": 1, "own": 6.75, "curves": 4, "effects": 0, "randomised": 4, "metrics": 0.25,
         "rest": (30 - 1 - 2 - 3.5 - 8 - 8 - 0.5) / 2}
    )  # fmt: skip


def test_models_are_apart_and_older_results_tell_nothing():
    found = spent(costs(*TWO_UNITS, unit("a", "lab/b", seconds_sample=3, forwards_sample=1)))
    assert {model: one.seconds for model, one in found.items()} == {"lab/a": 30, "lab/b": 3}
    assert spent(costs(COSTS | {"model": "lab/a", "sample": "a"})) == {}


def left(tasks, measured=None):
    return estimated(CONFIGURATION, DATA, [Task(*of, ("dexar",)) for of in tasks], measured, probe=0)


def test_what_is_left_is_told_by_images_of_its_model_and_the_check_where_it_is_due():
    seen = costs(*TWO_UNITS, unit("d", seconds_sample=10, forwards_sample=10))
    plain, check = (30 - 8 + 10) / 2, 8
    found = left([("lab/a", "e"), ("lab/a", "f")], seen)
    assert (found.seconds, found.forwards, found.measured, found.probed) == (2 * plain, 2 * 20, 2, 0)
    found = left([("lab/a", "b"), ("lab/a", "f")], seen)  # the check looks at a, b and c
    assert (found.seconds, found.forwards) == (2 * plain + check, 2 * 20 + 20)
    assert not found.unchecked


def test_without_an_image_of_a_model_nothing_is_told_of_the_time():
    seen = costs(*TWO_UNITS)
    found = left([("lab/a", "b"), ("lab/b", "b")], seen)
    assert (found.seconds, found.forwards, found.unknown, found.measured) == (None, None, ("lab/b",), 1)
    assert left([("lab/a", "b")]).unknown == ("lab/a",)
    assert left([]).seconds == 0


def test_a_check_that_no_measured_image_had_is_told_of():
    seen = costs(unit("d", seconds_sample=10, forwards_sample=10))
    assert left([("lab/a", "b"), ("lab/a", "e")], seen).unchecked
    assert not left([("lab/a", "e")], seen).unchecked
