"""The Python that the pages show, run as it stands; real checkpoints are stood in for by embedded models."""

import inspect

import pytest
from PIL import Image

import dexar_widgets as dx
from dexar_widgets.widgets import html
from tests.pages import PAGES, blocks, name_of

STAND_INS = {
    "llava-hf/llava-1.5-7b-hf": "lab/llava",
    "/data/my-finetune": "lab/llava",
    "florence-community/Florence-2-base": "lab/florence2",
}
FOLDED = "notebooks/workshop/tasks.ipynb"
"""Its answers go on where its cells end: `tests/unit/test_workshop.py` runs them."""
SHOWING = [page for page in PAGES if blocks(page, "python") and name_of(page) != FOLDED]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a photograph, where names of real checkpoints load, and a front end, which may not be built."""
    real = dx.load

    def load(model="lab/llava", **options):
        inspect.signature(real).bind(model, **options)
        return real(STAND_INS[model]) if model in STAND_INS else real(model, **options)

    monkeypatch.setattr(dx, "load", load)
    (tmp_path / "static").mkdir()
    for name in ("standalone.js", "widget.js", "builder.js"):
        (tmp_path / "static" / name).write_text("// the front end")
    monkeypatch.setattr(html, "STATIC", tmp_path / "static")
    monkeypatch.chdir(tmp_path)
    Image.fromarray(dx.lab.scene(7).image).save("photo.jpg")
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("page", SHOWING, ids=name_of)
def test_the_blocks_of_a_page_run_one_after_the_other(page, here):
    names: dict[str, object] = {"dx": dx}
    for number, block in enumerate(blocks(page, "python")):
        exec(compile(block, f"{name_of(page)}, block {number}", "exec"), names)
    made = {"README.md": "answer.html", "notebooks/workshop/README.md": "lesson.html"}.get(name_of(page))
    assert made is None or (here / made).is_file()


def test_the_readme_is_among_them():
    assert {"README.md", "notebooks/06_your_own_model.ipynb"} <= set(map(name_of, SHOWING))
