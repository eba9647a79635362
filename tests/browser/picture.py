"""README's picture, taken from the demo's own page: ``python -m tests.browser.picture``."""

import tempfile
from pathlib import Path

from dexar_widgets import cli
from tests.browser.conftest import launched

PICTURE = Path(__file__).parents[2] / "notebooks" / "first_look.png"
WORD = "football"  # which README's first lines ask about
SIZE = {"width": 1180, "height": 900}


def main() -> None:
    """Run the demo, choose a word, take the picture."""
    with tempfile.TemporaryDirectory() as folder, launched() as chromium:
        page_file = Path(folder) / "demo.html"
        cli.main(["demo", "--out", str(page_file)])
        page = chromium.new_page(viewport=SIZE)
        page.goto(page_file.as_uri())
        page.get_by_role("option", name=WORD).click()
        page.mouse.move(0, 0)
        page.screenshot(path=PICTURE)


if __name__ == "__main__":
    main()
