"""A browser, and explanations opened in it from a file or in a notebook's host.

Any error and any request that leaves the machine (for a file: any request at all) fails the test.
"""

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dexar_widgets.doctor import browser as installed_browser
from dexar_widgets.explanation import Explanation
from tests.browser.hosts.notebook import Notebook, write
from tests.browser.hosts.servers import Server, jupyter, marimo
from tests.browser.view import View

FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
OF_THE_HOSTS = (
    "Could not restore the debugger state",  # a notebook closes with its kernel, with or without a widget
    "Could not send widget sync message",  # ipywidgets, of each change after the kernel has died
)
NO_BROWSER = "no Chrome, Chromium or Edge was found: install one, or set CHROMIUM=/path/to/it"
SCREEN = {"width": 1280, "height": 900}
Open = Callable[..., View]
NUMBERS = itertools.count()
OpenNotebook = Callable[..., Notebook]
RunApp = Callable[[str], object]


@contextlib.contextmanager
def launched() -> Iterator[object]:
    """The machine's browser, driven by Playwright; the program ends where there is none."""
    executable = installed_browser()
    if executable is None:
        raise SystemExit(NO_BROWSER)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(executable), args=FLAGS.split())
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def chromium() -> Iterator[object]:
    if installed_browser() is None:
        if os.environ.get("CI") == "true":
            pytest.fail(NO_BROWSER)
        pytest.skip(f"not run: {NO_BROWSER}")
    with launched() as browser:
        yield browser


@pytest.fixture
def open_file(chromium: object) -> Iterator[Open]:
    """Open a page from its file; the test fails if it asks for anything or complains."""
    trouble: list[str] = []
    contexts = []

    def open_page(file: Path, *, scheme: str = "light", width: int = 1280, height: int = 900) -> View:
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
        return View(page, trouble)

    yield open_page
    for context in contexts:
        context.close()
    assert not trouble, trouble


@pytest.fixture
def show(open_file: Open, tmp_path: Path) -> Open:
    """Write an explanation's page to a file and open it."""
    numbers = itertools.count()

    def open_page(explanation: Explanation | str, **screen: str | int) -> View:
        file = tmp_path / f"page{next(numbers)}.html"
        if isinstance(explanation, str):
            file.write_text(explanation, "utf-8")
        else:
            explanation.to_html(file)
        view = open_file(file, **screen)
        view.page.wait_for_selector(".stage canvas, [role=alert]")
        return view

    return open_page


def listen(page: object, trouble: list[str]) -> None:
    """Collect a host's errors, and the requests that leave the machine."""

    def console(message: object) -> None:
        if message.type == "error" and not any(known in message.text for known in OF_THE_HOSTS):
            trouble.append(f"console: {message.text}")

    def error(error: object) -> None:
        # Jupyter's own scripts throw too, when a notebook opens or the theme changes; a widget's module is a blob
        if "/static/" not in error.stack or "blob:" in error.stack:
            trouble.append(f"error: {error}\n{error.stack}")

    page.on("console", console)
    page.on("pageerror", error)
    page.on(
        "request",
        lambda request: (
            request.url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:"))
            or trouble.append(f"request: {request.url}")
        ),
    )


@pytest.fixture(scope="session")
def lab_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with jupyter("lab", tmp_path_factory.mktemp("lab")) as server:
        yield server


@pytest.fixture(scope="session")
def lab_page(chromium: object, lab_server: Server) -> Iterator[tuple[object, list[str]]]:
    """One JupyterLab for all tests of a process, with its trouble; each test opens its own notebooks there."""
    trouble: list[str] = []
    context = chromium.new_context(viewport=SCREEN)
    page = context.new_page()
    page.set_default_timeout(20_000)
    listen(page, trouble)
    page.goto(f"{lab_server.url}/lab?reset")
    page.wait_for_function("() => window.jupyterapp")
    page.evaluate(
        "jupyterapp.restored.then(() => jupyterapp.commands.execute('application:set-mode', "
        "{mode: 'single-document'})).then(() => jupyterapp.shell.collapseLeft())"
    )
    yield page, trouble
    context.close()


@pytest.fixture
def lab(lab_server: Server, lab_page: tuple[object, list[str]]) -> Iterator[OpenNotebook]:
    """Open a notebook with these cells, or one that lies there already, in JupyterLab; its kernel is ready."""
    page, trouble = lab_page
    opened: list[Notebook] = []

    def open_notebook(*cells: str, name: str | None = None) -> Notebook:
        notebook = Notebook(page, lab_server, name or f"notebook{next(NUMBERS)}.ipynb", trouble)
        if cells:
            write(notebook.file, cells)
        page.evaluate("path => jupyterapp.commands.execute('docmanager:open', {path}).then(() => 0)", notebook.name)
        opened.append(notebook)
        return notebook.ready()

    yield open_notebook
    for notebook in opened:
        notebook.close()
    found, trouble[:] = list(trouble), []
    assert not found, found


@pytest.fixture(scope="session")
def notebook7_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with jupyter("notebook", tmp_path_factory.mktemp("notebook7")) as server:
        yield server


@pytest.fixture
def notebook7(chromium: object, notebook7_server: Server) -> Iterator[OpenNotebook]:
    """Open a notebook with these cells in Notebook 7, in a page of its own; its kernel is ready."""
    trouble: list[str] = []
    context = chromium.new_context(viewport=SCREEN)
    opened: list[Notebook] = []

    def open_notebook(*cells: str) -> Notebook:
        page = context.new_page()
        page.set_default_timeout(20_000)
        listen(page, trouble)
        notebook = Notebook(page, notebook7_server, f"notebook{next(NUMBERS)}.ipynb", trouble)
        write(notebook.file, cells)
        page.goto(f"{notebook7_server.url}/notebooks/{notebook.name}")
        opened.append(notebook)
        return notebook.ready()

    yield open_notebook
    for notebook in opened:
        notebook.close()
    context.close()
    assert not trouble, trouble


@pytest.fixture
def app(chromium: object, tmp_path: Path) -> Iterator[RunApp]:
    """Run a marimo notebook's source as an app and open its page."""
    trouble: list[str] = []
    context = chromium.new_context(viewport=SCREEN)
    with contextlib.ExitStack() as servers:

        def run_app(source: str) -> object:
            file = tmp_path / "app.py"
            file.write_text(source, "utf-8")
            server = servers.enter_context(marimo(file, tmp_path))
            page = context.new_page()
            page.set_default_timeout(20_000)
            listen(page, trouble)
            page.goto(server.url)
            return page

        yield run_app
        context.close()
    assert not trouble, trouble
