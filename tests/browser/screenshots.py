"""Pictures of every panel, light and dark, for people to look at: ``python -m tests.browser.screenshots FOLDER``."""

import re
import sys
import tempfile
from pathlib import Path

import dexar_widgets as dx
from tests.browser.conftest import SCREEN, launched
from tests.browser.hosts.notebook import Notebook, write
from tests.browser.hosts.servers import jupyter
from tests.browser.view import view_in

WIDTHS = {"wide": 1280, "narrow": 390}
LIVE = "import dexar_widgets as dx\nw = dx.Explorer(dx.load(), dx.lab.scene(7).image)\nw"


def main(folder: Path) -> None:
    """The page of an explanation in both schemes and at two widths, then JupyterLab in both themes."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as own, launched() as chromium:
        file = Path(own) / "page.html"
        explorer().to_html(file)
        for scheme in ("light", "dark"):
            for name, width in WIDTHS.items():
                size = SCREEN | {"width": width}
                page = chromium.new_page(color_scheme=scheme, viewport=size, reduced_motion="reduce")
                page.goto(file.as_uri())
                page.locator(".stage canvas[data-sum]").first.wait_for()
                take(page, folder, f"{scheme}-{name}")
                page.close()
        take_live(chromium, Path(own), folder)


def take_live(chromium: object, own: Path, folder: Path) -> None:
    """In JupyterLab: before a question, and with its answer in both themes."""
    with jupyter("lab", own) as lab:
        page = chromium.new_page(viewport=SCREEN | {"height": 2000})
        notebook = Notebook(page, lab, "live.ipynb", [])
        write(notebook.file, [LIVE])
        page.goto(f"{lab.url}/doc/tree/{notebook.name}")
        notebook.ready().run()
        shown = notebook.cell(0).locator(".dexar")
        shown.get_by_role("img", name="The image that will be asked about").wait_for()
        shown.screenshot(path=folder / "ask-first.png")
        notebook.execute("w.ask('what do you see?').result()")
        view_in(notebook)
        for theme in ("Light", "Dark"):
            notebook.js(
                "await jupyterapp.commands.execute('apputils:change-theme', {theme: argument});", f"JupyterLab {theme}"
            )
            page.wait_for_timeout(1000)
            shown.screenshot(path=folder / f"lab-{theme.lower()}.png")
        notebook.close()
        page.close()


def explorer() -> "dx.Explorer":
    """All that a panel can show: an answer about two images, attention rows, patches' detail, all methods, a region."""
    vlm, options = dx.load(), {"attention": True, "lens": True, "patch_norm": True}
    e = dx.explain(vlm, dx.lab.scene(7).image, "what do you see?", **options)
    other = dx.explain(vlm, dx.lab.scene(8).image, "what do you see?", answer=e.generation.text, **options)
    return dx.Explorer(dx.compare(e), other, selection=(255, 218, 377, 335))


def take(page: object, folder: Path, suffix: str) -> None:
    """The page as it opens, with a word chosen, and each panel and tab by itself."""
    page.screenshot(path=folder / f"page-{suffix}.png", full_page=True)
    page.locator(".wordlist").get_by_role("option", name="green").click()
    for panel in page.locator("section.panel:visible").all():
        panel.screenshot(path=folder / f"{named(panel.get_attribute('aria-label'))}-{suffix}.png")
    for tab in page.get_by_role("tab").all():
        tab.click()
        page.mouse.move(0, 0)
        page.locator("[role=tabpanel]").screenshot(path=folder / f"{named(tab.inner_text())}-{suffix}.png")


def named(label: str) -> str:
    """A label as a file's name."""
    return re.sub(r"\W+", "-", label.lower()).strip("-")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
