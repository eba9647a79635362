"""Results on disk: whole or not at all, each unit once, tables that depend on nothing but the configuration."""

import json
import math
import random
from dataclasses import replace

import pandas as pd
import pyarrow.parquet as pq
import pytest

from dexar_widgets.evaluation.configuration import Configuration, Variant, identity, variants_of
from dexar_widgets.evaluation.store import Store

CONFIGURATION = Configuration(
    {"lab/llava": "abc"}, "lab", {"count": 3}, (Variant("dexar", "dexar"), Variant("one", "random")), ("pointing_game",)
)


def record(sample, variant, *, value=0.5, status="ok", seconds=1.0):
    return {
        "unit": CONFIGURATION.unit("lab/llava", sample, variant),
        "model": "lab/llava",
        "data": "lab",
        "sample": sample,
        "variant": variant,
        "method": variant,
        "options": "{}",
        "status": status,
        "reason": "" if status == "ok" else "it is broken",
        "answer": "a cat",
        "facts": "{}",
        "ids": [1, 2],
        "positive": [0.1, math.inf],
        "scores": [
            {"metric": "pointing_game", "view": "answer", "target": "cat", "value": value, "status": "ok",
             "chance": math.nan, "parts": "{}"},
        ] if status == "ok" else [],
        "costs": {"seconds_own": seconds, "forwards": 3, "by": "torch"},
    }  # fmt: skip


RECORDS = [record(str(sample), variant) for sample in range(5) for variant in ("dexar", "one")]


def contents(folder):
    return {name: (folder / f"{name}.parquet").read_bytes() for name in ("results", "units")}


def test_tables_do_not_depend_on_order_parts_duplicates_or_time(tmp_path):
    first, other = Store(tmp_path / "first", CONFIGURATION), Store(tmp_path / "other", CONFIGURATION)
    first.add(RECORDS)
    shuffled = [*RECORDS, *RECORDS[2:7]]
    random.Random(3).shuffle(shuffled)
    for one in shuffled:
        other.add([one | {"costs": {"seconds_own": random.random(), "forwards": 3, "by": "other"}}])
    for store in (first, other):
        assert store.join().units == 10
    assert contents(tmp_path / "first") == contents(tmp_path / "other")
    table = pd.read_parquet(tmp_path / "first" / "results.parquet")
    assert len(table) == 10
    assert table["unit"].is_monotonic_increasing
    assert not {"seconds_own", "costs"} & set(table.columns)
    units = pd.read_parquet(tmp_path / "first" / "units.parquet")
    assert units["positive"][0].tolist() == [0.1, math.inf]
    costs = pd.read_parquet(tmp_path / "other" / "costs.parquet")
    assert len(costs) == 10
    assert set(costs["by"]) == {"other"}


def test_a_part_that_was_cut_short_is_as_if_it_were_not_there(tmp_path):
    store = Store(tmp_path, CONFIGURATION)
    store.add(RECORDS[:4])
    store.add(RECORDS[4:])
    first, second = Store.files(tmp_path)
    lost = set(pq.read_table(first).column("unit").to_pylist())
    first.write_bytes(first.read_bytes()[:200])
    (tmp_path / "parts" / ".x.parquet.1f.part").write_bytes(second.read_bytes()[:50])  # killed while it was written
    assert store.done() == {one["unit"] for one in RECORDS} - lost
    joined = store.join()
    assert joined.damaged == (first.name,)
    assert joined.units == 10 - len(lost)
    store.add([one for one in RECORDS if one["unit"] in lost])
    assert store.join().units == 10


def test_a_unit_that_failed_is_tried_again_and_a_result_wins(tmp_path):
    store = Store(tmp_path, CONFIGURATION)
    store.add([record("0", "dexar", status="broken"), record("1", "dexar")])
    assert store.done() == {record("1", "dexar")["unit"]}
    assert store.join().broken == 1
    table = pd.read_parquet(tmp_path / "results.parquet").set_index("sample")
    assert table.loc["0", "status"] == "broken"
    assert table.loc["0", "reason"] == "it is broken"
    store.add([record("0", "dexar")])
    store.add([record("0", "dexar", status="broken")])
    joined = store.join()
    assert (joined.units, joined.broken) == (2, 0)


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"levels": 5}, {"data_settings": {"count": 4}}, {"models": {"lab/llava": "abd"}}, {"batch_size": 2},
     {"metrics": ("iou",)}, {"variants": (Variant("dexar", "dexar", {"head_filter": "avg"}),)}, {"threads": 2}],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_another_configuration_is_refused_by_name(tmp_path, change):
    Store(tmp_path, CONFIGURATION).add(RECORDS)
    with pytest.raises(ValueError, match=f"other {next(iter(change))}"):
        Store(tmp_path, replace(CONFIGURATION, **change))
    assert Store(tmp_path, replace(CONFIGURATION)).done() == {one["unit"] for one in RECORDS}


def test_other_versions_are_another_configuration(tmp_path):
    Store(tmp_path, CONFIGURATION)
    path = tmp_path / "configuration.json"
    told = json.loads(path.read_text())
    assert told["versions"]["torch"]
    path.write_text(json.dumps(told | {"versions": told["versions"] | {"torch": "1"}}))
    with pytest.raises(ValueError, match="other versions"):
        Store(tmp_path, CONFIGURATION)
    path.write_text("{")
    with pytest.raises(ValueError, match="damaged"):
        Store(tmp_path, CONFIGURATION)


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="cannot be written to"):
        Store(tmp_path / "file", CONFIGURATION)


def test_a_full_disk_loses_nothing_already_written(tmp_path, monkeypatch):
    store = Store(tmp_path, CONFIGURATION)
    store.add(RECORDS[:4])

    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(OSError, match="No space left"):
        store.add(RECORDS[4:])
    monkeypatch.undo()
    assert len(store.done()) == 4
    assert [path.suffix for path in (tmp_path / "parts").iterdir()] == [".parquet"]


def test_the_same_unit_has_the_same_id_wherever_it_is_made():
    assert CONFIGURATION.unit("m", "s", "v") == replace(CONFIGURATION).unit("m", "s", "v")
    ids = {CONFIGURATION.unit(*of) for of in (("m", "s", "v"), ("m", "s", "w"), ("m", "t", "v"), ("n", "s", "v"))}
    ids.add(replace(CONFIGURATION, seed=1).unit("m", "s", "v"))
    assert len(ids) == 5


def test_a_model_is_what_its_weights_are(tmp_path):
    assert identity("lab/llava") != identity("lab/paligemma")
    assert identity("lab/analytic") == "made in code"
    assert identity("some/model", "abc") == "some/model@abc"
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes((8).to_bytes(8, "little") + b"{      }" + b"\0" * 50)
    assert identity(str(tmp_path / "a")) == identity(str(tmp_path / "b"))
    (tmp_path / "b" / "model.safetensors").write_bytes((8).to_bytes(8, "little") + b"{      }" + b"\1" * 50)
    assert identity(str(tmp_path / "a")) != identity(str(tmp_path / "b"))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"levels": 1}, "levels is 1"),
        ({"fill": "pink"}, "fill is 'pink'; expected one of imagenet"),
        ({"models": {}}, "needs a model"),
        ({"metrics": ("beauty",)}, "No metric named 'beauty'"),
        ({"variants": (Variant("x", "dexar"), Variant("x", "random"))}, "Two methods are called 'x'"),
        ({"variants": (Variant("x", "dexar", {"depth": 1}),)}, "dexar has no option 'depth'"),
    ],
)
def test_a_configuration_that_means_nothing_is_refused(change, match):
    with pytest.raises(ValueError, match=match):
        replace(CONFIGURATION, **change)


def test_options_of_a_method_that_is_not_measured_are_refused():
    with pytest.raises(ValueError, match="given for 'rise', which is not measured"):
        variants_of(["dexar"], {"rise": {"n_masks": 3}})
