"""README's picture, taken from the demo's own page: ``python -m tests.browser.picture``."""

import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from dexar_widgets import cli
from dexar_widgets.doctor import browser
from tests.browser.conftest import FLAGS

PICTURE = Path(__file__).parents[2] / "notebooks" / "first_look.png"
SIZE = {"width": 1180, "height": 900}


def main() -> None:
    """Run the demo, choose the word with the largest visual weight, take the picture."""
    executable = browser()
    if executable is None:
        raise SystemExit("The picture needs Chrome, Chromium or Edge.")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page_file = Path(folder) / "demo.html"
        cli.main(["demo", "--out", str(page_file)])
        chromium = playwright.chromium.launch(executable_path=str(executable), args=FLAGS.split())
        page = chromium.new_page(viewport=SIZE)
        page.goto(page_file.as_uri())
        options = page.eval_on_selector_all(
            "[role=option]", "all => all.map(o => [o.textContent, o.dataset.weight ?? 0])"
        )
        weights = [float(weight) * text.strip().isalpha() for text, weight in options]  # a word, no comma
        page.locator("[role=option]").nth(weights.index(max(weights))).click()
        page.mouse.move(0, 0)
        page.screenshot(path=PICTURE)
        chromium.close()


if __name__ == "__main__":
    main()
