"""``dexar compare`` and ``dexar plugin`` from end to end, with a tiny model of random weights."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import dexar_widgets as dx
from dexar_widgets import cli, plugins
from dexar_widgets.cli import compare
from dexar_widgets.widgets import html

FAST = ["--methods", "attention,dexar,rise,random,integrated_gradients", "--option", "rise.n_masks=3"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    from dexar_widgets.families import llava

    folder = tmp_path_factory.mktemp("model")
    for part in llava.tiny():
        part.save_pretrained(folder)
    return str(folder)


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "b.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)).save(path)
    return str(path)


@pytest.fixture
def run(model, picture, capsys):
    def run(*words):
        given = ["compare", picture, "--model", model, "--prompt", "what?", "--max-new-tokens", "4", *map(str, words)]
        status = cli.main(given)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def test_it_tells_each_methods_cost_and_where_its_map_peaks(run):
    status, out, err = run(*FAST)
    assert status == 0, err
    lines = {line.split("  ")[0]: line for line in out.splitlines() if line.strip()}
    assert {"Attention", "DEX-AR", "RISE", "Integrated gradients", "Random"} <= set(lines)
    assert "3 + 0" in lines["RISE"]
    assert "control" in lines["Random"]
    assert "+1.00" in lines["DEX-AR"] or "–" in lines["DEX-AR"]
    assert list(lines).index("Random") > list(lines).index("RISE")


def test_a_peak_is_told_from_one_and_written_from_zero(run, model, picture, capsys):
    status, out, _ = run("--methods", "attention")
    told = json.loads(run("--methods", "attention", "--json")[1])
    whole = next(row for row in told["methods"]["attention"]["maps"] if row["word"] == "")
    assert status == 0 and f"({whole['peak_row'] + 1}, {whole['peak_col'] + 1})" in out


def test_the_familys_own_question_is_told_as_people_read_it(model, picture, capsys):
    words = ["compare", picture, "--model", model, "--methods", "attention", "--answer", "a b"]
    assert cli.main(words) == 0
    asked = capsys.readouterr().out.splitlines()[0]
    assert asked.split(maxsplit=1)[1] == "Classify the image."
    assert cli.main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["prompt"] == "USER: <image>\nClassify the image. ASSISTANT:"


def test_a_table_has_words_times_methods(run, tmp_path):
    status, _, err = run(*FAST, "-o", tmp_path / "t.csv")
    assert status == 0, err
    rows = pd.read_csv(tmp_path / "t.csv", keep_default_na=False)
    assert set(rows.method) == {"attention", "dexar", "rise", "random", "integrated_gradients"}
    words = rows[rows.method == "dexar"].word.tolist()
    assert words[-1] == "" and len(words) > 1
    assert rows[rows.method == "rise"].word.tolist() == words
    assert rows[rows.method == "integrated_gradients"].word.tolist() == [""]
    assert (rows[rows.method == "rise"].forwards == 3).all()
    assert set(rows.prompt) == {"what?"}
    status, _, err = run(*FAST, "-o", tmp_path / "t.parquet", "--table", "method_cells")
    assert status == 0, err
    assert len(pd.read_parquet(tmp_path / "t.parquet")) == 16 * len(rows)


def test_a_picture_carries_where_it_comes_from_and_a_file_reads_back(run, tmp_path):
    assert run(*FAST, "-o", tmp_path / "s.png", "--scale", "share", "--no-controls")[0] == 0
    with Image.open(tmp_path / "s.png") as image:
        told = json.loads(image.text["dexar_widgets"])
        assert told["choice"]["scale"] == "share"
        assert image.width > 300
    assert run(*FAST, "-o", tmp_path / "e.safetensors")[0] == 0
    e = dx.read(tmp_path / "e.safetensors")
    assert list(e.attributions) == ["attention", "dexar", "rise", "random", "integrated_gradients"]
    assert e.attributions["rise"].options["n_masks"] == 3


def test_a_page_holds_every_methods_maps(run, tmp_path, monkeypatch):
    (tmp_path / "standalone.js").write_text("// the front end")
    monkeypatch.setattr(html, "STATIC", tmp_path)
    status, _, err = run(*FAST, "-o", tmp_path / "p.html")
    assert status == 0, err
    page = (tmp_path / "p.html").read_text()
    assert all(f'"{name}"' in page for name in ("attention", "rise", "random", "integrated_gradients"))


def test_json_has_all_of_it(run):
    status, out, err = run(*FAST, "--json")
    assert status == 0, err
    told = json.loads(out)
    assert list(told["methods"]) == ["attention", "dexar", "rise", "random", "integrated_gradients"]
    rise = told["methods"]["rise"]
    assert rise["options"]["n_masks"] == 3
    assert rise["cost"]["seconds"] == pytest.approx(sum(rise["cost"][name] for name in ("answer", "shared", "own")))
    assert rise["maps"][-1]["word"] == ""
    assert "completeness_error" in told["methods"]["integrated_gradients"]["notes"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--methods", "saliency"], "No method named 'saliency'; there are attention, "),
        (["--methods", ","], "--methods names no method"),
        (["--methods", "rise", "--option", "rise.colour=1"], "rise has no option 'colour'; it takes n_masks=200"),
        (["--methods", "rise", "--option", "rise.n_masks=none"], "n_masks='none' is not accepted"),
        (["--option", "n_masks=3"], "names no method; write METHOD.NAME=VALUE"),
        (["--option", "rise"], "--option 'rise' is not understood; write NAME=VALUE"),
        (["--methods", "tam", "--option", "rise.n_masks=3"], "options are given for 'rise', which is not compared"),
        (["-o", "x.pdf"], "unknown suffix '.pdf'"),
        (["-o", "x.html", "--scale", "share"], "--scale is for .png, and -o names none. The page has switches for it."),
        (["-o", "x.png", "--table", "methods"], "--table is for .csv and .parquet"),
        (["--no-controls"], "--controls is for .png"),
        (["-o", "/nowhere/x.png"], "there is no folder '/nowhere'"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(run, words, said):
    status, _, err = run(*words)
    assert status == 2
    assert said in err
    assert err.count("\n") == 1


def test_no_model_is_loaded_for_a_bad_option(picture, capsys, monkeypatch):
    monkeypatch.setattr(compare.choices, "load", lambda *_, **__: pytest.fail("loaded"))
    assert cli.main(["compare", picture, "--methods", "saliency"]) == 2
    assert cli.main(["compare", str(picture) + "x", "--methods", "tam"]) == 2
    capsys.readouterr()


def test_out_of_memory_is_told_with_what_to_lower(run, monkeypatch):
    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(plugins.get("methods", "rise"), "attribute", fail)
    status, _, err = run("--methods", "rise")
    assert status == 1
    assert "RISE ran out of memory: lower batch_size" in err


def test_what_fits_into_memory_is_told_beside_what_does_not(run, monkeypatch):
    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(plugins.get("methods", "rise"), "attribute", fail)
    status, out, err = run("--methods", "rise,attention")
    assert status == 1
    assert "note: RISE ran out of memory: lower batch_size" in err
    assert "Attention" in out and "RISE" not in out


def test_what_is_left_out_of_all_methods_is_a_partial_failure_too(run, monkeypatch):
    def fail(*_):
        raise MemoryError

    monkeypatch.setattr("dexar_widgets.attributions.every_method", lambda: ("rise", "attention"))
    monkeypatch.setattr("dexar_widgets.verbs.every_method", lambda: ("rise", "attention"))
    monkeypatch.setattr(plugins.get("methods", "rise"), "attribute", fail)
    status, out, err = run()
    assert (status, "Attention" in out) == (1, True)
    assert "RISE ran out of memory" in err


def test_ctrl_c_ends_it(run, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("dexar_widgets.jobs.Job.result", interrupt)
    status, _, err = run("--methods", "rise")
    assert status == 130
    assert "interrupted" in err


def plugin(capsys, *words):
    status = cli.main(["plugin", *words])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


METHOD = '''"""Mine. Source: none."""
from dataclasses import dataclass
import numpy as np
from dexar_widgets.methods import Maps
TITLE, UNIT, CONTROL, NEEDS, SMALLER = "Mine", "ones", True, frozenset(), "nothing"
@dataclass(frozen=True, kw_only=True)
class Options:
    scale: float = 1.0
def attribute(subject, options):
    visual = int(subject.layout.is_image.sum())
    return Maps(np.full((len(subject.steps), visual), options.scale) * np.arange(visual))
'''


@pytest.mark.slow
def test_a_method_in_a_file_is_checked(tmp_path, capsys):
    path = tmp_path / "mine.py"
    path.write_text(METHOD)
    status, out, err = plugin(capsys, "check", str(path), "--option", "scale=2.5")
    assert status == 0, out + err
    assert "mine (methods):" in out and "✗" not in out
    path.write_text(METHOD.replace("np.arange(visual)", "np.nan"))
    status, out, _ = plugin(capsys, "check", str(path))
    assert status == 1
    assert "✗ llava: gives finite raw maps on the grid" in out
    assert "gave NaN or infinity" in out


def test_a_metric_that_ships_is_checked_as_json(capsys):
    status, out, _ = plugin(capsys, "check", "energy_pointing_game", "--json")
    told = json.loads(out)
    assert (status, told["kind"]) == (0, "metrics")
    assert all(finding["ok"] for finding in told["findings"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["no_such_module_here"], "cannot be imported"),
        (["no_such_file.py"], "There is no file"),
        (["json"], "has none of the names of a plug-in"),
        (["energy_pointing_game", "--option", "a=1"], "Options are for methods"),
    ],
)
def test_what_is_no_plug_in_is_told_in_a_line(capsys, words, said):
    status, _, err = plugin(capsys, "check", *words)
    assert status == 2
    assert said in err


def test_a_list_of_what_there_is(capsys):
    status, out, _ = plugin(capsys, "list")
    assert status == 0
    assert "rise, rollout, tam" in out
    assert json.loads(plugin(capsys, "list", "--json")[1])["families"] == ["florence2", "llava", "paligemma"]
