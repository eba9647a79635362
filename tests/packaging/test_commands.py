"""What the pages tell one to type is there: verbs, options, targets, modules, scripts; and README's commands run."""

import json
import re
import shlex
import shutil
import tomllib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
import typer
from PIL import Image

import dexar_widgets as dx
from dexar_widgets import cli
from tests.pages import PAGES, ROOT, commands, name_of

LINES = sorted({(name_of(page), line) for page in PAGES for line in commands(page)})


def dexar(arguments: list[str]) -> None:
    """The verb has these options, and they take such values; nothing is run."""
    command = typer.main.get_command(cli.app)
    while isinstance(command, type(typer.main.get_command(cli.app))):  # a group of verbs
        if not arguments:
            return
        name, *arguments = arguments
        context = typer.Context(command)
        found = command.get_command(context, name)
        assert found is not None, f"there is no {name!r}"
        command = found
    needed = [one.name for one in command.params if one.required]
    if not arguments and needed:
        return  # the verb is spoken of
    out = ["--out", "out"] if "out" in needed and "--out" not in arguments else []  # as often goes without saying
    try:
        command.make_context(command.name, [*arguments, *out])
    except typer.Exit as ended:  # as --slurm does, which prints and ends
        assert ended.exit_code == 0


def make(arguments: list[str]) -> None:
    targets = re.findall(r"^([a-z-]+(?: [a-z-]+)*):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {*arguments} <= {name for names in targets for name in names.split()}


def python(arguments: list[str]) -> None:
    if arguments[:2] == ["-m", "pip"]:
        return pip(arguments[2:])
    if arguments[0] != "-m":
        assert (ROOT / arguments[0]).is_file()
        return None
    _, module, *rest = arguments
    assert find_spec(module) is not None
    for option in (one for one in rest if one.startswith("--")):
        assert f'"{option}"' in (ROOT / f"{module.replace('.', '/')}.py").read_text()
    return None


def pip(arguments: list[str]) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert arguments[0] == "install"
    for one in arguments[1:]:
        for named in re.findall(r"^dexar-widgets\[(.*)\]$|^\.\[(.*)\]$", one):
            assert {*"".join(named).split(",")} <= set(extras)


def npm(arguments: list[str]) -> None:
    scripts = json.loads((ROOT / "js" / "package.json").read_text())["scripts"]
    names = [one for one in arguments if one not in ("--prefix", "js", "run")]
    assert {name for one in names for name in one.split("|")} <= set(scripts)


def pytest_(arguments: list[str]) -> None:
    paths = [one for one in arguments if one.startswith("tests")]
    assert paths
    assert all((ROOT / path).exists() for path in paths)


def ruff(arguments: list[str]) -> None:
    assert arguments[0] in ("check", "format")


def sbatch(arguments: list[str]) -> None:
    """The script that ``--slurm`` prints hands what follows on."""
    dexar(["evaluate", *arguments[1:]])


KNOWN: dict[str, Callable[[list[str]], None]] = {
    "dexar": dexar, "make": make, "python": python, "pip": pip, "npm": npm, "pytest": pytest_, "ruff": ruff,
    "sbatch": sbatch,
}  # fmt: skip


@pytest.mark.parametrize(("page", "line"), LINES)
def test_what_one_is_told_to_type_is_there(page, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for part in re.split(r" && | > .*$", line):
        words = [word for word in shlex.split(re.sub(r"<[^>]*>", "…", part)) if word != "…"]
        words = words[next(place for place, word in enumerate(words) if "=" not in word) :] if words else []
        if words:
            KNOWN[words[0].removeprefix(".venv/bin/")](words[1:])


ELSEWHERE = ("--engine ray", "VOCdevkit", "lab report", "workshop pack")
"""A cluster, a data set; and what takes minutes, and has a test of its own."""
SMALLER = {
    "--limit 100": "--limit 1", "--limit 20": "--limit 1", "figure8": "figure8 --limit 1",
    "llava-hf/llava-1.5-7b-hf": "lab/llava", "--word cup": "--word football",
    "--jobs 2": "--jobs 1 --randomised 0", " > evaluate.sh": "",
}  # fmt: skip
RUN = [
    line
    for line in commands(ROOT / "README.md", inline=False)
    if line.startswith("dexar ") and not any(word in line for word in ELSEWHERE)
]


@pytest.mark.slow
def test_the_readmes_commands_run_one_after_the_other(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for path, seed in (("photo.jpg", 7), ("photos/one.png", 8)):
        Image.fromarray(dx.lab.scene(seed).image).save(path)
    shutil.copy(ROOT / "dexar_widgets" / "methods" / "random.py", "my_method.py")
    assert len(RUN) > 10
    for line in RUN:
        typed = line
        for given, here in SMALLER.items():
            typed = typed.replace(given, here)
        code = cli.main(shlex.split(typed)[1:])
        assert code == 0, f"{typed}\n{capsys.readouterr().err}"
    made = ("demo.html", "answer.html", "rows.parquet", "out.html", "results/fog-5/results.parquet", "page/report.html")
    assert [path for path in made if not Path(path).is_file()] == []
