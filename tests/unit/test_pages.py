"""A page of chapters: text is text, long tables fold where asked, and without charts there is no script."""

import numpy as np
import pytest

from dexar_widgets.pages import Cell, Chapter, Chart, Table, html, markdown, number


def test_a_page_without_charts_has_no_script():
    text = html("title", [Chapter("a", ("b",), (Table("c", ("d",), [[Cell("e\nf", "as expected")]]),))])
    assert "script-src 'none'" in text
    assert "<script" not in text
    assert '<td class="as"><b>e</b><small>f</small></td>' in text


def test_long_tables_and_chapters_fold_where_asked():
    rows = [[Cell(str(count))] for count in range(41)]
    part = Chapter("a", (), (Table("long", ("d",), rows),))
    assert "<details" not in html("t", [part])
    assert "<details" not in html("t", [part], most_rows=41)
    assert "<details><summary>long (41 rows)" in html("t", [part], most_rows=40)
    assert "<details><summary>Show</summary><p>b</p></details>" in html("t", [Chapter("a", ("b",), folded=True)])


def test_markdown_has_cells_that_cannot_end_and_names_charts():
    chapter = Chapter("a", ("b",), (Table("c", ("d",), [[Cell("e|f\ng")]]),), [Chart("h", {})])
    assert markdown("t", [chapter]) == (
        "# t\n\n## a\n\nb\n\n**c**\n\n| d |\n|---|\n| e\\|f; g |\n\nCharts in the HTML page: h.\n"
    )


@pytest.mark.parametrize(
    ("value", "text"), [(0.1234, "0.123"), (12.34, "12.3"), (0.0, "0.000"), (1e-6, "1.0e-06"), (np.nan, "–")]
)
def test_numbers_are_written_with_three_digits(value, text):
    assert number(value) == text


def test_markdown_makes_no_link_of_what_a_name_holds():
    text = markdown("t", [Chapter("c", ("see [x](http://a.b) and [x][1], [x]: y; lab [c] and ['iou'] stay; a\\b",))])
    assert "[x](" not in text
    assert "[x][" not in text
    assert "[x]:" not in text
    assert "see [x\\](http://a.b)" in text
    assert "lab [c] and ['iou'] stay; a\\\\b" in text
