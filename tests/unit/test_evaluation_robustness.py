"""What token metrics do under corruption, on tables whose verdict is known."""

import numpy as np
import pytest

from dexar_widgets.evaluation import results
from dexar_widgets.evaluation.report import references_of
from dexar_widgets.evaluation.robustness import robustness, under_corruption
from tests.unit.evaluated import score, write

pytestmark = pytest.mark.slow

COUNT = 12
AROUND = np.tile([-0.02, 0.02], COUNT // 2)
LIKELY, UNLIKELY = [np.log(0.9)] * 3, [np.log(0.1)] * 3


def corrupted(folder, name, severity, level, *, likely=True, filters=None, count=COUNT):
    """A folder of the lab's scenes under one corruption, or as they are where the severity is 0."""
    end = f"/{name}-{severity}" if severity else ""
    levels = {("dexar", "{}"): level} | {
        (f"dexar {one}", f'{{"filler_filter": {one!r}}}'.replace("'", '"')): value
        for one, value in (filters or {}).items()
    }
    rows = [
        score(f"{sample}{end}", variant, value + AROUND[sample], metric="token_auroc", target="", chance=0.5,
              data=f"lab{end}", options=options)
        for (variant, options), value in levels.items() for sample in range(count)
    ]  # fmt: skip
    settings = {"count": COUNT}
    if severity:
        settings = {"corruption": name, "severity": severity, "seed": 0, "of": {"name": "lab", **settings}}
    units = {"log_probs": LIKELY if likely else UNLIKELY}
    return write(folder / f"{name}{severity}", *rows, units=units, data_settings=settings)


def found(*folders):
    read = results.read(folders)
    return under_corruption(read, references_of(read))


def test_a_metric_that_falls_with_severity_holds(tmp_path):
    levels = {("fog", 1): 0.8, ("fog", 3): 0.7, ("noise", 1): 0.85, ("noise", 3): 0.6}
    folders = [corrupted(tmp_path, *key, level) for key, level in levels.items()]
    (one,) = found(corrupted(tmp_path, "", 0, 0.9), *folders)
    assert (one.model, one.data, one.metric, one.falls) == ("lab/llava", "lab", "token_auroc", True)
    assert {key: level.value for key, level in one.levels.items()} == pytest.approx({("", 0): 0.9} | levels)
    assert [level.value for level in one.average.values()] == pytest.approx([0.9, 0.825, 0.65])
    assert {step: rise.value for step, rise in one.rises.items()} == pytest.approx({(0, 1): -0.075, (1, 3): -0.175})
    assert (one.average[0].n, one.average[1].n) == (2 * COUNT, 2 * COUNT)  # as it is, it stands beside each corruption
    text = " ".join(robustness([one]).sentences)
    assert (
        "Token AUROC ↑ by severity: 0.900 (0), 0.825 (1), 0.650 (3); it rises at no step that could be shown." in text
    )


def test_a_rise_is_told_and_few_samples_are_not_judged(tmp_path):
    (one,) = found(corrupted(tmp_path / "a", "", 0, 0.6), corrupted(tmp_path / "a", "fog", 5, 0.7))
    assert one.falls is False
    assert "it rises from 0 to 5 (+0.100)" in " ".join(robustness([one]).sentences)
    few = [corrupted(tmp_path / "b", name, severity, 0.6, count=4) for name, severity in (("", 0), ("fog", 5))]
    assert found(*few)[0].falls is None


def test_samples_whose_answer_is_no_longer_likely_stand_apart(tmp_path):
    (one,) = found(corrupted(tmp_path, "", 0, 0.6), corrupted(tmp_path, "fog", 5, 0.5, likely=False))
    assert set(one.levels) == {("", 0), ("fog", 5)}
    assert set(one.likely) == {("", 0)}


def test_filters_are_in_order_where_max_is_first_and_avg_last(tmp_path):
    right, wrong = {0.1: 0.55, 0.5: 0.58, "avg": 0.5}, {0.1: 0.65, 0.5: 0.58, "avg": 0.5}
    folders = [corrupted(tmp_path, name, 5, 0.6, filters=filters) for name, filters in (("fog", right), ("a", wrong))]
    (one,) = found(*folders)
    assert one.ordered == ["fog"]
    assert list(one.filters["fog"]) == ["max", "0.1", "0.5", "avg"]
    text = " ".join(robustness([one]).sentences)
    assert "in the paper's order under 1 of 2 corruptions, fewer than asked" in text


def test_what_was_measured_on_the_plain_images_alone_is_not_judged(tmp_path):
    plain = corrupted(tmp_path, "", 0, 0.9)
    other = [score(f"{sample}/fog-1", "dexar", 0.5, metric="iou", data="lab/fog-1") for sample in range(COUNT)]
    of = {"corruption": "fog", "severity": 1, "seed": 0, "of": {"name": "lab", "count": COUNT}}
    assert found(plain, write(tmp_path / "fog", *other, units={"log_probs": LIKELY}, data_settings=of)) == []


def test_without_corruption_there_is_no_chapter(tmp_path):
    assert robustness(found(corrupted(tmp_path, "", 0, 0.6))) is None
