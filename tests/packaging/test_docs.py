"""Whatever a page points to is there: links in Markdown and notebooks, names in the reference."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest

import dexar_widgets as dx
from tests import support
from tests.pages import PAGES, ROOT, name_of, text_of

LINK = re.compile(r"\]\(([^()\s]+(?:\([^()\s]*\)[^()\s]*)?)\)")
CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.MULTILINE | re.DOTALL)


def anchors(text: str) -> set[str]:
    """Of the headings, as GitHub makes them."""
    heads = re.findall(r"^#+ +(.+)$", CODE.sub("", text) if "```" in text else text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.strip().lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page):
    for link in LINK.findall(CODE.sub("", text_of(page))):
        target = urlparse(link)
        if target.scheme:
            assert target.scheme in ("https", "attachment"), link
            continue
        file = page.parent / unquote(target.path) if target.path else page
        assert file.exists(), f"{link} leads to nothing"
        if target.fragment and file.suffix in (".md", ".ipynb"):
            assert target.fragment in anchors(text_of(file)), f"{link}: no such heading"


def test_the_readmes_table_is_that_of_the_plug_ins():
    readme = support.README.read_text("utf-8")
    assert readme == support.renewed(readme), "python -m tests.support writes it anew"


class Page(HTMLParser):
    """The links and the places of one page of the reference."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.places: set[str] = set()
        self.feed(file.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.places |= {named["id"]} if named.get("id") else set()
        self.links += [named["href"]] if tag == "a" and named.get("href") else []


@pytest.mark.slow
def test_the_reference_builds_and_every_link_in_it_leads_somewhere(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "tests.reference", tmp_path], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr[-2000:]
    pages = {file.resolve(): Page(file) for file in tmp_path.rglob("*.html")}
    for file, page in pages.items():
        for link in page.links:
            target = urlparse(link)
            if target.scheme in ("http", "https", "data"):
                continue
            there = (file.parent / unquote(target.path)).resolve() if target.path else file
            assert there in pages, f"{file.name}: {link}"
            assert not target.fragment or unquote(target.fragment) in pages[there].places, f"{file.name}: {link}"
    front = pages[(tmp_path / "dexar_widgets.html").resolve()]
    assert set(dx.__all__) - {"failures", "lab"} <= front.places


@pytest.mark.parametrize("name", sorted(set(dx.__all__)))
def test_every_public_name_says_what_it_is(name):
    assert (getattr(dx, name).__doc__ or "").strip()
