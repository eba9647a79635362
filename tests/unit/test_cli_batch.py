"""Many images: rows in order, crashes survived, nothing done twice, nothing half written."""

import json
from pathlib import Path

import pandas as pd
import pytest

from dexar_widgets.cli import batch
from dexar_widgets.cli.batch import Outcome, parts_of
from dexar_widgets.cli.inputs import Item

ITEMS = [Item(name, f"{name}.png", "why?") for name in "abcd"]
SUFFIXES = pytest.mark.parametrize("suffix", [".csv", ".parquet"])


class Model:
    """Two rows per item; raises where told; counts its calls."""

    def __init__(self, **errors: BaseException) -> None:
        self.errors, self.calls = errors, []

    def __call__(self, item: Item) -> pd.DataFrame:
        self.calls.append(item.sample)
        if item.sample in self.errors:
            raise self.errors[item.sample]
        return pd.DataFrame({"sample": item.sample, "prompt": item.prompt, "step": [0, 1], "weight": [0.1, 1 / 3]})


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, keep_default_na=False) if path.suffix == ".csv" else pd.read_parquet(path)


def run(output: Path, model: Model, items: list[Item] = ITEMS, **options: object) -> Outcome:
    return batch.run(items, model, output, settings={"model": "m"}, **options)


@SUFFIXES
def test_every_item_gives_its_rows_in_order(tmp_path: Path, suffix: str) -> None:
    output = tmp_path / f"rows{suffix}"
    assert run(output, Model()) == Outcome(4, 0, ())
    rows = read(output)
    assert list(rows["sample"]) == list("aabbccdd")
    assert list(rows["weight"][:2]) == [0.1, 1 / 3]  # floats read back exactly
    assert list(tmp_path.iterdir()) == [output]


@SUFFIXES
def test_a_broken_item_becomes_a_row_with_its_reason(tmp_path: Path, suffix: str) -> None:
    output = tmp_path / f"rows{suffix}"
    outcome = run(output, Model(a=ValueError("no\nimage"), c=FileNotFoundError("gone")))
    assert outcome.failed == (("a", "no image"), ("c", "gone"))
    rows = read(output)
    assert list(rows["sample"]) == list("abbcdd")
    assert list(rows["error"]) == ["no image", "", "", "gone", "", ""]
    assert rows.columns[-1] == "error"


def test_whole_numbers_stay_whole_beside_a_row_without_numbers(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    for suffix in (".csv", ".parquet"):
        run(tmp_path / f"rows{suffix}", Model(a=ValueError("broken")))
    assert (tmp_path / "rows.csv").read_text().splitlines()[:3] == [
        "sample,prompt,step,weight,error",
        "a,why?,,,broken",
        "b,why?,0,0.1,",
    ]
    assert str(pq.read_schema(tmp_path / "rows.parquet").field("step").type) == "int64"


@SUFFIXES
def test_when_every_item_is_broken_there_is_still_a_table(tmp_path: Path, suffix: str) -> None:
    output = tmp_path / f"rows{suffix}"
    run(output, Model(**{name: ValueError(name) for name in "abcd"}))
    assert list(read(output)["error"]) == list("abcd")


@SUFFIXES
@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_job_goes_on_where_it_stopped(tmp_path: Path, suffix: str, stop: type[BaseException]) -> None:
    output = tmp_path / f"rows{suffix}"
    with pytest.raises(stop):
        run(output, Model(c=stop()))
    assert not output.exists()
    again = Model()
    assert run(output, again) == Outcome(2, 2, ())
    assert again.calls == ["c", "d"]
    assert list(read(output)["sample"]) == list("aabbccdd")
    assert not parts_of(output).exists()


def test_a_part_that_was_cut_off_is_not_counted_as_done(tmp_path: Path) -> None:
    output = tmp_path / "rows.csv"
    with pytest.raises(KeyboardInterrupt):
        run(output, Model(b=KeyboardInterrupt()))
    (parts_of(output) / ".part-000000001-000000001.csv.99").write_text("sample,st")  # what a power cut leaves
    again = Model()
    run(output, again)
    assert again.calls == ["b", "c", "d"]
    assert list(read(output)["sample"]) == list("aabbccdd")


def test_parts_are_written_while_the_job_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "_PER_PART", 2)
    seen = []
    output = tmp_path / "rows.csv"
    run(output, Model(), on_item=lambda count: seen.append((count, len(list(parts_of(output).glob("part-*"))))))
    assert seen == [(1, 0), (2, 1), (3, 1), (4, 2)]


def test_parts_of_another_job_are_never_mixed_in(tmp_path: Path) -> None:
    output = tmp_path / "rows.csv"
    with pytest.raises(KeyboardInterrupt):
        run(output, Model(c=KeyboardInterrupt()))
    with pytest.raises(ValueError, match="differs in: items"):
        run(output, Model(), ITEMS[:3])
    with pytest.raises(ValueError, match="differs in: model"):
        batch.run(ITEMS, Model(), output, settings={"model": "other"})
    anew = Model()
    assert run(output, anew, overwrite=True).done == 4
    assert anew.calls == list("abcd")


def test_a_finished_table_is_replaced_only_when_asked(tmp_path: Path) -> None:
    output = tmp_path / "rows.csv"
    output.write_text("precious")
    with pytest.raises(ValueError, match="--overwrite"):
        run(output, Model())
    assert output.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [output]
    run(output, Model(), overwrite=True)
    assert len(read(output)) == 8


def test_parquet_carries_the_settings(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    output = tmp_path / "rows.parquet"
    batch.run(ITEMS, Model(), output, settings={"model": "m"}, provenance={"revision": "r"})
    told = json.loads(pq.read_schema(output).metadata[b"dexar_widgets"])
    assert (told["model"], told["revision"]) == ("m", "r")


def test_a_finished_parquet_file_says_whose_it_is(tmp_path: Path) -> None:
    output, settings = tmp_path / "rows.parquet", {"model": "m"}
    assert batch.finished(ITEMS, output, settings) is None
    batch.run(ITEMS, Model(c=ValueError("gone")), output, settings=settings, provenance={"revision": "r"})
    assert batch.finished(ITEMS, output, settings) == Outcome(0, 4, (("c", "gone"),))
    for items, others in ((ITEMS[:3], settings), (ITEMS, {"model": "other"})):
        with pytest.raises(ValueError, match="does not say that it is of this job"):
            batch.finished(items, output, others)


@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet"])
def test_a_file_that_names_no_job_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("precious")
    with pytest.raises(ValueError, match="is there already"):
        batch.finished(ITEMS, tmp_path / name, {"model": "m"})
