"""Drawing on the image and the panel of failure cases, held to the numbers that Python computes."""

import csv
import re

import numpy as np
import pytest

from dexar_widgets import perturb
from dexar_widgets.explanation import Explanation
from dexar_widgets.maps import coverage
from dexar_widgets.widgets import html, results
from tests.browser.view import view_in
from tests.golden.cases import CASES, build, with_attention


def shares(e: Explanation, region) -> dict[str, float]:
    """Percent of each word's own energy inside a region, from the map and a mask of pixels."""
    grid = e.layout.grids[0]
    inside = coverage(perturb.mask_of(region, grid.image_size), grid)
    maps = {word.text: e.heatmap(step=list(word.steps)).values.astype(float) for word in e.generation.words}
    return {word: 100 * (values * inside).sum() / values.sum() for word, values in maps.items()}


class Stage:
    """The image as something to draw on, in its own pixels."""

    def __init__(self, view, e: Explanation) -> None:
        self.view, self.size = view, e.layout.grids[0].image_size

    def draw(self, mode: str, *points: tuple[float, float]) -> None:
        self.view.set("Draw on the image", mode)
        mouse = self.view.page.mouse
        stage = self.view.page.locator(".stage")
        stage.evaluate("stage => stage.scrollIntoView({block: 'nearest'})")
        self.box = stage.bounding_box()
        mouse.move(*self.at(points[0]))
        mouse.down()
        for point in points[1:]:
            mouse.move(*self.at(point))
        mouse.up()

    def at(self, point: tuple[float, float]) -> tuple[float, float]:
        (x, y), (width, height) = point, self.size
        return self.box["x"] + self.box["width"] * x / width, self.box["y"] + self.box["height"] * y / height


@pytest.fixture
def open_failures(show):
    def opened(e: Explanation, **options):
        view = show(e, **options)
        view.page.get_by_role("tab", name="Failures").click()
        return view, Stage(view, e)

    return opened


def table(view, index: int = 0) -> dict[str, list[str]]:
    """A table's rows by their first cell."""
    rows = view.page.locator(".failures table:visible").nth(index).locator("tbody tr").all()
    cells = [row.locator("th, td").all_inner_texts() for row in rows]
    return {row[0]: row[1:] for row in cells}


def percent(text: str) -> float:
    return float(text.removesuffix(" %"))


def test_a_box_drawn_with_the_mouse_gives_pythons_shares(open_failures):
    e = build(size=(400, 300))
    view, stage = open_failures(e)
    stage.draw("Box", (130.5, 60.5), (190, 100), (290.5, 210.5))
    region = (130, 60, 291, 211)
    found = table(view)
    for word, want in shares(e, region).items():
        inside, outside, ratio = found[word]
        assert percent(inside) == pytest.approx(want, rel=0.01)
        assert percent(outside) == pytest.approx(100 - want, rel=0.01)
        area = 100 * (161 * 151) / (400 * 300)
        assert float(ratio) == pytest.approx(want / area, rel=0.01)
    assert view.page.get_by_role("button", name="Hide it and ask again").is_disabled()
    assert "dx.check(e, step=" in view.text(".failures")
    stage.view.page.get_by_role("button", name="Clear").click()
    assert view.page.locator(".failures table:visible").count() == 0


def test_a_lasso_gives_pythons_shares_and_its_outline_is_drawn(open_failures):
    e = with_attention()
    view, stage = open_failures(e)
    stage.draw("Lasso", (8, 6), (35, 4), (44, 20), (30, 36), (10, 30))
    drawn = view.page.locator(".region path").first.get_attribute("d")
    points = [tuple(map(float, pair.split(","))) for pair in re.findall(r"[\d.]+,[\d.]+", drawn)]
    np.testing.assert_allclose(points, [(8, 6), (35, 4), (44, 20), (30, 36), (10, 30)], atol=0.15)
    found = table(view, 1)
    for word, want in shares(e, points).items():
        assert percent(found[word][0]) == pytest.approx(want, abs=3)  # a mask of 50 × 40 pixels is coarse


def test_the_box_is_clipped_to_the_image_and_may_lie_beside_the_grid(open_failures):
    e = CASES["three_to_one"]()  # cells from 15 to 75 of 90 pixels
    view, stage = open_failures(e)
    stage.draw("Box", (80, 5), (85, 10), (120, 50))
    assert view.page.locator(".region path").first.get_attribute("d") == "M80 5H90V30H80Z"
    assert "covers no cell" in view.text(".drawing")


def test_a_click_says_which_words_use_a_cell_and_they_light_up(open_failures):
    e = build(size=(400, 300))
    view, stage = open_failures(e)
    stage.draw("Cell", (250, 150))  # row 1, column 2 of 3 × 4
    line = view.text(".drawing [role=status]")
    assert line.startswith("Share of each word’s energy in row 2, column 3: ")
    maps = {word.text: e.heatmap(step=list(word.steps)).values for word in e.generation.words}
    known = {word: values for word, values in maps.items() if values[1, 2] > 0}
    for word, values in known.items():
        share, rank = re.search(rf"“{re.escape(word)}” ([\d.]+) % \(rank (\d+)\)", line).groups()
        assert float(share) == pytest.approx(100 * values[1, 2] / values.sum(), rel=0.01)
        assert int(rank) == 1 + (values > values[1, 2]).sum()
    assert line.count("“") == len(known)


def test_keys_pick_a_cell_grow_a_box_and_clear(open_failures):
    e = build(size=(400, 300))
    view, _ = open_failures(e)
    press = view.page.keyboard.press
    view.word(0).click()
    row, col = e.heatmap(step=0).peak
    view.page.locator(".stage canvas").focus()
    press("Enter" if view.page.locator(".cursor:visible").count() else "ArrowUp")  # the first arrow shows the peak
    press("Enter")
    line = view.text(".drawing [role=status]")
    assert line.startswith(f"Share of each word’s energy in row {row + 1}, column {col + 1}: ")
    down = "ArrowDown" if row == 0 else "ArrowUp"
    press(f"Shift+{down}")
    top = min(row, row + 1 if row == 0 else row - 1)
    drawn = view.page.locator(".region path").first.get_attribute("d")
    assert drawn == f"M{100 * col} {100 * top}H{100 * col + 100}V{100 * top + 200}H{100 * col}Z"
    press("Escape")
    assert view.page.locator(".drawing").inner_text().strip().endswith("Lasso")
    assert view.chosen() == [0]


def test_registers_share_of_attention_and_of_the_map_are_pythons(open_failures):
    e = with_attention()
    view, _ = open_failures(e)
    assert view.text(".failures section:not([hidden])").startswith("Register patches 1 of 20 patches may be registers")
    assert view.page.locator(".outliers path").first.get_attribute("d").startswith("M0 0H10")
    view.word(1).click()
    rows = e.attention[1][..., e.layout.tokens_of(0)].astype(float).mean((0, 1))
    values = e.heatmap(step=1).values.astype(float)
    found = table(view)
    assert percent(found["cells"][0]) == 5
    assert percent(found["attention"][0]) == pytest.approx(100 * rows[0] / rows.sum(), rel=0.01)
    assert percent(found["DEX-AR map"][0]) == pytest.approx(100 * values[0, 0] / values.sum(), rel=0.01)


def test_notes_are_made_with_a_key_and_read_back_from_the_file(open_failures, tmp_path):
    view, _ = open_failures(with_attention())
    view.word(1).click()
    view.page.keyboard.press("3")
    view.word(2).click()
    view.page.keyboard.press("2")
    with view.page.expect_download() as download:
        view.page.get_by_role("button", name="Save as CSV").click()
    file = tmp_path / "notes.csv"
    download.value.save_as(file)
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [(row["word"], row["steps"], row["tag"]) for row in rows] == [
        ("red", "1", "spurious"),
        ("suitcase", "2 3", "register"),
    ]
    assert rows[0]["answer"] == "a red suitcase"


@pytest.mark.parametrize("name", ["all_silenced", "one_cell", "one_step", "summary_only"])
def test_every_case_has_a_face(open_failures, name):
    e = CASES[name]()
    view, stage = open_failures(e, scheme="dark", width=390)
    width, height = stage.size
    stage.draw("Box", (width / 8, height / 8), (width / 4, height / 4), (width / 2, height / 2))
    stage.draw("Cell", (width / 2, height / 2))
    assert len(table(view)) == len(e.generation.words)
    assert "NaN" not in view.page.inner_text("body")
    silenced = view.page.locator(".failures li").count()
    assert silenced == int((e.word_weights() == 0).sum())


def measured(e: Explanation) -> str:
    """A page with results as they are kept of one answer; the numbers are made up."""
    steps, words = list(e.steps), [list(word.steps) for word in e.generation.words]
    chance = {"chance": 0.1, "low": -0.01, "high": 2.5, "p": 0.05, "randoms": 19}
    scores = {"log_prob": -0.5, "hidden": -3.5, "kept": -0.6}
    check = [{"steps": word, "word": "x"} | scores | chance for word in [*words, steps]]
    settings = results.settings("dexar", e.options())
    lines = {name: [-0.5, -1.0 - depth] for depth, name in enumerate(["high", "mean", "low", "own"])}
    curve = {"fractions": [0, 0.5], "lost": 3.3, "verdict": "above chance", "status": "ok", "how": "mean"}
    lost = [{"word": "x", "steps": word, "total": 2.0, "drop": [0.5] * (len(e.layers) - 1)} for word in [*words, steps]]
    windows = [[layer, layer + 1] for layer in range(len(e.layers) - 1)]
    found = [
        {"kind": "check", "about": {"region": [5, 5, 30, 30]}, "how": "mean", "checks": check},
        {"kind": "deletion", "about": {"steps": []} | settings} | chance | curve | lines,
        {"kind": "knockout", "about": {"cut": ["image", "answer"]}, "depth": len(e.layers), "aligned": True}
        | {"windows": windows, "words": lost},
    ]
    return html.page(e, view={"selection": [5, 5, 30, 30]}, results=found)


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_a_page_shows_what_was_measured_before_it_was_made(show, scheme, width):
    view = show(measured(with_attention()), scheme=scheme, width=width)
    assert view.root.locator(".layers .knockout svg").count() == 1
    assert view.root.get_by_role("button", name="Cut and ask again").count() == 0
    view.tab("Failures")
    rows = table(view, 1)
    assert rows["red"][:-1] == ["inside", "3.00", "0.10 (−0.01 to 2.50)", "0.05", "0.10"]
    assert len(rows) == 4 and "Whole answer" in rows
    assert view.root.locator(".failures svg polygon.chance").count() == 1
    for tab in ("Failures", "Flow"):
        view.tab(tab)
        for summary in view.root.locator("details:not([open]) > summary:visible").all()[::-1]:
            summary.click()
        assert view.violations() == []
        assert view.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    view.matrix.nth(1).press("ArrowRight")
    assert "nats lost" in view.text(".knockout .readout")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_no_accessibility_violation(open_failures, scheme, width):
    view, stage = open_failures(with_attention(), scheme=scheme, width=width)
    stage.draw("Box", (5, 5), (15, 15), (30, 30))
    stage.draw("Cell", (25, 25))
    view.page.keyboard.press("4")
    assert view.violations() == []
    assert view.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_words_text_is_never_markup(open_failures):
    hostile = "<img src=x onerror=alert(1)>"
    e = build(pieces=[" " + hostile], size=(400, 300))
    view, stage = open_failures(e)
    stage.draw("Box", (20, 20), (50, 50), (200, 200))
    view.word(0).click()
    view.page.keyboard.press("1")
    assert view.page.locator(".failures img").count() == 0
    assert hostile in view.text(".failures")


CHECKED = """
import time
from types import SimpleNamespace
import numpy as np
import dexar_widgets as dx
vlm = dx.load()
scene = dx.lab.scene(7)
e = dx.explain(vlm, scene.image, "what do you see?", attention=True, patch_norm=True)
mask = np.zeros(scene.image.shape[:2], bool)
mask[218:335, 255:377] = True
w = dx.Explorer(e, regions={"the middle": mask}, selection="the middle", display={"tab": "Failures"})
w
"""


def nats(text: str) -> float:
    return float(text.replace("−", "-"))


def test_hiding_a_region_tells_of_every_word_what_it_cost_and_can_be_stopped(lab):
    notebook = lab(CHECKED)
    notebook.run()
    view = view_in(notebook)
    assert view.root.get_by_label("Region", exact=True).input_value() == "the middle"
    hide = view.root.get_by_role("button", name="Hide it and ask again")
    hide.click()
    view.root.get_by_role("columnheader", name="Without the rest").wait_for()
    rows = view.root.locator(".failures table:visible", has_text="Without the rest").locator("tbody tr").all()
    notebook.execute("checks = dx.causal.checks(e, region=mask)")  # every word, and last the whole answer
    assert len(rows) == notebook.value("len(checks)")
    worst = notebook.value("max(range(len(checks) - 1), key=lambda word: checks[word].drop)")
    for place in (worst, -1):
        check = f"(lambda c: [c.drop, c.log_prob - c.kept, c.chance, *c.chance_range, c.p])(checks[{place}])"
        lost, rest, *chance, p = notebook.value(check)
        found = rows[place].locator("td").all_inner_texts()
        assert [nats(found[1]), nats(found[4])] == pytest.approx([lost, rest], abs=0.006)
        shown = [nats(number) for number in re.findall(r"−?[\d.]+", found[2])]
        assert shown == pytest.approx(chance, abs=0.006)
        assert nats(found[3]) == pytest.approx(p, abs=0.006)
    rows[worst].get_by_role("button").click()
    assert "19 random regions" in view.text(".failures")

    notebook.execute("passes = []\nvlm.model.register_forward_pre_hook(lambda *_: (passes.append(1), time.sleep(1)))")
    notebook.execute("w.selection = (0, 0, 100, 100)")
    hide.click()
    view.root.get_by_role("button", name="Stop").click()
    view.root.get_by_role("progressbar", name="Check").wait_for(state="hidden")
    assert notebook.value("len(passes)") < 3
    assert view.root.get_by_role("columnheader", name="Without the rest").count() == 0


def test_top_cells_and_cuts_are_measured_where_they_are_asked_for(lab):
    notebook = lab(CHECKED)
    notebook.run()
    view = view_in(notebook)
    view.root.get_by_role("button", name="Test the whole answer’s top cells").press("Enter")
    curve = view.root.locator(".failures svg.curve")
    curve.wait_for(timeout=60_000)
    notebook.execute("from dexar_widgets.causal import deletion; found = deletion(e, whole=True)")
    view.root.locator(".failures summary").click()
    rows = view.root.locator(".failures details tbody tr")
    own = [nats(text) for text in rows.locator("td:nth-child(2)").all_inner_texts()]
    random = [nats(text) for text in rows.locator("td:nth-child(3)").all_inner_texts()]
    assert own == pytest.approx(notebook.value("found.curves[0].tolist()"), abs=0.006)
    assert random == pytest.approx(notebook.value("found.random_curves[0].mean(0).tolist()"), abs=0.006)

    cuts = view.root.locator(".layers .knockout")
    cuts.get_by_role("radio", name="prompt → answer").check()
    cuts.get_by_role("button", name="Cut and ask again").click()
    cuts.locator("svg.curve").wait_for(timeout=60_000)
    notebook.execute("cut = dx.check(e, cut=('prompt', 'answer'))")
    cuts.locator("summary", has_text="As a table").click()
    lost = [nats(text) for text in cuts.locator("tbody td").all_inner_texts()]
    assert lost == pytest.approx(notebook.value("[*cut.drop[-1].tolist(), cut.total[-1]]"), abs=0.006)
    view.tab("Flow")
    below = view.root.locator(".flow .knockout")
    below.locator(".matrix canvas").wait_for()
    assert below.get_by_role("radio", name="prompt → answer").is_checked()
    below.locator("summary", has_text="As a table").click()
    totals = [nats(text) for text in below.locator("tbody td:nth-child(2)").all_inner_texts()]
    assert totals == pytest.approx(notebook.value("cut.total.tolist()"), abs=0.006)
    assert view.violations() == []

    marks = "{'cells': [0, 1], 'regions': {'the corner': (0, 0, 40, 30)}, 'notes': []}"
    notebook.execute(f"w.show(SimpleNamespace(kind='register', text='A corner.', marks={marks}))")
    view.root.get_by_role("button", name="Show the corner").click()
    assert view.text(".failures section").startswith("Found by the failure tools A corner.")
    assert view.root.locator(".region path").first.get_attribute("d") == "M0 0H40V30H0Z"
    assert view.violations() == []
