import ast
import json
import re
import subprocess
import tomllib
from pathlib import Path

import dexar_widgets

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONSTRAINTS = dict(
    line.split("==") for line in (ROOT / "constraints.txt").read_text().split("\n") if line and line[0] != "#"
)


def name_of(requirement: str) -> str:
    return re.match(r"[\w.-]+", requirement)[0].lower()


def tracked_files() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listing.split("\0") if name and (ROOT / name).is_file()]


def tracked_text() -> dict[str, str]:
    texts = {}
    for path in tracked_files():
        try:
            texts[path.relative_to(ROOT).as_posix()] = path.read_text()
        except UnicodeDecodeError:
            continue  # weights, pictures
    return texts


def test_the_version_is_that_of_pyproject_everywhere():
    version = PROJECT["version"]
    assert dexar_widgets.__version__ == version
    assert json.loads((ROOT / "js/package.json").read_text())["version"] == version
    lock = json.loads((ROOT / "js/package-lock.json").read_text())
    assert (lock["version"], lock["packages"][""]["version"]) == (version, version)
    assert f"version: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text()


def test_every_direct_dependency_has_a_tested_version():
    extras = [requirement for extra in PROJECT["optional-dependencies"].values() for requirement in extra]
    wanted = {name_of(requirement) for requirement in [*PROJECT["dependencies"], *extras]} - {"dexar-widgets"}
    assert wanted <= {name.lower() for name in CONSTRAINTS}


def test_torch_is_pinned_and_torchvision_is_nowhere():
    assert CONSTRAINTS["torch"] == "2.13.0"
    assert not {"torchvision", "torchaudio"} & set(CONSTRAINTS)
    for path in (ROOT / "dexar_widgets").rglob("*.py"):
        imported = {
            name.split(".")[0]
            for node in ast.walk(ast.parse(path.read_text()))
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
        }
        assert "torchvision" not in imported, path


def test_the_readme_names_the_two_commands_that_do_everything():
    readme = (ROOT / "README.md").read_text()
    assert "make demo" in readme[:2000]
    assert "make test" in readme[:2000]


def test_the_top_level_holds_only_what_the_design_names():
    top = {path.relative_to(ROOT).parts[0] for path in tracked_files()}
    assert top <= {
        *("dexar_widgets", "js", "notebooks", "tests", "pyproject.toml", "README.md", "Makefile", ".ci"),
        *("LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "CITATION.cff", "constraints.txt", ".gitignore"),
    }


def test_no_tracked_file_names_a_machine_or_a_registry_host():
    homes = "|".join(["root", "home", "Users", "work", "opt", "tmp"])
    hosts = "|".join(
        ["pypi" + r"\.org", "python" + r"hosted\.org", "npm" + r"js\.(?:org|com)", "deb" + r"\.debian\.org"]
    )
    forbidden = re.compile(rf"(?<![\w.~/-])/(?:{homes})/\w|file:///?\w|{hosts}", re.IGNORECASE)
    found = [
        f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]}"
        for name, text in tracked_text().items()
        for match in forbidden.finditer(text)
    ]
    assert found == []


def test_no_file_of_the_package_grows_past_three_hundred_lines():
    files = [*(ROOT / "dexar_widgets").rglob("*.py"), *(ROOT / "js" / "src").rglob("*.ts")]
    assert {path.name: lines for path in files if (lines := path.read_text().count("\n")) > 300} == {}
