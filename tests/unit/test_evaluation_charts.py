"""What charts of curves show: the same samples for every line, and medians where the source has them."""

import numpy as np
import pandas as pd
import pytest

from dexar_widgets.evaluation import charts

LEVELS = [0.0, 0.5, 1.0]


def unit(sample, variant, positive, *, negative=None, sizes=None):
    told = {"model": "m", "data": "d", "status": "ok", "levels": LEVELS, "insertion": None}
    return told | {
        "facts": "{}",
        "sample": sample,
        "variant": variant,
        "positive": positive,
        "negative": negative,
        "sizes": sizes,
    }


def test_lines_are_of_the_samples_that_all_have():
    units = pd.DataFrame(
        [
            unit("a", "dexar", [1.0, 2.0, 4.0]),
            unit("b", "dexar", [1.0, 9.0, 9.0]),
            unit("a", "rise", [1.0, 3.0, 4.0]),
            unit("b", "rise", [1.0, float("nan"), 4.0]),
        ]
    )
    (chart,) = charts.curves(units, ["dexar"]).charts
    assert [line["y"] for line in chart.figure["data"]] == [[0.0, 1.0, 3.0], [0.0, 2.0, 3.0]]
    assert chart.caption.endswith("; n 1, the samples that all have")
    (apart,) = charts.curves(units.iloc[[1, 2]]).charts
    assert [line["name"] for line in apart.figure["data"]] == ["dexar, n 1", "rise, n 1"]


def test_what_is_regained_over_bytes_is_the_median_of_the_samples():
    # perplexities 1 on the image and 3 on the mean colour; half-way back with half, a quarter or all of the bytes
    half = [0.0, np.log(2), np.log(3)]
    units = pd.DataFrame(
        [
            unit(name, "dexar", None, negative=half, sizes=[100, size, 0])
            for name, size in zip("abc", (50, 25, 99), strict=True)
        ]
    )
    *_, chart = charts.curves(units).charts
    (line,) = chart.figure["data"]
    at = dict(zip(np.round(line["x"], 2), line["y"], strict=True))
    # at a quarter: .25 (of a), .5 (of b), .126 (of c); at three quarters: .75, 1 − .25 ÷ .75 ÷ 2 = .833, .379
    assert (at[0.25], at[0.5], at[0.75]) == (pytest.approx(0.25), pytest.approx(0.5), pytest.approx(0.75))
    assert line["name"].startswith("dexar 0.500 (")
