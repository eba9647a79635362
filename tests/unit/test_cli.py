"""The entry point: help, version, exit statuses, one-line errors."""

import json
import logging
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from dexar_widgets import cli
from dexar_widgets.lab.recipes import RECIPES

HEADER = b"IHDR" + struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0)
BOMB = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + HEADER + struct.pack(">I", zlib.crc32(HEADER))
BOMB += b"\0\0\0\0IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))


@pytest.fixture(autouse=True)
def _loggers_as_they_were() -> Iterator[None]:
    """The command line quiets loggers for its own process; here other tests share it."""
    logger = logging.getLogger("dexar_widgets")
    level = logger.level
    yield
    logger.setLevel(level)


VERBS = ("demo", "explain", "check", "lab", "models", "doctor")


def fails(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line on stderr of a command that must end with status 2."""
    assert cli.main([str(argument) for argument in arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("dexar: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    return err


def test_help_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(verb in out for verb in VERBS)


def test_no_arguments_print_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    assert "Usage" in capsys.readouterr().out


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_every_verb_holds_an_example(capsys: pytest.CaptureFixture[str], verb: str) -> None:
    assert cli.main([verb, "--help"]) == 0
    assert f"Example: dexar {verb}" in " ".join(capsys.readouterr().out.split())


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    import dexar_widgets

    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"dexar_widgets {dexar_widgets.__version__}\n"


def test_help_loads_neither_torch_nor_pandas() -> None:
    code = (
        "import sys; from dexar_widgets import cli; cli.main(['explain', '--help']);"
        "print(sorted({'torch', 'transformers', 'pandas', 'PIL'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_the_installed_command_ends_with_the_status_of_main() -> None:
    code = "import sys; from dexar_widgets.cli import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", code, "bogus"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "dexar: No such command 'bogus' (see dexar --help).\n"


def test_a_terminal_that_knows_only_ascii_gets_question_marks() -> None:
    code = "import sys; from dexar_widgets.cli import main; sys.exit(main(['explain', '×.png']))"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 2
    assert "No image at '?.png'" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["bogus"], "No such command 'bogus'"),
        (["explain"], "Missing argument"),
        (["explain", "a.png", "--bogus"], "--bogus"),
        (["explain", "a.png", "--preset", "mine"], "'paper', 'released'"),
        (["explain", "a.png", "--max-new-tokens", "0"], "--max-new-tokens"),
        (["explain", "a.png", "--max-new-tokens", "many"], "--max-new-tokens"),
        (["explain", "a.png", "--layers", "3-1"], "backwards"),
        (["explain", "a.png", "--layers", "top"], "--layers 'top'"),
        (["explain", "nowhere.png"], "No image at 'nowhere.png'"),
        (["explain", "a.png", "-o", "out.bmp"], "unknown suffix '.bmp'"),
        (["explain", "a.png", "-o", "out"], "unknown suffix ''"),
        (["explain", "a.png", "-o", "nowhere/out.png"], "no folder 'nowhere'"),
        (["check", "a.png", "--region", "0,0,9,9", "--mask", "b.png"], "either --region left,top,right,bottom or"),
        (["check", "a.png", "--word", "cat", "--step", "1", "--region", "0,0,9,9"], "--word or --step"),
        (["check", "a.png", "--cut", "answer:image"], "image:answer, image:prompt, prompt:answer"),
        (["check", "a.png", "--cut", "image:answer", "--region", "0,0,9,9"], "belong to a knock-out"),
        (["check", "a.png", "--cut", "image:answer", "--window", "2", "--layers", "1"], "--window goes with --cut"),
        (["check", "a.png", "--randoms", "-1"], "--randoms"),
        (["demo", "--seed", "red"], "--seed"),
        (["demo", "--out", "."], "is a folder"),
        (["doctor", "lab/nothing"], "lab/nothing"),
        (["doctor", "nothing"], "neither a folder here nor a hub name"),
    ],
)
def test_a_wrong_command_is_one_line_with_status_2(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert words in fails(capsys, *arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_bad_image_is_told_before_a_model_is_loaded(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dexar_widgets.cli.choices.load", lambda *_, **__: pytest.fail("loaded a model"))
    for name, content, words in (
        ("letter.png", b"no picture", "not an image"),
        ("empty.png", b"", "empty"),
        ("bomb.png", BOMB, "decompression bomb"),
        ("cut.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "cut.png"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        assert words in fails(capsys, "explain", path)
        assert words in fails(capsys, "check", path, "--word", "cat", "--region", "0,0,1,1")


def test_debug_shows_the_traceback_wherever_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--debug", "explain", "nowhere.png"], ["explain", "nowhere.png", "--debug"]):
        assert cli.main(arguments) == 2
        err = capsys.readouterr().err
        assert "Traceback" in err
        assert err.splitlines()[-1].startswith("dexar: No image at")


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (KeyError("lost"), 1, "unexpected KeyError: 'lost' (--debug shows where)"),
        (MemoryError(), 1, "out of memory"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (PermissionError(13, "Permission denied", "/locked"), 2, "/locked: Permission denied"),
        (ValueError("two\nlines"), 2, "two lines"),
    ],
)
def test_whatever_a_verb_raises_is_one_line(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    status: int,
    words: str,
) -> None:
    def raising(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("dexar_widgets.vlm.models", raising)
    assert cli.main(["models"]) == status
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1


def test_models_lists_the_checkpoints_of_the_paper_with_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", "--json"]) == 0
    listed = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert listed["llava-hf/llava-1.5-7b-hf"]["family"] == "llava"
    assert 6.9e9 < listed["llava-hf/llava-1.5-7b-hf"]["parameters"] < 7.2e9
    assert all(one["parameters"] for name, one in listed.items() if name.startswith("lab/"))
    assert next(iter(listed)) == "lab/llava"
    planted = {name for name, one in listed.items() if one["planted"]}  # who takes one should know
    assert planted == {f"lab/{name}" for name, recipe in RECIPES.items() if recipe.fault or recipe.registers}
    assert cli.main(["models"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in listed)
    assert "wrong on purpose: says that there is a boat because there is water" in out
