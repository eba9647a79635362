"""A run can be stopped anywhere, shared out in any way, and ends with the same tables."""

from collections import Counter
from typing import ClassVar

import numpy as np
import pytest

from dexar_widgets.evaluation import runs, worker
from dexar_widgets.evaluation.configuration import Configuration, Variant
from dexar_widgets.evaluation.runs import Shard, evaluate, plan, shard_of
from dexar_widgets.evaluation.samples import BrokenSampleError, Given, Sample, Target

BLACK = np.zeros((4, 4, 3), np.uint8)
DATA = Given(Sample(f"sample {number}", BLACK) for number in range(23))
VARIANTS = (Variant("dexar", "dexar"), Variant("one", "random"))
CONFIGURATION = Configuration({"lab/a": "1", "lab/b": "2"}, "given", DATA.settings, VARIANTS, ("pointing_game",))


class Fake:
    """A worker whose numbers depend on what they are of, and nothing else."""

    seen: ClassVar[Counter] = Counter()
    stop_at: tuple[str, str] | None = None
    loaded: ClassVar[list[str]] = []

    def __init__(self, configuration, dataset, model):
        self.configuration, self.model = configuration, model
        self.loaded.append(model)

    def records(self, id_):
        if (self.model, id_) == self.stop_at:
            raise KeyboardInterrupt
        self.seen[self.model, id_] += 1
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
            {"unit": self.configuration.unit(self.model, id_, variant.name), "model": self.model, "sample": id_,
             "variant": variant.name, "status": "ok", "scores": [score], "costs": {"forwards": 1}}
            for variant in self.configuration.variants
        ]  # fmt: skip


@pytest.fixture(autouse=True)
def fake(monkeypatch):
    monkeypatch.setattr(worker, "Worker", Fake)
    Fake.seen, Fake.stop_at, Fake.loaded = Counter(), None, []
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
    assert (found.samples, found.units, found.done, found.metric_forwards) == (23, 92, 20, 0)
    curves = Configuration({"lab/a": "1"}, "given", {}, VARIANTS, ("deletion", "negative_perplexity", "insertion"))
    # per sample: 3 shared, and of each of two methods 9 between the ends of each of three curves
    assert plan(curves, DATA).metric_forwards == 23 * (3 + 2 * 3 * 9)


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
