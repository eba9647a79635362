"""README's table of what there is, made from the plug-ins: ``python -m tests.support`` writes it anew."""

from itertools import chain
from pathlib import Path

from dexar_widgets import lab, plugins

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
BEGIN, END = "<!-- made by python -m tests.support -->\n", "<!-- until here -->\n"
TESTED = {
    "families": (
        "each against autograd through eager attention in float64, one forward per token, on small models",
        "contract/test_engine.py", "contract/test_families.py", "contract/test_families_published.py",
    ),
    "methods": (
        "each on every family, and against an independent writing of it",
        "contract/test_methods.py", "contract/test_methods_against_oracles.py", "contract/test_methods_by_hand.py",
    ),
    "metrics": (
        "each by numbers computed by hand, and by how it ranks the masks, noise and the opposite",
        "unit/test_metrics.py", "unit/test_metrics_curves.py", "contract/test_metrics_rank.py",
    ),
}  # fmt: skip
HOSTS = {
    "JupyterLab 4": "browser/test_lab.py",
    "Notebook 7": "browser/test_notebook7.py",
    "marimo": "browser/test_marimo.py",
    "one offline file": "browser/test_page.py",
    "nbconvert": "browser/test_nbconvert.py",
}


def table() -> str:
    """Families × methods × metrics × hosts, with what was tested."""
    rows = [_row(group, *told) for group, told in TESTED.items()]
    embedded = sorted(path.parent.name for path in lab.CHECKPOINTS.glob("*/model.safetensors"))
    models = _names(f"lab/{name}" for name in [*embedded, "analytic"])
    trained = "the trained ones by gates, on 500 fresh scenes each (their cards)"
    rows.append(f"| {len(embedded) + 1} embedded models | {models} | {trained} |")
    hosts = ", ".join(f"[{name}]({_test(file)})" for name, file in HOSTS.items())
    others = f"the file also in [Firefox and WebKit]({_test('browser/test_engines.py')})"
    rows.append(
        f"| {len(HOSTS)} hosts | {hosts} | a real server where there is one, a real browser (Chromium; {others}) |"
    )
    return "\n".join(["| | | tested |", "|---|---|---|", *rows]) + "\n"


def details() -> str:
    """Each plug-in with its own first sentence."""
    groups = chain.from_iterable(
        [f"\n**{group.capitalize()}**\n", *(f"- `{name}`: {_sentence(group, name)}" for name in plugins.names(group))]
        for group in TESTED
    )
    return "\n".join(["<details><summary>Each by its own first sentence</summary>", *groups, "", "</details>"]) + "\n"


def _row(group: str, said: str, *files: str) -> str:
    names = plugins.names(group)
    tests = ", ".join(f"[{number}]({_test(file)})" for number, file in enumerate(files, 1))
    return f"| {len(names)} {group} | {_names(names)} | {said} ({tests}) |"


def _test(file: str) -> str:
    if not (ROOT / "tests" / file).is_file():
        raise ValueError(f"README names tests/{file}, which is not there.")
    return f"tests/{file}"


def _names(names: object) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _sentence(group: str, name: str) -> str:
    return (plugins.get(group, name).__doc__ or "").strip().splitlines()[0]


def renewed(readme: str) -> str:
    """The README with the table as it is now."""
    before, rest = readme.split(BEGIN)
    return before + BEGIN + "\n" + table() + "\n" + details() + END + rest.split(END)[1]


if __name__ == "__main__":
    README.write_text(renewed(README.read_text("utf-8")), "utf-8")
