"""What a notebook becomes without any server: nbconvert's stock HTML, and the Explorer's own file."""

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter

import dexar_widgets as dx
from tests.browser.view import View
from tests.golden.cases import build

CELLS = (
    "import dexar_widgets as dx\nfrom tests.golden.cases import build\nw = dx.Explorer(build(), steps=[1])",
    "w.snapshot()",
    "w.snapshot(interactive=False)",
)


def test_stock_html_shows_the_snapshot_with_the_network_blocked(chromium, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(dx.__path__[0] + "/.."))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    html, _ = HTMLExporter().from_notebook_node(notebook)
    file = tmp_path / "notebook.html"
    file.write_text(html, "utf-8")
    context = chromium.new_context()
    context.route(lambda url: url.startswith("http"), lambda route: route.abort())
    try:
        page = context.new_page()
        asked_by_frames = []
        page.on(
            "request",
            lambda request: (
                request.frame != page.main_frame
                and not request.url.startswith(("data:", "about:"))
                and asked_by_frames.append(request.url)
            ),
        )
        page.goto(file.as_uri(), wait_until="domcontentloaded")
        frame = page.frame_locator("iframe").first
        frame.locator(".stage canvas[data-sum]").first.wait_for()
        view = View(page, [], frame.locator("body"))
        e = build()
        assert view.chosen() == [1]
        view.word(0).click()
        want = float(e.heatmap(step=0).values.sum())
        assert float(view.map_data()["sum"]) == pytest.approx(want, rel=5e-3, abs=1e-6)
        assert page.locator(".jp-RenderedImage img").first.evaluate("image => image.naturalWidth") > 0
        assert asked_by_frames == []
    finally:
        context.close()


def test_the_explorers_file_opens_where_the_explorer_stood(show, tmp_path):
    e = build(layers=6)
    w = dx.Explorer(e, steps=[1], layers=[2, 2], layer_mode="single")
    w.to_html(tmp_path / "stood.html")
    view = show((tmp_path / "stood.html").read_text("utf-8"))
    assert view.chosen() == [1]
    assert view.text(".layers .figure") == "layer 2 of 0–5"
    assert view.peak() == e.heatmap(step=1, layers=2).peak
    policy = view.page.get_attribute("meta[http-equiv]", "content")
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    w.close()
