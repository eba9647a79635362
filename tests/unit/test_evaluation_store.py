"""Results on disk: whole or not at all, each unit once, tables that depend on nothing but the configuration."""

import json
import math
import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pyarrow.parquet as pq
import pytest

from dexar_widgets.evaluation import configuration, results
from dexar_widgets.evaluation.configuration import Configuration, Variant, identity, variants_of
from dexar_widgets.evaluation.samples import Given
from dexar_widgets.evaluation.store import Store
from dexar_widgets.files import write_first
from dexar_widgets.metrics import mse

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
    assert store.states().keys() == {one["unit"] for one in RECORDS} - lost
    joined = store.join()
    assert joined.damaged == (first.name,)
    assert joined.units == 10 - len(lost)
    store.add([one for one in RECORDS if one["unit"] in lost])
    assert store.join().units == 10


def test_a_result_wins_over_a_reason_a_lasting_reason_over_a_passing_one_and_the_last_over_the_first(tmp_path):
    store = Store(tmp_path, CONFIGURATION)
    unit = record("0", "dexar")["unit"]

    def after(status, reason="it is broken", **more):
        store.add([record("0", "dexar", status=status, **more) | {"reason": reason}])
        joined = store.join()
        (row,) = pd.read_parquet(tmp_path / "results.parquet").to_dict("records")
        assert (joined.units, joined.broken) == (1, int(row["status"] != "ok"))
        assert len(pd.read_parquet(tmp_path / "costs.parquet")) == 1
        return store.states()[unit], row["status"], row["reason"]

    assert after("lost", "no memory") == ("lost", "lost", "no memory")
    assert after("failed", "NaN") == ("failed", "failed", "NaN")
    assert after("lost", "no memory") == ("failed", "failed", "NaN")
    assert after("broken", "cut short") == ("broken", "broken", "cut short")
    assert after("ok", "") == ("ok", "ok", "")
    assert after("failed") == ("ok", "ok", "")
    store.add([record("1", "one", status="broken"), record("1", "dexar")])
    table = pd.read_parquet(store.join().tables["results"]).set_index(["sample", "variant"])
    assert table["status"].to_dict() == {("0", "dexar"): "ok", ("1", "one"): "broken", ("1", "dexar"): "ok"}
    assert math.isnan(table.loc[("1", "one"), "value"])
    assert pd.isna(table.loc[("1", "one"), "metric"])


def test_a_folder_without_parts_has_tables_without_rows(tmp_path):
    store = Store(tmp_path, CONFIGURATION)
    assert store.states() == {}
    assert len(store.costs()) == 0
    assert store.join().units == 0
    assert "value" in pd.read_parquet(tmp_path / "results.parquet").columns


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"levels": 5}, {"data_settings": {"count": 4}}, {"models": {"lab/llava": "abd"}}, {"batch_size": 2},
     {"upsampling": "nearest"},
     {"metrics": ("iou",)}, {"variants": (Variant("dexar", "dexar", {"head_filter": "avg"}),)}, {"threads": 2}],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_another_configuration_is_refused_by_name(tmp_path, change):
    Store(tmp_path, CONFIGURATION).add(RECORDS)
    with pytest.raises(ValueError, match=f"other {next(iter(change))}"):
        Store(tmp_path, replace(CONFIGURATION, **change))
    assert Store(tmp_path, replace(CONFIGURATION)).states().keys() == {one["unit"] for one in RECORDS}


def test_of_many_configurations_at_once_one_gets_the_folder(tmp_path, monkeypatch):
    first = replace(CONFIGURATION, seed=1)

    def late(path, content):  # another process was faster, between the look and the write
        monkeypatch.undo()
        Store(tmp_path, first)
        return write_first(path, content)

    monkeypatch.setattr("dexar_widgets.evaluation.store.write_first", late)
    with pytest.raises(ValueError, match="other seed"):
        Store(tmp_path, CONFIGURATION)
    assert json.loads((tmp_path / "configuration.json").read_text()) == first.told


def test_a_file_is_written_first_by_one_of_many_with_and_without_hard_links(tmp_path, monkeypatch):
    for name in ("with", "without"):
        with ThreadPoolExecutor(8) as pool:
            done = list(pool.map(lambda n: write_first(tmp_path / name, b"%d" % n), range(8)))  # noqa: B023
        assert done.count(True) == 1 and (tmp_path / name).read_bytes() == b"%d" % done.index(True)
        monkeypatch.setattr("os.link", lambda *_: (_ for _ in ()).throw(OSError(95, "not supported")))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["with", "without"]


def test_parts_of_another_configuration_are_left_out_and_told(tmp_path):
    store, other = Store(tmp_path / "ours", CONFIGURATION), replace(CONFIGURATION, seed=1)
    store.add(RECORDS[:4])
    before = store.join()
    theirs = Store(tmp_path / "theirs", other)
    theirs.add([one | {"unit": other.unit(one["model"], one["sample"], one["variant"])} for one in RECORDS])
    (part,) = Store.files(tmp_path / "theirs")
    shutil.copy(part, tmp_path / "ours" / "parts")
    assert len(store.states()) == 4
    after = store.join()
    assert (after.units, after.foreign, after.damaged) == (before.units, (part.name,), ())
    assert (before.foreign, len(store.costs())) == ((), 4)


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


@pytest.mark.parametrize("error", [OSError(28, "x"), OSError("Error writing bytes. Detail: [errno 28] No space")])
def test_a_full_disk_loses_nothing_already_written_and_is_told_by_the_files_name(tmp_path, monkeypatch, error):
    store = Store(tmp_path, CONFIGURATION)
    store.add(RECORDS[:4])
    real = pq.write_table

    def full(table, _place, **options):
        if Path("/dev/full").exists():
            real(table, "/dev/full", **options)
        raise error  # as pyarrow's is

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(OSError, match="No space left") as raised:
        store.add(RECORDS[4:])
    assert raised.value.errno == 28 and raised.value.filename.endswith(".parquet")
    monkeypatch.undo()
    assert len(store.states()) == 4
    assert [path.suffix for path in (tmp_path / "parts").iterdir()] == [".parquet"]


def test_folders_from_before_maps_could_be_nearest_are_those_of_bilinear_ones(tmp_path):
    old = Store(tmp_path, CONFIGURATION)
    old.add(RECORDS)
    old.join()
    path = tmp_path / "configuration.json"
    told = json.loads(path.read_text())
    assert told.pop("upsampling") == "bilinear"
    path.write_text(json.dumps(told))
    assert CONFIGURATION.fingerprint == configuration._hash(told)  # as it was made then
    assert Store(tmp_path, replace(CONFIGURATION)).states().keys() == {one["unit"] for one in RECORDS}
    with pytest.raises(ValueError, match="other upsampling"):
        Store(tmp_path, replace(CONFIGURATION, upsampling="nearest"))
    (read,) = results.read([tmp_path]).told.values()
    assert read[0] == CONFIGURATION.told


@pytest.mark.parametrize("change", [{"blur": math.inf}, {"blur": math.nan}, {"levels": 1}, {"threads": 0}])
def test_settings_that_mean_nothing_are_refused(change):
    with pytest.raises(ValueError, match=f"{next(iter(change))} is .*; expected at least"):
        replace(CONFIGURATION, **change)


def test_the_same_unit_has_the_same_id_wherever_it_is_made():
    assert CONFIGURATION.unit("m", "s", "v") == replace(CONFIGURATION).unit("m", "s", "v")
    ids = {CONFIGURATION.unit(*of) for of in (("m", "s", "v"), ("m", "s", "w"), ("m", "t", "v"), ("n", "s", "v"))}
    ids.add(replace(CONFIGURATION, seed=1).unit("m", "s", "v"))
    assert len(ids) == 5


def test_the_kind_of_a_device_counts_and_not_its_number(tmp_path):
    one = replace(CONFIGURATION, device="cuda:1")
    assert one.fingerprint == replace(CONFIGURATION, device="cuda").fingerprint
    Store(tmp_path, one)
    with pytest.raises(ValueError, match="other device"):
        Store(tmp_path, replace(CONFIGURATION, device="cpu"))


@pytest.mark.parametrize(
    ("models", "cuda", "asked", "device"),
    [
        (["lab/analytic"], True, None, "cpu"), (["lab/analytic", "some/model"], True, None, "cuda"),
        (["some/model"], False, None, "cpu"), (["some/model"], False, "cuda:1", "cuda:1"),
    ],
)  # fmt: skip
def test_a_configuration_says_where_it_runs(monkeypatch, models, cuda, asked, device):
    monkeypatch.setattr("torch.cuda.is_available", lambda: cuda)
    monkeypatch.setattr(configuration, "_commit", lambda name, revision: f"{revision} of {name}")
    found = configuration.configuration_of(Given([]), models, CONFIGURATION.variants, ("iou",), device=asked)
    assert found.device == device
    assert found.told["device"] == device.partition(":")[0]
    assert found.models == {model: {"some/model": "some/model@main of some/model"}.get(model, "made in code")
                            for model in models}  # fmt: skip
    assert [found.commit(model) for model in models] == [
        {"some/model": "main of some/model"}.get(model) for model in models
    ]


def test_a_third_partys_code_is_part_of_the_configuration(tmp_path, monkeypatch):
    own = Path(mse.__file__).read_text()
    (tmp_path / "others_metric.py").write_text(own)
    monkeypatch.syspath_prepend(tmp_path)
    points = [EntryPoint("theirs", "others_metric", "dexar_widgets.metrics")]
    points += [EntryPoint("absent", "not_there", "dexar_widgets.families")]
    monkeypatch.setattr("dexar_widgets.plugins.entry_points", EntryPoints(points).select)
    with_it, without = replace(CONFIGURATION, metrics=("theirs",)), replace(CONFIGURATION, metrics=("mse",))
    assert set(with_it.told["versions"]) - set(without.told["versions"]) == {"metrics/theirs"}
    Store(tmp_path / "results", with_it)
    Store(tmp_path / "results", replace(with_it))
    (tmp_path / "others_metric.py").write_text(own + "\n")
    with pytest.raises(ValueError, match="other versions"):
        Store(tmp_path / "results", replace(with_it))


def folder_of(place, weights):
    """A model's folder, as complete as it must be to be told apart."""
    place.mkdir()
    for name in ("config.json", "processor_config.json", "tokenizer.json"):
        (place / name).write_text("{}")
    (place / "model.safetensors").write_bytes(weights)
    return str(place)


def test_a_model_is_what_its_weights_are(tmp_path):
    assert identity("lab/llava") != identity("lab/paligemma")
    assert identity("lab/analytic") == "made in code"
    with pytest.raises(ValueError, match="no embedded model 'lab/nothing'"):
        identity("lab/nothing")
    one = folder_of(tmp_path / "a", bytes(5000))
    assert identity(one) == identity(folder_of(tmp_path / "b", bytes(5000)))
    assert identity(one) != identity(folder_of(tmp_path / "c", bytes(4999) + b"1"))  # the last byte
    (tmp_path / "b" / "README.md").write_text("trained on Monday")
    assert identity(one) == identity(str(tmp_path / "b"))
    (tmp_path / "b" / "config.json").write_text("{ }")
    assert identity(one) != identity(str(tmp_path / "b"))


def test_of_a_large_file_evenly_spread_slices_are_seen(tmp_path):
    size = 512 * 2**20  # sparse: 512 slices of 64 KiB, one in each MiB
    found = {identity(folder_of(tmp_path / "zeros", b""))}
    for name, place in (("begin", 3), ("middle", 200 * 2**20 + 2**16 - 1), ("end", size - 2**20), ("none", 2**20 - 1)):
        folder = folder_of(tmp_path / name, b"")
        with (tmp_path / name / "model.safetensors").open("r+b") as file:
            file.truncate(size)
            file.seek(place)
            file.write(b"1")
        found.add(identity(folder))
    assert len(found) == 5  # "none" lies between two slices: as if it were not there, but for the size


def test_a_model_of_the_hub_is_its_commit(tmp_path, monkeypatch):
    commit = "c" * 40
    place = tmp_path / "models--some--model"
    (place / "snapshots" / commit).mkdir(parents=True)
    (place / "snapshots" / commit / "config.json").write_text("{}")
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.file_download.constants.HF_HUB_CACHE", str(tmp_path))

    def nobody():
        raise AssertionError("the cache has it")

    monkeypatch.setattr(configuration, "hub_is_reachable", nobody)
    assert identity("some/model") == identity("some/model", commit) == f"some/model@{commit}"
    monkeypatch.setattr(configuration, "hub_is_reachable", lambda: False)
    assert identity("other/model") == "other/model@main"
    monkeypatch.setattr(configuration, "hub_is_reachable", lambda: True)
    monkeypatch.setattr("huggingface_hub.model_info", lambda name, revision: SimpleNamespace(sha=f"{revision} now"))
    assert identity("other/model") == "other/model@main now"


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"levels": 1}, "levels is 1"),
        ({"blur": -1}, "blur is -1"),
        ({"fill": "pink"}, "fill is 'pink'; expected one of imagenet"),
        ({"upsampling": "cubic"}, "upsampling is 'cubic'; expected one of bilinear, nearest"),
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
