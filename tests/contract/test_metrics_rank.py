"""Metrics that read the model put a map of the masks above noise, and noise above the opposite, over 100 scenes.

Maps against masks keep that order on every single map (`tests/unit/test_metrics_masks.py`). Here a map may be unlucky,
so means are held to it, by the interval of the paired difference. Five steps a curve: the order is that of ten.
"""

import numpy as np
import pytest

from dexar_widgets.evaluation import curves, data, results
from dexar_widgets.evaluation.configuration import configuration_of, variants_of
from dexar_widgets.evaluation.readings import Reading, cases_of, meaning_of
from dexar_widgets.evaluation.runs import evaluate
from dexar_widgets.statistics import difference

pytestmark = pytest.mark.slow  # a minute and a half of one core

SCENES = 100
MAPS = ("oracle", "random", "inverted_oracle")
METRICS = ("perplexity_gap", "positive_perplexity", "negative_perplexity", "insertion", "deletion", "information_curve")
ABOVE = [("oracle", "random"), ("random", "inverted_oracle"), ("oracle", "inverted_oracle")]
READINGS = [
    *(Reading(name) for name in ("perplexity_gap", "positive_perplexity", "negative_perplexity", "insertion")),
    *(Reading("deletion", part) for part in ("clipped", "nll")),
    Reading("causal_agreement", view="word"),
]


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    folder, scenes = tmp_path_factory.mktemp("ranks"), data.open("lab", count=SCENES)
    configuration = configuration_of(
        scenes, ["lab/llava"], variants_of(MAPS, {}), [*METRICS, "causal_agreement"], levels=5
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(curves, "draws_of", lambda _: 1)  # a mean over scenes is one over orders of equal pixels, too
        evaluate(configuration, scenes, folder, workers=0)
    return results.read([folder]).scores


def better(scores, reading, first, second):
    """By how much, whether high or low numbers are good."""
    cases = cases_of(scores, reading).pivot(index=["sample", "target"], columns="variant", values="value")
    assert cases.notna().all(axis=None)
    scenes = np.unique(cases.index.get_level_values("sample"), return_inverse=True)[1]
    sign = meaning_of(reading.metric).sign
    return difference(*(sign * cases[name].to_numpy() for name in (first, second)), scenes)


@pytest.mark.parametrize("reading", READINGS, ids=lambda one: f"{one.metric} {one.part}".strip())
def test_the_oracle_is_above_noise_and_noise_above_the_opposite(scores, reading):
    for first, second in ABOVE:
        found = better(scores, reading, first, second)
        assert found.low > 0, (first, second, found)


def test_bytes_favour_compact_maps_and_the_oracle_is_above_both_all_the_same(scores):
    for other in MAPS[1:]:
        assert better(scores, Reading("information_curve"), "oracle", other).low > 0


def test_noise_has_no_gap(scores):
    gaps = cases_of(scores, Reading("perplexity_gap")).query("variant == 'random'")["value"]
    assert len(gaps) == SCENES
    assert abs(gaps.mean()) < 2 * gaps.sem()


def test_deletion_puts_the_oracle_and_noise_above_the_opposite(scores):
    for first in ("oracle", "random"):
        assert better(scores, Reading("deletion"), first, "inverted_oracle").low > 0


@pytest.mark.xfail(
    strict=True,
    reason="not clipped, few images whose perplexity half-way is many times the mean colour's outweigh the others: "
    "oracle less noise is -2.2 (-4.9 to -0.2) with five steps, -1.0 (-2.8 to 0.4) with ten; its parts are in order",
)
def test_deletion_puts_the_oracle_above_noise(scores):
    assert better(scores, Reading("deletion"), "oracle", "random").low > 0
