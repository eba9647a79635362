"""What a view shows, read the way a person or a screen reader would."""

from pathlib import Path

import pytest

from tests.browser.hosts.notebook import Notebook

AXE = Path(__file__).parents[2] / "js" / "node_modules" / "axe-core" / "axe.min.js"


class View:
    """One opened view, and what it says: the whole page of a file, or one output of a notebook's page."""

    def __init__(self, page: object, trouble: list[str], root: object = None) -> None:
        self.page = page
        self.trouble = trouble
        self.root = page.locator("body") if root is None else root

    def violations(self) -> list[object]:
        """What axe-core has against the view's accessibility; the test is skipped where that is not installed."""
        if not AXE.is_file():
            pytest.skip("not run: js/node_modules is not installed (npm --prefix js ci)")
        self.page.evaluate(AXE.read_text("utf-8"))
        return self.root.evaluate(
            "root => axe.run(root === document.body ? document : root)"
            ".then(found => found.violations.map(v => [v.id, v.nodes.map(n => n.html)]))"
        )

    def word(self, index: int) -> object:
        """An option of the answer's list of words."""
        return self.root.locator(".wordlist [role=option]").nth(index)

    def set(self, group: str, choice: str) -> None:
        """Choose one of a row of radio buttons."""
        self.root.get_by_role("radiogroup", name=group).get_by_role("radio", name=choice).check()

    def tab(self, name: str) -> None:
        """Open one of the panels that take turns."""
        self.root.get_by_role("tab", name=name).click()

    @property
    def matrix(self) -> object:
        """The canvas of the heads or the flow."""
        return self.root.locator(".matrix canvas")

    def total(self) -> float:
        """Sum of the map that is shown."""
        return float(self.map_data()["sum"])

    def chosen(self) -> list[int]:
        """Indices of the chosen words."""
        return self.root.locator(".wordlist [role=option]").evaluate_all(
            "all => all.flatMap((o, i) => o.ariaSelected === 'true' ? [i] : [])"
        )

    def counts(self) -> dict[str, int]:
        """Heads kept of heads, words silenced of words."""
        found = self.root.locator(".counts").evaluate("line => ({...line.dataset})")
        return {name: int(value) for name, value in found.items()}

    def peak(self) -> tuple[int, int]:
        """Row and column of the map's largest value."""
        data = self.map_data()
        return int(data["row"]), int(data["col"])

    def map_data(self) -> dict[str, str]:
        """The canvas's own account of the map."""
        return self.root.locator(".stage canvas").first.evaluate("canvas => ({...canvas.dataset})")

    def pixels(self) -> list[int]:
        """RGBA of the overlay, row-major, once what changed is drawn."""
        return self.root.locator(".stage canvas").first.evaluate(
            """async (c) => {
              await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
              const copy = new OffscreenCanvas(c.width, c.height).getContext("2d", { willReadFrequently: true });
              copy.drawImage(c, 0, 0);
              return Array.from(copy.getImageData(0, 0, c.width, c.height).data);
            }"""
        )

    def text(self, selector: str) -> str:
        """The text of an element, white space collapsed."""
        return " ".join(self.root.locator(selector).first.inner_text().split())


def view_in(notebook: Notebook, cell: int = 0, *, nth: int = 0) -> View:
    """The view that a cell shows, once its map is drawn."""
    root = notebook.cell(cell).locator(".dexar").nth(nth)
    root.scroll_into_view_if_needed()
    root.locator(".stage canvas[data-sum]").first.wait_for()
    return View(notebook.page, notebook.trouble, root)
