"""What every metric keeps to, whichever there are; and what a score is."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from dexar_widgets import plugins
from dexar_widgets.metrics import Case, Curve, Effects, Score, Steps
from dexar_widgets.types import Grid, HeatMap

METRICS = {name: plugins.get("metrics", name) for name in plugins.names("metrics")}
GRID = Grid(2, 4, (0.0, 0.0, 8.0, 4.0), (8, 4))  # a cell is 2 × 2 pixels
LEVELS = np.linspace(0, 1, 5)
RAMP = np.arange(1.0, 9.0).reshape(2, 4)
LEFT = np.repeat([[True, True, False, False, False, False, False, False]], 4, 0)
BY_MAP = frozenset({"mask", "positive", "negative", "insertion", "effects", "randomised"})


def heat(values):
    return HeatMap(np.asarray(values, np.float32), GRID, "made", (0,))


def columns():
    """Four objects, each a column of cells."""
    return np.arange(4)[:, None, None] == np.tile(np.repeat(np.arange(4), 2), (4, 1))


def whole_case():
    """All that any metric needs, and a number from each."""
    return Case(
        heat(RAMP),
        LEFT,
        steps=Steps(np.array([0.1, 0.9, 0.2]), np.array([0.2, 1.5, 0.3]), np.array([False, True, False])),
        positive=Curve(LEVELS, np.array([1, 2, 2.5, 2.8, 3.0])),
        negative=Curve(LEVELS, np.array([1, 1.1, 1.3, 2, 3.0]), np.array([900, 700, 500, 300, 100])),
        insertion=Curve(LEVELS, np.array([3, 1.6, 1.3, 1.1, 1.0])),
        effects=Effects(columns(), np.array([0.1, 0.5, 0.4, 2.0])),
        randomised=(heat(RAMP[::-1]), heat(RAMP.T.reshape(2, 4))),
    )


def with_map(values):
    return lambda case: replace(case, heat=heat(values))


def with_part(part, **changes):
    return lambda case: replace(case, **{part: replace(getattr(case, part), **changes)})


def steps(values, content=(False, True, False)):
    values = np.array(values, float)
    return lambda case: replace(case, steps=Steps(values, values, np.array(content, bool)))


def nll(curve, *values):
    return with_part(curve, nll=np.array(values, float))


def nats(*values):
    return with_part("effects", nats=np.array(values, float))


ONE = np.eye(2, 4)
MAPS = [
    ("a map that is the same everywhere", BY_MAP, with_map(np.full((2, 4), 2.0)), "constant_map"),
    ("a map of zeros", BY_MAP, with_map(np.zeros((2, 4))), "zero_mass"),
    ("a NaN in the map", BY_MAP, with_map(np.where(ONE, np.nan, RAMP)), "nan_input"),
    ("infinity in the map", BY_MAP, with_map(np.where(ONE, np.inf, RAMP)), "nan_input"),
    ("less than nothing in the map", BY_MAP, with_map(np.where(ONE, -np.inf, RAMP)), "nan_input"),
    ("an empty mask", {"mask"}, lambda case: replace(case, mask=np.zeros_like(LEFT)), "empty_mask"),
    ("a mask of ignored pixels", {"mask"}, lambda case: replace(case, ignored=LEFT), "empty_mask"),
    ("a full mask", {"mask"}, lambda case: replace(case, mask=np.ones_like(LEFT)), "full_mask"),
    ("a mask of all that counts", {"mask"}, lambda case: replace(case, ignored=~LEFT), "full_mask"),
    ("nothing that counts", {"mask"}, lambda case: replace(case, ignored=np.ones_like(LEFT)), "empty_mask"),
]
STEPS = [
    ("no steps", {"steps"}, steps([], []), "too_few"),
    ("no content", {"steps"}, steps([1, 2, 3], [False] * 3), "empty_mask"),
    ("nothing but content", {"steps"}, steps([1, 2, 3], [True] * 3), "full_mask"),
    ("silent steps", {"steps"}, steps([0, 0, 0]), "zero_mass"),
    ("equal steps", {"steps"}, steps([1, 1, 1]), "constant_map"),
    ("a NaN step", {"steps"}, steps([1, 2, np.nan]), "nan_input"),
    ("an infinite step", {"steps"}, steps([1, 2, np.inf]), "nan_input"),
]
CURVES = [
    (f"{what} {curve} curve", {curve}, change, status)
    for curve in ("positive", "negative", "insertion")
    for what, change, status in (
        ("a NaN in the", nll(curve, 1, np.nan, 2, 3, 4), "nan_input"),
        ("no likelihood at all on the", nll(curve, 1, np.inf, 2, 3, 4), "overflow"),
        ("no image at the start of the", with_part(curve, fractions=np.linspace(0.1, 1, 5)), "missing"),
        ("no end of the", with_part(curve, fractions=np.linspace(0, 0.9, 5)), "missing"),
        ("no level on the", with_part(curve, fractions=np.zeros(0), nll=np.zeros(0), sizes=None), "missing"),
    )
]
OTHERS = [
    ("no sizes", {"sizes"}, with_part("negative", sizes=None), "missing"),
    ("two objects", {"effects"}, with_part("effects", masks=columns()[:2], nats=np.arange(2.0)), "too_few"),
    ("two that are seen", {"effects"}, lambda case: replace(case, ignored=columns()[:2].any(0)), "too_few"),
    ("a NaN effect", {"effects"}, nats(1, 2, 3, np.nan), "nan_input"),
    ("an infinite effect", {"effects"}, nats(1, 2, 3, np.inf), "overflow"),
    ("equal effects", {"effects"}, nats(1, 1, 1, 1), "bad_baseline"),
    ("a map of what speaks against it", {"effects"}, with_map(-RAMP), "zero_mass"),
    ("no randomised model", {"randomised"}, lambda case: replace(case, randomised=()), "missing"),
    *(
        (f"{what} after randomisation", {"randomised"}, lambda case, v=value: replace(case, randomised=(heat(v),)), why)
        for what, value, why in (
            ("NaN", RAMP * np.nan, "nan_input"),
            ("nothing", RAMP * 0, "zero_mass"),
            ("a flat map", RAMP * 0 + 1, "constant_map"),
        )
    ),
]
TABLE = [
    pytest.param(name, change, status, id=f"{name}: {what}")
    for what, needs, change, status in (*MAPS, *STEPS, *CURVES, *OTHERS)
    for name, metric in METRICS.items()
    if metric.NEEDS & needs
]


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_has_a_number_for_a_sound_case(name):
    score = METRICS[name].measure(whole_case())
    assert (score.name, score.status, score.higher_is_better) == (name, "ok", METRICS[name].HIGHER_IS_BETTER)
    assert all(np.isfinite(part) for part in score.parts.values())


@pytest.mark.parametrize(("name", "change", "status"), TABLE)
def test_what_cannot_be_judged_has_a_status_and_no_number(name, change, status):
    score = METRICS[name].measure(change(whole_case()))
    assert (score.status, dict(score.parts)) == (status, {})
    assert np.isnan(score.value)


@pytest.mark.parametrize(
    ("name", "need"), [(name, need) for name, metric in METRICS.items() for need in sorted(metric.NEEDS - {"sizes"})]
)
def test_a_case_that_lacks_a_need_is_missing_whatever_its_map(name, need):
    case = replace(whole_case(), **{need: None})
    assert METRICS[name].measure(case).status == "missing"
    assert METRICS[name].measure(with_map(RAMP * np.nan)(case)).status == "missing"


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_reads_its_needs_and_nothing_else(name):
    needs = METRICS[name].NEEDS | ({"heat"} if METRICS[name].NEEDS & BY_MAP else set())
    case = whole_case()
    bare = replace(case, **{part: None for part in vars(case) if part not in needs | {"heat"}})
    if "heat" not in needs:
        bare = with_map(RAMP * np.nan)(bare)
    assert repr(METRICS[name].measure(bare)) == repr(METRICS[name].measure(case))


def test_metrics_are_functions_of_numbers_and_load_no_torch():
    script = (
        "import sys; from dexar_widgets import plugins; [plugins.get('metrics', n) for n in plugins.names('metrics')]; "
        "print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_a_score_is_either_a_number_or_a_reason():
    with pytest.raises(ValueError, match="a number means ok"):
        Score("mine", 0.0, True, "zero_mass")
    with pytest.raises(ValueError, match="a number means ok"):
        Score("mine", float("nan"), True)
    with pytest.raises(ValueError, match="gave the status 'fine'"):
        Score("mine", 1.0, True, "fine")


@pytest.mark.parametrize(
    ("fractions", "values", "sizes"),
    [
        ([0, 1], [1, 2, 3], None),
        ([0, 1], [1, 2], [5]),
        ([0, 0.6, 0.5, 1], [1, 2, 3, 4], None),
        ([0, np.nan], [1, 2], None),
    ],
)
@pytest.mark.usefixtures("unchecked_shapes")
def test_a_curve_has_as_many_of_each_in_rising_order(fractions, values, sizes):
    with pytest.raises(ValueError, match="in rising order"):
        Curve(np.array(fractions, float), np.array(values, float), None if sizes is None else np.array(sizes))
