"""The README's Python, run as it stands with the embedded model."""

import re
from pathlib import Path

import pytest

from dexar_widgets.widgets import html

README = (Path(__file__).parents[2] / "README.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
ELSEWHERE = ("llava-hf/", "photo.jpg")
"""What a block needs that is not in the package: a download, a file."""


@pytest.mark.slow
def test_the_examples_run_one_after_the_other(tmp_path, monkeypatch):
    for name in ("standalone.js", "widget.js", "builder.js"):  # which may not be built here
        (tmp_path / name).write_text("// the front end")
    monkeypatch.setattr(html, "STATIC", tmp_path)
    monkeypatch.chdir(tmp_path)
    here = [block for block in BLOCKS if not any(word in block for word in ELSEWHERE)]
    assert 4 < len(here) < len(BLOCKS)
    names: dict[str, object] = {}
    for block in here:
        line = README[: README.index(block)].count("\n")
        exec(compile("\n" * line + block, "README.md", "exec"), names)
    assert (tmp_path / "answer.html").exists()
