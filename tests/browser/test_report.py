"""The page of `dexar report` in a real browser: it asks for nothing, draws its charts, folds, and fits every screen."""

from pathlib import Path

import pytest

from dexar_widgets.evaluation import data, report, results
from tests.unit.evaluated import lost, score, write

CURVES = {"levels": [0.0, 0.5, 1.0], "positive": [1.0, 4.0, 6.0], "negative": [1.0, 1.0, 6.0], "insertion": []}
VALUES = {"dexar": 0.4, "attention": 0.5, "random": 0.1, "a method of a name that has no end " * 3: 0.3}
FITS = "document.documentElement.scrollWidth <= innerWidth"
DRAWN = "chart => chart.querySelectorAll('.trace .points path, .trace .lines path').length"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with losses, a table of the paper, charts, pictures, long tables and units without a result."""
    folder = tmp_path_factory.mktemp("report")
    dataset = data.open("lab", count=12)
    scores = [
        score(sample, name, value + place / 100, metric=metric, target=f"object {place}")
        for name, value in VALUES.items()
        for place, sample in enumerate(dataset.ids)
        for metric in ("iou", "soft_iou", "energy_pointing_game")
    ]
    broken = [lost(place, "dexar", reason=f"MemoryError: no room for {place}") for place in range(41)]
    units = CURVES | {"box": [0.0, 0.0, 384.0, 384.0]}
    written = write(folder / "results", *scores, *broken, units=units, data_settings=dict(dataset.settings))
    return report.write(results.read([written]), folder)["html"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits_draws_and_folds_out(open_file, page, scheme, width):
    view = open_file(page, scheme=scheme, width=width)
    assert view.page.evaluate(FITS)
    charts = view.page.locator(".chart").all()
    assert len(charts) >= 3
    for chart in charts:
        chart.scroll_into_view_if_needed()
        chart.locator(".main-svg").first.wait_for()
        assert chart.evaluate(DRAWN) >= len(VALUES)
    folded = view.page.locator("details").all()
    assert len(folded) >= 2
    for part in folded:
        assert not part.locator("table").first.is_visible()
        part.locator("summary").first.click()
        assert part.locator("table").first.is_visible()
    assert view.page.locator("img").count() >= 6
    assert view.page.locator("img").evaluate_all("all => all.every(image => image.complete && image.naturalWidth > 0)")
    assert view.page.evaluate(FITS)
    assert view.violations() == []
