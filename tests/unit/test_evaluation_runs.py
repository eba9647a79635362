"""A run can be stopped anywhere, shared out in any way, and ends with the same tables."""

import os
from collections import Counter
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from dexar_widgets.evaluation import runs, worker
from dexar_widgets.evaluation.configuration import Configuration, Variant
from dexar_widgets.evaluation.records import told, unmeasured
from dexar_widgets.evaluation.results import read
from dexar_widgets.evaluation.runs import FailingRunError, Shard, evaluate, plan, shard_of
from dexar_widgets.evaluation.samples import BrokenSampleError, Given, Sample, Target

BLACK = np.zeros((4, 4, 3), np.uint8)
DATA = Given(Sample(f"sample {number}", BLACK) for number in range(23))
VARIANTS = (Variant("dexar", "dexar"), Variant("one", "random"))
CONFIGURATION = Configuration({"lab/a": "1", "lab/b": "2"}, "given", DATA.settings, VARIANTS, ("pointing_game",))


class Fake:
    """A worker whose numbers depend on what they are of, and nothing else; ``errors`` by sample or variant."""

    seen: ClassVar[Counter] = Counter()
    units: ClassVar[Counter] = Counter()
    errors: ClassVar[dict[str, Exception]] = {}
    stop_at: tuple[str, str] | None = None
    loaded: ClassVar[list[str]] = []

    def __init__(self, configuration, dataset, model):
        self.configuration, self.model = configuration, model
        self.loaded.append(model)

    def records(self, id_, variants):
        if (self.model, id_) == self.stop_at:
            raise KeyboardInterrupt
        self.seen[self.model, id_] += 1
        self.units.update((self.model, id_, name) for name in variants)
        value = sum(map(ord, self.model + id_)) / 7
        score = {
            "metric": "m",
            "view": "answer",
            "target": "",
            "value": value,
            "status": "ok",
            "chance": 0.1,
            "parts": "{}",
        }
        return [
            told(self.configuration, self.model, id_, variant) | {"scores": [score], "costs": {"forwards": 1}}
            if (error := self.errors.get(id_, self.errors.get(variant.name))) is None
            else unmeasured(self.configuration, self.model, id_, variant, error, "failed")
            for variant in self.configuration.variants if variant.name in variants
        ]  # fmt: skip


@pytest.fixture(autouse=True)
def fake(monkeypatch):
    monkeypatch.setattr(worker, "Worker", Fake)
    Fake.seen, Fake.units, Fake.errors, Fake.stop_at, Fake.loaded = Counter(), Counter(), {}, None, []
    return Fake


def contents(folder):
    return [(folder / f"{name}.parquet").read_bytes() for name in ("results", "units")]


def test_every_unit_is_measured_once_and_each_model_loaded_once(tmp_path, fake):
    told = []
    joined = evaluate(CONFIGURATION, DATA, tmp_path, workers=0, tell=lambda *of: told.append(of[:2]))
    assert joined.units == 23 * 2 * 2
    assert set(fake.seen.values()) == {1}
    assert fake.loaded == ["lab/a", "lab/b"]
    assert told == [(done, 46) for done in range(47)]
    evaluate(CONFIGURATION, DATA, tmp_path, workers=0)
    assert set(fake.seen.values()) == {1}
    assert fake.loaded == ["lab/a", "lab/b"]


def test_a_run_that_was_stopped_goes_on_and_ends_with_the_same_tables(tmp_path, fake, monkeypatch):
    evaluate(CONFIGURATION, DATA, tmp_path / "whole", workers=0)
    fake.seen.clear()
    monkeypatch.setattr(runs, "_PER_PART", 4)
    for stop in (("lab/a", "sample 9"), ("lab/a", "sample 20"), ("lab/b", "sample 3")):
        fake.stop_at = stop
        with pytest.raises(KeyboardInterrupt):
            evaluate(CONFIGURATION, DATA, tmp_path / "cut", workers=0)
    fake.stop_at = None
    evaluate(CONFIGURATION, DATA, tmp_path / "cut", workers=0)
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")
    assert set(fake.seen.values()) == {1}  # an interrupt that can be answered loses nothing


def test_shards_are_a_partition_and_end_with_the_same_tables(tmp_path):
    evaluate(CONFIGURATION, DATA, tmp_path / "whole", workers=0)
    for index in (2, 0, 1, 0):  # in any order, and one twice
        evaluate(CONFIGURATION, DATA, tmp_path / "shards", shard=Shard(index, 3), workers=0)
    assert contents(tmp_path / "shards") == contents(tmp_path / "whole")
    sizes = Counter(shard_of(f"sample {number}", 8) for number in range(8000))
    assert set(sizes) == set(range(8))
    assert max(sizes.values()) < 1150


def test_a_report_is_told_of_what_other_shards_have_not_tried(tmp_path):
    def notes():
        return read([tmp_path / "results"]).notes

    evaluate(CONFIGURATION, DATA, tmp_path / "results", limit=20, shard=Shard(0, 2), workers=0)
    there = sum(shard_of(f"sample {number}", 2) == 0 for number in range(20))
    assert notes() == (f"results: of 40 answers that were asked for, {40 - 2 * there} have not been tried.",)
    evaluate(CONFIGURATION, DATA, tmp_path / "results", limit=3, workers=0)
    assert "of 40 answers" in notes()[0]  # the most that any run was asked for
    evaluate(CONFIGURATION, DATA, tmp_path / "results", limit=20, shard=Shard(1, 2), workers=0)
    assert notes() == ()
    (tmp_path / "results" / "asked.txt").write_text("damaged")
    assert notes() == ()


def test_limit_takes_the_first_samples_and_a_later_run_the_rest(tmp_path, fake):
    evaluate(CONFIGURATION, DATA, tmp_path, limit=5, workers=0)
    assert {id_ for _, id_ in fake.seen} == {f"sample {number}" for number in range(5)}
    joined = evaluate(CONFIGURATION, DATA, tmp_path, workers=0)
    assert joined.units == 92
    assert set(fake.seen.values()) == {1}


def test_the_plan_tells_what_is_left(tmp_path):
    assert plan(CONFIGURATION, DATA, out=tmp_path).units == 92
    evaluate(CONFIGURATION, DATA, tmp_path, limit=5, workers=0)
    found = plan(CONFIGURATION, DATA, out=tmp_path)
    assert (found.samples, found.units, found.done, found.failed, found.metric_forwards) == (23, 92, 20, 0, 0)
    curves = Configuration({"lab/a": "1"}, "given", {}, VARIANTS, ("deletion", "negative_perplexity", "insertion"))
    # per sample: 3 shared, and of each of two methods 9 between the ends of each of three curves
    assert plan(curves, DATA).metric_forwards == 23 * (3 + 2 * 3 * 9)


LASTING = [
    ValueError("too long"),
    RuntimeError("NaN"),
    BrokenSampleError("no mask"),
    OSError("image file is truncated"),
]
PASSING = [MemoryError("The answer ran out of memory"), FileNotFoundError("No image at a.jpg"), OSError(5, "I/O error"),
           RuntimeError("CUDA error: an illegal memory access was encountered")]  # fmt: skip


@pytest.mark.parametrize("error", LASTING, ids=repr)
def test_what_would_fail_alike_is_done_unless_it_is_asked_for_again(tmp_path, fake, error):
    fake.errors = {"dexar": error}
    joined = evaluate(CONFIGURATION, DATA, tmp_path, limit=3, workers=0)
    assert (joined.units, joined.broken) == (12, 6)
    fake.units.clear()
    evaluate(CONFIGURATION, DATA, tmp_path, limit=3, workers=0)
    assert not fake.units
    found = plan(CONFIGURATION, DATA, limit=3, out=tmp_path)
    assert (found.units, found.done, found.failed, found.images) == (12, 12, 6, 0)
    found = plan(CONFIGURATION, DATA, limit=3, out=tmp_path, retry_failed=True)
    assert (found.units, found.done, found.failed, found.images) == (12, 6, 0, 6)
    fake.errors = {}
    assert evaluate(CONFIGURATION, DATA, tmp_path, limit=3, workers=0, retry_failed=True).broken == 0
    assert set(fake.units) == {(m, f"sample {n}", "dexar") for m in CONFIGURATION.models for n in range(3)}


@pytest.mark.parametrize("error", PASSING, ids=repr)
def test_what_was_lost_is_tried_again_alone_and_after_what_is_new(tmp_path, fake, error):
    caused = BrokenSampleError("it cannot be read")
    caused.__cause__ = error
    fake.errors = {"dexar": error, "sample 0": caused}
    assert evaluate(CONFIGURATION, DATA, tmp_path / "cut", limit=3, workers=0).broken == 8
    found = plan(CONFIGURATION, DATA, limit=3, out=tmp_path / "cut")
    assert (found.units, found.done, found.failed, found.images) == (12, 4, 0, 6)
    fake.units.clear()
    fake.errors = {}
    assert evaluate(CONFIGURATION, DATA, tmp_path / "cut", limit=5, workers=0).broken == 0
    both, one = ("dexar", "one"), ("dexar",)
    expected = [(3, both), (4, both), (0, both), (1, one), (2, one)]  # a model at a time
    assert list(fake.units) == [
        (model, f"sample {n}", name) for model in CONFIGURATION.models for n, names in expected for name in names
    ]
    evaluate(CONFIGURATION, DATA, tmp_path / "whole", limit=5, workers=0)
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


@pytest.mark.parametrize("error", [PASSING[0], PASSING[3], RuntimeError("no")], ids=repr)
def test_five_samples_in_a_row_without_anything_end_the_run(tmp_path, fake, error):
    fake.errors = {f"sample {number}": error for number in (1, 2, 3, 4, *range(6, 11))}
    with pytest.raises(
        FailingRunError, match=r"5 samples in a row .* sample 10 \(lab/a\): .* 35 samples were not tried"
    ):
        evaluate(CONFIGURATION, DATA, tmp_path, workers=0)
    units = pd.read_parquet(tmp_path / "units.parquet")
    assert len(units) == 11 * 2
    assert (units["status"] == "ok").sum() == 2 * 2
    fake.errors = {}
    assert evaluate(CONFIGURATION, DATA, tmp_path, workers=0, retry_failed=True).broken == 0


@pytest.mark.parametrize(
    "errors",
    [
        {f"sample {number}": ValueError("too long") for number in range(23)},  # of the sample: its own row
        {"dexar": MemoryError("no room")},  # the other method has its numbers
        {f"sample {number}": (MemoryError, KeyError)[number % 2]("no") for number in range(23)},
        {f"sample {number}": MemoryError("no room") for number in range(18, 23)},  # nothing is left to try
    ],
    ids=["said", "one method", "of two kinds", "the last"],
)
def test_other_failures_do_not_end_it(tmp_path, fake, errors):
    fake.errors = errors
    one = Configuration({"lab/a": "1"}, "given", DATA.settings, VARIANTS, ("pointing_game",))
    assert evaluate(one, DATA, tmp_path, workers=0).units == 46


class Deadly(Given):
    """Whoever reads this sample dies, as by a segmentation fault."""

    def load(self, id_):
        if id_ == "1":
            os._exit(139)
        return super().load(id_)


@pytest.mark.slow
def test_a_sample_that_kills_its_process_is_a_row_with_its_reason_and_tried_again(tmp_path):
    data = Deadly(Sample(str(number), BLACK) for number in range(3))  # real processes, and a real model
    one = Configuration({"lab/analytic": "made in code"}, "given", data.settings, (Variant("x", "random"),), ("iou",))
    joined = evaluate(one, data, tmp_path, workers=1)
    units = pd.read_parquet(joined.tables["units"]).set_index("sample")
    assert (joined.units, units.loc["1", "status"]) == (3, "lost")
    assert units.loc["1", "reason"].startswith("LostWorkerError: Every worker that measured it died.")
    assert not (units.drop("1")["status"] == "lost").any()
    assert plan(one, data, out=tmp_path).images == 1


@pytest.mark.parametrize(("text", "match"), [("3/3", "no shard 3/3"), ("a", "write i/N"), ("-1/2", "no shard -1/2")])
def test_a_shard_that_there_is_not_is_refused(text, match):
    with pytest.raises(ValueError, match=match):
        Shard.of(text)
    assert Shard.of("1/4") == Shard(1, 4)


def test_samples_that_contradict_themselves_are_broken():
    mask = np.ones((4, 4), bool)
    with pytest.raises(BrokenSampleError, match="Two targets of x are called 'cat'"):
        Sample("x", BLACK, targets=(Target("cat", mask), Target("cat", mask)))
    with pytest.raises(BrokenSampleError, match="1 targets and 2 images"):
        Sample("x", BLACK, targets=(Target("cat", mask),), without=(BLACK, BLACK))
    with pytest.raises(ValueError, match="Two samples have the id 'x'"):
        Given([Sample("x", BLACK), Sample("x", BLACK)])
