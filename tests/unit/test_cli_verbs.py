"""Every verb from end to end, with a tiny model of random weights that is made here."""

import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

import dexar_widgets as dx
from dexar_widgets import causal, cli
from dexar_widgets.cli import check as cli_check
from dexar_widgets.cli import choices, report
from dexar_widgets.engine import Decoding
from dexar_widgets.widgets import html

pytestmark = pytest.mark.slow

SHORT = ("--max-new-tokens", "4")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a saved tiny LLaVA."""
    from dexar_widgets.families import llava

    folder = tmp_path_factory.mktemp("model")
    for part in llava.tiny():
        part.save_pretrained(folder)
    return str(folder)


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Loggers are shared with other tests; the built front end may not be there."""
    (tmp_path / "standalone.js").write_text("// the front end")
    monkeypatch.setattr(html, "STATIC", tmp_path)
    logger = logging.getLogger("dexar_widgets")
    level = logger.level
    yield
    logger.setLevel(level)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    path = folder / "b.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)).save(path)
    return path


def explain(model: str, source: Path, *more: object) -> int:
    words = ["explain", source, "--model", model, "--prompt", "what?", *SHORT, *more]
    return cli.main([str(word) for word in words])


def test_demo_tells_the_answer_the_peaks_and_the_truth_and_writes_the_page(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(html, "page", lambda e: f"the page of {e.generation.text!r}")  # its own tests read the real one
    page = tmp_path / "demo.html"
    arguments = ["demo", "--model", model, "--seed", "3", "--question", "Which?", "--out", str(page)]
    assert cli.main(arguments) == 0
    out = capsys.readouterr().out
    assert "what lies there" in out
    assert str(page) in out
    assert "visual weight: **word** at least two thirds of the largest, *word* a third, (word) none" in out
    truth = " ".join(out.split("in truth")[1].split())
    objects = dx.lab.scene(3).spec.objects
    assert all(f"{thing.colour} {thing.name}" in truth for thing in objects)
    e = dx.explain(dx.load(model), dx.lab.scene(3).image, "Which?")
    assert page.read_text() == f"the page of {e.generation.text!r}"
    assert cli.main([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["prompt"], told["answer"], told["seed"], told["page"]) == ("Which?", e.generation.text, 3, str(page))
    assert {entry["there"] for entry in told["words"]} <= {
        None,
        *(f"{thing.colour} {thing.name}" for thing in objects),
        f"background ({dx.lab.scene(3).spec.background.name})",
    }


def test_what_is_told_agrees_with_the_library(model: str, picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(model, picture, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    e = dx.explain(dx.load(model), picture, "what?", decoding=Decoding(max_new_tokens=4))
    assert told["answer"] == e.generation.text
    for entry, word, weight in zip(told["words"], e.generation.words, e.word_weights(), strict=True):
        assert (entry["word"], tuple(entry["steps"])) == word
        assert entry["weight"] == pytest.approx(weight)
        heat = e.heatmap(word.steps)
        assert entry["status"] == heat.status
        if heat.status == "ok":
            assert (entry["peak"]["row"], entry["peak"]["col"]) == heat.peak


def test_one_image_goes_to_every_kind_of_file(
    model: str, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = [tmp_path / f"out{suffix}" for suffix in (".html", ".png", ".csv", ".parquet", ".safetensors")]
    for output in outputs:
        assert explain(model, picture, "-o", output) == 0
        assert str(output) in capsys.readouterr().out
    page, strip, rows, columns, saved = outputs
    assert page.read_text().startswith("<!doctype html>")
    assert json.loads(Image.open(strip).info["dexar_widgets"])["provenance"]["model"] == model
    e = dx.read(saved)
    assert e.provenance["model"] == model
    expected = e.to_pandas("steps", sample="b.png")
    for table in (pd.read_csv(rows, keep_default_na=False), pd.read_parquet(columns)):
        assert list(table["sample"]) == ["b.png"] * len(e.steps)
        np.testing.assert_array_equal(table["omega"], expected["omega"])
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in outputs} | {"pictures", "standalone.js"}


def test_the_options_reach_the_library(model: str, picture: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.safetensors"
    options = ("--answer", "a b", "--preset", "released", "--keep", "visual", "--lens", "--attention", "-o", output)
    assert explain(model, picture, *options) == 0
    e = dx.read(output)
    assert (e.generation.text.strip(), e.preset, e.keep) == ("a b", "released", "visual")
    assert e.lens is not None
    assert e.attention is not None


def test_layers_and_filters_choose_what_a_table_holds(model: str, picture: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    options = ("--table", "heads", "--layers", "1", "--head-filter", "none", "-o", output)
    assert explain(model, picture, *options) == 0
    rows = pd.read_csv(output)
    assert set(rows["layer"]) == {1}
    assert set(rows["delta"]) == {1}


def test_json_of_one_image_holds_words_output_and_notices(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "animated.gif"
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "blue")]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert explain(model, path, "--json") == 0
    captured = capsys.readouterr()
    told = json.loads(captured.out)
    assert told["output"] is None
    assert told["source"] == str(path)
    assert "Only the first of 2 frames is used." in told["notices"]
    assert "note: Only the first of 2 frames is used." in captured.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--layers", "99"), "layer 99"),
        (("--head-filter", "most"), "head_filter='most'"),
        (("--filler-filter", "2"), "filler_filter=2.0"),
        (("--keep", "some"), "keep='some'"),
        (("--answer", ""), "answer"),
        (("--dtype", "int8"), "int8"),
        (("--prompt", ""), "prompt"),
        (("--prompt", "<image> and <image>"), "image"),
        (("--prompt", "what " * 5000), "context"),
    ],
)
def test_a_wrong_option_is_one_line_and_writes_nothing(
    model: str,
    picture: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, str],
    words: str,
) -> None:
    output = tmp_path / "out.png"
    assert explain(model, picture, "-o", output, *options) == 2
    captured = capsys.readouterr()
    assert words in captured.err.splitlines()[-1]
    assert captured.err.startswith("dexar: ")
    assert captured.err.count("\n") == 1
    assert not output.exists()


def damaged(model: str, folder: Path, how: str) -> str:
    """A copy of the model with something wrong."""
    shutil.copytree(model, folder)
    if how == "no processor":
        (folder / "processor_config.json").unlink()
    elif how == "text only":
        (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    elif how == "cut weights":
        weights = folder / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1000])
    else:
        tensors = load_file(folder / "model.safetensors")
        tensors[next(iter(tensors))].flat[0] = np.nan
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return str(folder)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("no processor", "has no processor_config.json"),
        ("text only", "text-only model"),
        ("cut weights", "damaged or cut short"),
        ("nan", "NaN"),
    ],
)
def test_a_damaged_model_folder_is_one_line(
    model: str, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], how: str, words: str
) -> None:
    assert explain(damaged(model, tmp_path / "damaged", how), picture) == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("name", ["lab/nothing", "./nowhere", "one/two/three"])
def test_a_model_that_is_not_there_is_one_line(picture: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert explain(name, picture) == 2
    err = capsys.readouterr().err
    assert name in err
    assert err.count("\n") == 1


def test_an_image_of_one_pixel_is_explained(model: str, tmp_path: Path) -> None:
    path = tmp_path / "pixel.png"
    Image.new("RGB", (1, 1), "red").save(path)
    assert explain(model, path, "-o", tmp_path / "out.png") == 0
    assert min(Image.open(tmp_path / "out.png").size) > 30


def test_a_mere_strip_of_an_image_is_refused_in_one_line(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "thin.png"
    Image.new("RGB", (20000, 10), "red").save(path)
    assert explain(model, path, "-o", tmp_path / "out.png") == 2
    err = capsys.readouterr().err
    assert "20000×10" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out.png").exists()


def test_a_folder_becomes_rows_and_a_broken_image_a_row_with_its_reason(
    model: str, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (picture.parent / "a.png").write_bytes(b"no picture")
    output = tmp_path / "rows.csv"
    assert explain(model, picture.parent, "-o", output) == 1
    rows = pd.read_csv(output, keep_default_na=False)
    assert rows["sample"].iloc[0] == "a.png"
    assert "not an image" in rows["error"].iloc[0]
    assert set(rows["sample"].iloc[1:]) == {"b.png"}
    assert set(rows["error"].iloc[1:]) == {""}
    assert "1 failed" in capsys.readouterr().out


def test_a_list_gives_each_image_its_prompt_and_answer(
    model: str, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, output = tmp_path / "list.csv", tmp_path / "rows.parquet"
    source.write_text("image,prompt,answer\npictures/b.png,what?,a b\npictures/b.png,why?,c\n")
    assert explain(model, source, "-o", output, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"output": str(output), "done": 2, "earlier": 0, "failed": []}
    rows = pd.read_parquet(output)
    assert list(rows["word"].str.strip()) == ["a", "b", "c"]
    assert list(rows["prompt"]) == ["what?", "what?", "why?"]
    assert set(rows["model"]) == {model}


def test_a_finished_job_typed_again_loads_no_model(
    model: str, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "rows.parquet"
    assert explain(model, picture.parent, "-o", output) == 0
    written = output.read_bytes()
    monkeypatch.setattr(choices, "load", None)
    capsys.readouterr()
    assert explain(model, picture.parent, "-o", output) == 0
    assert "All 1 images are done; 0 failed; --overwrite begins anew." in capsys.readouterr().out
    assert output.read_bytes() == written
    assert explain(model, picture.parent, "-o", output, "--layers", "1") == 2
    assert "--overwrite" in capsys.readouterr().err


def test_many_images_need_a_table(model: str, picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(model, picture.parent) == 2
    assert "need an output" in capsys.readouterr().err
    assert explain(model, picture.parent, "-o", "page.html") == 2
    assert "many images give a table" in capsys.readouterr().err


def silenced_by(*pieces: str | None) -> list[Any]:
    return [SimpleNamespace(step=step, piece=piece, kind="prompt") for step, piece in enumerate(pieces)]


TWO = "2 of 3 words have no visual weight: text raised them more than the image did"


@pytest.mark.parametrize(
    ("weights", "pieces", "said"),
    [
        ([0.0, 0.0, 1.0], ["see", "see"], f"{TWO}, most often (2×) the prompt token 'see'."),
        ([0.0, 0.0, 1.0], ["see", "as"], f"{TWO}."),
        ([0.0, 2.0, 1.0], ["see", "see"], "1 of 3 words has no visual weight: text raised it more than the image did."),
        ([1.0, 2.0, 1.0], ["see"], None),  # one token of a word whose others count: every row shows a weight
    ],
)
def test_as_many_words_are_told_to_have_no_weight_as_rows_show_none(
    weights: list[float], pieces: list[str], said: str | None
) -> None:
    words = [{"steps": [step], "weight": weight} for step, weight in enumerate(weights)]
    assert report._winners(silenced_by(*pieces), words) == said


def test_what_is_told_counts_cells_from_one_and_says_what_its_marks_mean(capsys: pytest.CaptureFixture[str]) -> None:
    peak = {"words": "upper left", "row": 0, "col": 2}
    words = [("see", 0.0, None), ("a", 0.004, peak), ("cat", 3.0, peak)]
    entries = [
        {"word": word, "weight": weight, "peak": at, "status": "silenced", "why_empty": []}
        for word, weight, at in words
    ]
    report.tell({"question": "What?", "answer": "see a cat", "words": entries, "silenced": "So it is."}, grid=(4, 4))
    question, answer, marks, _, _, *rows = capsys.readouterr().out.splitlines()
    assert (question.split(), answer.split()[1:]) == (["question", "What?"], ["(see)", "a", "**cat**"])
    assert marks.strip() == "visual weight: **word** at least two thirds of the largest, *word* a third, (word) none"
    assert [" ".join(row.split()) for row in rows[:3]] == [
        "see 0.00 nowhere: silenced",
        "a <.01 upper left (row 1, col 3)",
        "cat 3.00 ██████████ upper left (row 1, col 3)",
    ]


def check(model: str, picture: Path, *more: object) -> int:
    words = ["check", picture, "--model", model, "--prompt", "what?", "--answer", "a b", *more]
    return cli.main([str(word) for word in words])


def test_check_tells_what_the_library_measures(model: str, picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(model, picture, "--word", "b", "--region", "0,0,30,40", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    vlm = dx.load(model)
    e = dx.explain(vlm, picture, "what?", answer="a b")
    found = dx.check(e, step="b", region=(0, 0, 30, 40), vlm=vlm)
    names = ["log_prob", "hidden", "kept", "drop", "chance", "p", "random_hidden", "random_kept", "chance_range"]
    for name in [*names, "kept_drop", "kept_chance", "kept_range", "kept_p"]:
        assert told[name] == pytest.approx(getattr(found, name), abs=1e-5)
    assert told["verdict"] == found.verdict
    assert len(told["random_hidden"]) == 19
    assert (told["word"], told["area"]) == ("b", 0.5)


def test_check_without_a_word_tells_every_word_and_the_answer(
    model: str, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(model, picture, "--region", "0,0,30,40", "--randoms", "2", "--seed", "4", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    vlm = dx.load(model)
    e = dx.explain(vlm, picture, "what?", answer="a b")
    found = causal.checks(e, region=(0, 0, 30, 40), randoms=2, seed=4, vlm=vlm)
    assert [one["word"] for one in told["checks"]] == ["a", "b", "a b"]
    assert [one["random_hidden"] for one in told["checks"]] == [
        pytest.approx(one.random_hidden, abs=1e-5) for one in found
    ]
    assert check(model, picture, "--region", "0,0,30,40", "--randoms", "0") == 0
    out = capsys.readouterr().out
    assert out.count("log-probability") == 3 and "chance" not in out


def test_check_of_the_image_alone_hides_each_words_top_cells(
    model: str, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--randoms", "2", "--seed", "1", "--layers", "0-1", "--how", "blur")
    assert check(model, picture, *options, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    vlm = dx.load(model)
    e = dx.explain(vlm, picture, "what?", answer="a b")
    found = dx.check(e, randoms=2, seed=1, layers=[0, 1], how="blur", vlm=vlm)
    assert told["fractions"] == pytest.approx(found.fractions)
    for row, one in enumerate(told["words"]):
        assert (one["word"], one["status"], one["verdict"]) == (
            found.words[row],
            found.status[row],
            found.verdicts[row],
        )
        curve = [np.nan if value is None else value for value in one["log_prob"]]
        assert curve == pytest.approx(found.curves[row], abs=1e-5, nan_ok=True)
        assert one["random_auc"] == pytest.approx(found.random_auc[row], abs=1e-5)
    assert check(model, picture, *options) == 0
    out = capsys.readouterr().out
    assert "nats lost while the top cells of dexar are hidden (blur)" in out
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line.strip()}
    assert rows["a"][-1] == found.verdicts[0].split()[-1]
    assert rows["6%"][-2:] == ["mean", "random"]  # one of 4×4 cells is the smallest share


def test_check_with_a_cut_tells_the_loss_by_window(
    model: str, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(model, picture, "--cut", "image:answer", "--window", "2", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    vlm = dx.load(model)
    e = dx.explain(vlm, picture, "what?", answer="a b")
    found = dx.check(e, cut=("image", "answer"), window=2, vlm=vlm)
    assert (told["cut"], told["windows"]) == (["image", "answer"], [[0, 1], [1, 2]])
    for name in ("drop", "total", "log_prob", "visual"):
        for one, values in zip(told["words"], getattr(found, name), strict=True):
            assert one[name] == pytest.approx(values, abs=1e-5)
    assert check(model, picture, "--cut", "prompt:answer", "--layers", "0,2", "--word", "b") == 0
    out = capsys.readouterr().out
    assert "nats lost when the answer cannot read the prompt" in out and out.splitlines()[2].split() == ["all", "0,2"]


def test_check_reads_a_mask_and_says_a_sentence(
    model: str, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mask = np.zeros((40, 60), np.uint8)
    mask[:, :15] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    assert check(model, picture, "--step", "-1", "--mask", tmp_path / "mask.png", "--how", "blur") == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "12% of the image, blur" in out  # the model sees the columns from 10 to 50, the mask covers five of them
    vlm = dx.load(model)
    found = dx.check(dx.explain(vlm, picture, "what?", answer="a b"), step=-1, region=mask > 0, how="blur", vlm=vlm)
    side = "less" if found.drop >= 0 else "more"
    times = f"{np.exp(abs(found.drop)):,.1f}"
    assert out.split(" so ")[1] == f"{found.verdict} ({times} times {side} likely without the region)"


@pytest.mark.parametrize(
    ("hidden", "said"),
    [
        (-13.0, "depends on it (162,755 times less likely without the region)"),
        (-1.5, "hardly depends on it (1.6 times less likely without the region)"),
        (1.0, "what is there speaks against it (7.4 times more likely without the region)"),
    ],
)
def test_the_sentence_of_a_check_is_its_verdict_and_how_much_less_likely_the_word_is(hidden: float, said: str) -> None:
    found = causal.Check("cup", (0,), 0.1, "mean", -1.0, hidden, -2.0, (-1.0,) * 19, (-3.0,) * 19)
    assert cli_check._so(found) == said


def test_numbers_that_there_are_not_and_infinite_ones_are_plain_json() -> None:
    impossible = causal.Check("cup", (0,), 0.1, "mean", -1.0, -np.inf, -2.0)
    told = cli_check._record(causal.Checks([impossible]), alone=True)
    assert (told["hidden"], told["drop"], told["p"]) == (-1e6, 1e6, None)
    json.dumps(told, allow_nan=False)


def test_a_masks_noise_is_no_region(model: str, picture: Path, tmp_path: Path) -> None:
    mask = np.zeros((40, 60), np.uint8)
    mask[3:31, 7:22] = 255
    Image.fromarray(mask).save(tmp_path / "mask.jpg", quality=50)
    assert 0 < np.asarray(Image.open(tmp_path / "mask.jpg"))[mask == 0].max() < 128
    assert (cli_check._mask(tmp_path / "mask.jpg") == (mask > 0)).all()


def test_what_has_no_p_tells_none(model: str, picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(model, picture, "--randoms", "0") == 0
    out = capsys.readouterr().out
    assert "too few random orders" in out and "nan" not in out and "p " not in out.split("mean, and in random order")[1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--word", "cup", "--region", "0,0,9,9"), "'cup' is not in the answer"),
        (("--step", "99", "--region", "0,0,9,9"), "step=99"),
        (("--word", "b", "--region", "900,900,990,990"), "covers nothing"),
        (("--word", "b", "--region", "0,0,60,40"), "covers everything"),
        (("--word", "b", "--mask", "nowhere.png"), "nowhere.png"),
        (("--cut", "image:answer", "--window", "9"), "expected 1 to 3"),
        (("--cut", "image:answer", "--layers", "7"), "layer 7"),
        (("--cut", "image:answer", "--word", "cup"), "'cup' is not in the answer"),
        (("--layers", "7"), "layer 7"),
        (("--cut", "image:answer", "--how", "blur", "--randoms", "19"), "--cut takes no --how, no --randoms"),
        (("--cut", "image:answer", "--seed", "0"), "--cut takes no --seed"),
    ],
)
def test_a_wrong_check_is_one_line(
    model: str, picture: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], words: str
) -> None:
    assert check(model, picture, *options) == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1


def test_a_mask_of_another_size_is_refused(
    model: str, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("L", (5, 5), 255).save(tmp_path / "mask.png")
    assert check(model, picture, "--word", "b", "--mask", tmp_path / "mask.png") == 2
    assert "(5, 5)" in capsys.readouterr().err
