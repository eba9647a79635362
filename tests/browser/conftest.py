"""A browser, and explanations opened in it from a file: any request, error or policy violation fails the test."""

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dexar_widgets.doctor import browser as installed_browser
from dexar_widgets.explanation import Explanation

FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
Open = Callable[..., "View"]


@pytest.fixture(scope="session")
def chromium() -> Iterator[object]:
    executable = installed_browser()
    if executable is None:
        said = "no Chrome, Chromium or Edge was found: install one, or set CHROMIUM=/path/to/it"
        if os.environ.get("CI") == "true":
            pytest.fail(said)
        pytest.skip(f"not run: {said}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(executable), args=FLAGS.split())
        yield browser
        browser.close()


class View:
    """One opened page, and what it says."""

    def __init__(self, page: object, trouble: list[str]) -> None:
        self.page = page
        self.trouble = trouble

    def word(self, index: int) -> object:
        """An option of the answer's list of words."""
        return self.page.locator("[role=option]").nth(index)

    def set(self, group: str, choice: str) -> None:
        """Choose one of a row of radio buttons."""
        self.page.get_by_role("radiogroup", name=group).get_by_role("radio", name=choice).check()

    def chosen(self) -> list[int]:
        """Indices of the chosen words."""
        return self.page.eval_on_selector_all(
            "[role=option]", "all => all.flatMap((o, i) => o.ariaSelected === 'true' ? [i] : [])"
        )

    def counts(self) -> dict[str, int]:
        """Heads kept of heads, words silenced of words."""
        found = self.page.eval_on_selector(".counts", "line => ({...line.dataset})")
        return {name: int(value) for name, value in found.items()}

    def peak(self) -> tuple[int, int]:
        """Row and column of the map's largest value."""
        data = self.map_data()
        return int(data["row"]), int(data["col"])

    def map_data(self) -> dict[str, str]:
        """The canvas's own account of the map."""
        return self.page.eval_on_selector(".stage canvas", "canvas => ({...canvas.dataset})")

    def pixels(self) -> list[int]:
        """RGBA of the overlay, row-major."""
        return self.page.eval_on_selector(
            ".stage canvas",
            "c => Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)",
        )

    def text(self, selector: str) -> str:
        """The text of an element, white space collapsed."""
        return " ".join(self.page.locator(selector).first.inner_text().split())


@pytest.fixture
def show(chromium: object, tmp_path: Path) -> Iterator[Open]:
    """Write an explanation's page to a file and open it; the test fails if it asks for anything or complains."""
    trouble: list[str] = []
    contexts = []
    numbers = itertools.count()

    def open_page(
        explanation: Explanation | str, *, scheme: str = "light", width: int = 1280, height: int = 900
    ) -> View:
        file = tmp_path / f"page{next(numbers)}.html"
        if isinstance(explanation, str):
            file.write_text(explanation, "utf-8")
        else:
            explanation.to_html(file)
        context = chromium.new_context(color_scheme=scheme, viewport={"width": width, "height": height})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: trouble.append(f"console {message.type}: {message.text}"))
        page.on("pageerror", lambda error: trouble.append(f"error: {error}"))
        page.on(
            "request",
            lambda request: (
                request.url.startswith(("data:", file.as_uri())) or trouble.append(f"request: {request.url}")
            ),
        )
        page.goto(file.as_uri())
        page.wait_for_selector(".stage canvas, [role=alert]")
        return View(page, trouble)

    yield open_page
    for context in contexts:
        context.close()
    assert not trouble, trouble
