"""Imports point one way: read from the source, not from what happens to run."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "dexar_widgets"
FILES = sorted(PACKAGE.rglob("*.py"))
TORCH = {"torch", "transformers", "accelerate"}
NUMPY_ONLY = [
    "equality",
    "types",
    "filters",
    "maps",
    "perturb",
    "words",
    "explanation",
    "files",
    "tables",
    "images",
    "widgets.wire",
    "widgets.explorer",
]
TOP = ["explain", "causal", "failures", "lab", "evaluation", "widgets", "cli", "doctor", "figures"]
ENGINE_ROOM = ["hooks", "engine", "families", "methods", "metrics"]
EXTRAS = {"pyarrow", "ray", "uv", "xarray", "accelerate"}
CORE = {
    *("numpy", "pandas", "PIL", "plotly", "jaxtyping", "safetensors", "torch", "transformers", "typer", "rich"),
    *("anywidget", "ipywidgets", "traitlets", "IPython"),  # the last two come with ipywidgets
    *("huggingface_hub", "tokenizers"),  # they come with transformers
}
PLUGINS = ["families", "methods", "metrics"]


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


NAMES = {name_of(path) for path in FILES}


def statements(tree: ast.AST, lazy: bool) -> Iterator[ast.stmt]:
    """Import statements: those that run on import, or with ``lazy`` also those inside functions."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        elif lazy or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from statements(node, lazy)


def imported(path: Path, *, lazy: bool) -> set[str]:
    """Dotted names that a file imports; ours without the leading ``dexar_widgets.``."""
    names = set()
    for node in statements(ast.parse(path.read_text()), lazy):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        else:
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            for alias in node.names:
                whole = f"{module}.{alias.name}".removeprefix("dexar_widgets.")
                names.add(whole if whole in NAMES else module)
    return {name.removeprefix("dexar_widgets.") for name in names}


def within(name: str, packages: list[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


EAGER = {name_of(path): imported(path, lazy=False) for path in FILES}
EVER = {name_of(path): imported(path, lazy=True) for path in FILES}


def reached_from(start: set[str], *, parents: bool) -> set[str]:
    """What these import, directly or through others of ours; with ``parents``, the packages around them too."""
    seen: set[str] = set()
    todo = set(start)
    while todo:
        current = todo.pop()
        seen.add(current)
        packages = {".".join(current.split(".")[:n]) for n in range(1, current.count(".") + 1)} if parents else set()
        todo |= (EAGER.get(current, set()) | (packages & NAMES)) - seen
    return seen


@pytest.mark.parametrize("name", sorted(NAMES))
def test_no_module_imports_itself_in_a_circle(name):
    assert name not in reached_from(EAGER[name] & NAMES, parents=False)


@pytest.mark.parametrize("name", sorted(name for name in NAMES if within(name, NUMPY_ONLY)))
def test_what_is_numpy_only_never_reaches_torch(name):
    assert not {module.split(".")[0] for module in reached_from({name}, parents=True)} & TORCH


@pytest.mark.parametrize(
    "name", sorted(name for name in NAMES if within(name, ["filters", "maps", "perturb", "words"]))
)
def test_the_arithmetic_knows_nothing_of_models_and_faces(name):
    assert not [module for module in EVER[name] & NAMES if within(module, TOP + ENGINE_ROOM)]


@pytest.mark.parametrize("name", sorted(name for name in NAMES if within(name, ENGINE_ROOM)))
def test_the_engine_room_never_imports_the_faces(name):
    assert not [module for module in EVER[name] & NAMES if within(module, TOP)]


@pytest.mark.parametrize("name", sorted(name for name in NAMES if within(name, PLUGINS) and "." in name))
def test_plug_ins_never_import_their_siblings(name):
    folder = name.rpartition(".")[0]
    siblings = {other for other in NAMES if other.startswith(f"{folder}.") and not other.startswith(f"{folder}._")}
    assert not EVER[name] & (siblings - {name})


@pytest.mark.parametrize(
    ("name", "below", "shown_by"),
    [("equality", set(), set()), ("types", {"equality"}, {"display"}), ("jobs", set(), set())],
)
def test_the_lowest_level_imports_nothing_of_ours_but_to_show_itself(name, below, shown_by):
    assert EAGER[name] & NAMES <= below
    assert EVER[name] & NAMES <= below | shown_by


def test_jobs_need_the_standard_library_alone():
    assert {module.split(".")[0] for module in EVER["jobs"]} <= sys.stdlib_module_names


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_core_install_has_what_is_imported_and_extras_are_imported_late(name):
    def foreign(names: set[str]) -> set[str]:
        return {module.split(".")[0] for module in names - NAMES} - sys.stdlib_module_names - {"dexar_widgets"}

    assert foreign(EAGER[name]) <= CORE
    assert foreign(EVER[name]) <= CORE | EXTRAS


def test_only_hooks_registers_hooks_on_a_model():
    registering = {
        name_of(path)
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr.startswith("register_") and node.attr.endswith("_hook")
    }
    assert registering <= {"hooks"}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_annotations_stay_objects_that_the_shape_check_can_read(path):
    future = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    assert not [node for node in future if node.module == "__future__"]


def test_importing_the_package_is_quick_and_loads_no_torch():
    script = (
        "import sys, time; start = time.perf_counter(); import dexar_widgets; "
        "print(time.perf_counter() - start, *sorted(set(sys.modules) & {'torch', 'transformers', 'pandas', 'plotly'}))"
    )
    said = [
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True) for _ in range(5)
    ]
    seconds, *heavy = min((run.stdout.split() for run in said), key=lambda words: float(words[0]))
    assert heavy == []
    assert float(seconds) < 0.2  # the best of five: the machine may be busy
