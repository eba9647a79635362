"""One method's maps of one answer: what they may be, what is read from them, and how they are kept; by hand."""

import json
from dataclasses import replace

import made
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dexar_widgets import figures, sheets
from dexar_widgets.attribution import Attribution, Cost
from dexar_widgets.files import read
from dexar_widgets.types import Word

COST = Cost(1.0, 0.25, 0.5, 3_000_000, 2, 1)


def explanation(steps=3):
    layout = made.layout_of(["special", "image", "image", "prompt"], 1, 2)
    values = np.random.default_rng(0).random((steps, 1, 1, 4)) + np.array([0, 2, 2, 0])
    return made.explanation_of(made.tensor_of(values), layout)


def attribution(e, maps, method="rise", **changes):
    array = np.asarray(maps, np.float32)
    given = {
        "method": method,
        "title": method.upper(),
        "example": e.example,
        "generation": e.generation,
        "grid": e.layout.grids[0],
        "steps": e.steps,
        "maps": array,
        "weights": np.ones(len(array)),
        "unit": "something",
        "cost": COST,
    }
    return Attribution(**(given | changes))


def test_seconds_are_those_of_the_answer_what_is_shared_and_its_own_work():
    assert COST.seconds == 1.75


def test_a_words_map_is_the_raw_sum_of_its_steps_and_the_answers_weighs_them():
    e = explanation()
    generation = made.generation_of(3, (Word("ab", (0, 1)), Word("c", (2,))))
    e = replace(e, generation=generation)
    found = attribution(e, [[[1, -2]], [[3, 4]], [[0, 8]]], weights=np.array([1.0, 0.5, 2.0]))
    assert found.heatmap("ab").values.tolist() == [[4, 2]]
    assert found.heatmap(-1).values.tolist() == [[0, 8]]
    assert found.heatmap([0, 2]).steps == (0, 2)
    assert found.sequence_map().values.tolist() == [[1 + 1.5, -2 + 2 + 16]]
    assert found.sequence_map().method == "rise"


def test_minmaxed_maps_are_scaled_each_before_they_are_weighed():
    e = explanation()
    maps = [[[1, -2]], [[3, 4]], [[5, 5]]]
    found = attribution(e, maps, weights=np.array([1.0, 0.5, 2.0]), minmaxed=True)
    assert found.sequence_map().values.tolist() == [[1, 0.5]]  # a constant map counts for nothing


@pytest.mark.parametrize(
    ("values", "gated", "status"),
    [([0, 0], True, "silenced"), ([0, 0], False, "constant"), ([2, 2], True, "constant"), ([0, 2], True, "ok")],
)
def test_a_map_of_zeros_is_silenced_where_the_method_has_gates_and_constant_elsewhere(values, gated, status):
    assert attribution(explanation(), [[values]] * 3, gated=gated).heatmap(0).status == status


def test_one_map_of_the_whole_answer_is_no_words():
    found = attribution(explanation(), [[[1, 2]]])
    assert found.whole
    assert found.heatmap([0, 1, 2]).values.tolist() == found.sequence_map().values.tolist() == [[1, 2]]
    with pytest.raises(ValueError, match=r"rise gave one map of the whole answer, and step='a' names a part of it"):
        found.heatmap("a")
    assert not attribution(explanation(1), [[[1, 2]]]).whole  # of one word it is its own


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("maps", "changes", "said"),
    [
        ([[[1, 2]]] * 2, {}, r"rise gave maps of shape \(2, 1, 2\); expected one per step \(3\), or one for all"),
        ([[[1], [2]]] * 3, {}, r"on the layout's 1×2 grid"),
        ([[[1, np.nan]]] * 3, {}, "rise gave NaN or infinity"),
        ([[[1, 2]]] * 3, {"weights": np.ones(2)}, "3 maps but 2 weights"),
        ([[[1, 2]]] * 3, {"weights": np.array([1, np.inf, 0])}, "rise gave NaN or infinity"),
    ],
)
def test_what_cannot_be_a_map_is_refused(maps, changes, said):
    with pytest.raises(ValueError, match=said):
        attribution(explanation(), maps, **changes)


def test_it_shows_itself():
    found = attribution(explanation(), [[[1, 2]], [[3, 4]], [[0, 8]]])
    assert repr(found) == "Attribution('rise', 'a b c', 3 maps of 1×2, 1.75 s)"
    assert found._repr_png_().startswith(b"\x89PNG")


def compared():
    e = explanation()
    many = {
        "rise": attribution(e, [[[1, 2]], [[3, 4]], [[0, 8]]], options={"n_masks": 2}, notes={"error": 0.5}),
        "random": attribution(
            e, [[[1, 0]], [[0, 1]], [[0, 0]]], "random", control=True, cost=replace(COST, peak_bytes=None)
        ),
        "iia": attribution(e, [[[-1, 3]]], "iia"),
    }
    return replace(e, attributions=many)


def test_an_explanation_keeps_them_through_a_file_and_the_image_once(tmp_path):
    e = compared()
    back = read(e.save(tmp_path / "e.safetensors"))
    assert back == e
    assert list(back.attributions) == ["rise", "random", "iia"]
    assert back.attributions["rise"].options == {"n_masks": 2}
    assert back.attributions["rise"].example.image is back.example.image
    assert back != replace(e, attributions={})


def test_maps_of_another_answer_are_refused():
    e = compared()
    other = replace(e.attributions["rise"], generation=replace(e.generation, ids=e.generation.ids + 1))
    with pytest.raises(ValueError, match=r"'rise' holds Attribution.*of another answer"):
        replace(e, attributions={"rise": other})
    with pytest.raises(ValueError, match="of another answer"):
        replace(e, attributions={"tam": e.attributions["rise"]})
    for change in ({"prompt": "and this?"}, {"image": e.example.image + 1}):
        asked = replace(e.attributions["rise"], example=replace(e.example, **change))
        with pytest.raises(ValueError, match="of another answer"):
            replace(e, attributions={"rise": asked})


def test_the_table_of_methods_has_a_row_per_word_and_one_for_the_answer_with_what_each_cost():
    rows = compared().to_pandas("methods", sample="it")
    assert rows.method.tolist() == ["rise"] * 4 + ["random"] * 4 + ["iia"]
    assert rows.word.tolist() == ["a", "b", "c", ""] * 2 + [""]
    assert set(rows["sample"]) == {"it"}
    rise = rows[rows.method == "rise"]
    assert rise.peak.tolist() == [2, 4, 8, 14]
    assert rise.energy.tolist() == [3, 7, 8, 18]
    assert rise.peak_col.tolist() == [1, 1, 1, 1]
    assert rise.seconds.tolist() == [1.75] * 4
    assert rows[rows.method == "random"].peak_bytes.isna().all()
    assert rows[rows.method == "random"].status.tolist() == ["ok", "ok", "constant", "constant"]
    assert rows[rows.method == "random"].rank_correlation.isna().tolist() == [False, False, True, True]
    iia = rows[rows.method == "iia"].iloc[0]
    assert (iia.energy, iia.peak) == (3, 3)  # what is negative is no energy
    assert set(rise.options) == {'{"n_masks": 2}'} and set(rise.notes) == {'{"error": 0.5}'}


def test_rank_correlation_is_one_with_the_same_order_and_minus_one_with_the_opposite():
    e = explanation()
    ours = e.heatmap(0).values
    assert ours.max() > ours.min()
    many = {"rise": attribution(e, [ours**3 + 1] * 3), "tam": attribution(e, [-ours] * 3, "tam")}
    rows = replace(e, attributions=many).to_pandas("methods")
    assert rows[(rows.word == "a") & (rows.method == "rise")].rank_correlation.item() == pytest.approx(1)
    assert rows[(rows.word == "a") & (rows.method == "tam")].rank_correlation.item() == pytest.approx(-1)


def test_the_table_of_cells_holds_the_values_themselves():
    rows = compared().to_pandas("method_cells")
    assert len(rows) == 2 * (4 + 4 + 1)
    answer = rows[(rows.method == "iia")]
    assert answer[["row", "col", "value"]].to_numpy().tolist() == [[0, 0, -1], [0, 1, 3]]


@pytest.mark.parametrize("kind", ["methods", "method_cells"])
def test_without_other_methods_there_is_no_such_table(kind):
    with pytest.raises(ValueError, match=r"holds no other method's maps; dx\.compare"):
        explanation().to_pandas(kind)
    assert isinstance(explanation().to_pandas("steps"), pd.DataFrame)


# The sheet


def pictures(scale, **options):
    """The middle pixel of each picture on a sheet, by (row, column); the text around is not looked at."""
    painted = {}

    class Spy(sheets._Sheet):
        def picture(self, row, column, pixels, status):
            painted[row, column] = pixels
            super().picture(row, column, pixels, status)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sheets, "_Sheet", Spy)
        sheet = sheets.sheet(compared(), scale=scale, opacity=1.0, **options)
    return sheet, painted


def left_and_right(pixels):
    """The colours of the two cells."""
    return pixels[len(pixels) // 2, 2].tolist(), pixels[len(pixels) // 2, -3].tolist()


LOW, HIGH = figures.COLOUR_TABLES["cividis"][0].tolist(), figures.COLOUR_TABLES["cividis"][-1].tolist()


def test_a_sheet_has_a_row_per_word_and_a_column_per_method_controls_last():
    sheet, painted = pictures("map")
    assert set(painted) == {(row, column) for row in range(4) for column in range(3)} - {(0, 1), (1, 1), (2, 1)}
    assert isinstance(sheet, Image.Image)
    assert sheet.width > sheet.height / 3
    _, without = pictures("map", controls=False)
    assert {column for _, column in without} == {0, 1}


def test_each_map_has_its_own_scale():
    _, painted = pictures("map")
    for row in range(3):
        assert left_and_right(painted[row, 0]) == (LOW, HIGH)


def test_the_words_of_a_method_share_one():
    _, painted = pictures("method")
    table = figures.COLOUR_TABLES["cividis"]
    assert left_and_right(painted[2, 0]) == (LOW, HIGH)  # 0 and 8, the ends of all
    assert left_and_right(painted[0, 0]) == (table[round(255 / 8)].tolist(), table[round(255 / 4)].tolist())
    assert left_and_right(painted[3, 0]) == (LOW, HIGH)  # the whole answer has another unit


def test_shares_of_energy_are_on_one_scale_for_all():
    _, painted = pictures("share")
    table = figures.COLOUR_TABLES["blue_red"]  # some are negative: from −1 to 1, the largest share, for all

    def colour(share):
        return table[round(255 * (share / 2 + 0.5))].tolist()

    for (row, column), (left, right) in {(2, 0): (0, 1), (0, 0): (1 / 3, 2 / 3), (3, 1): (-1 / 3, 1)}.items():
        found = left_and_right(painted[row, column])
        assert found[0] == pytest.approx(colour(left), abs=3)  # one of the table's 256 steps
        assert found[1] == pytest.approx(colour(right), abs=3)


def test_a_constant_map_shows_no_colour_and_an_unknown_scale_is_refused():
    _, painted = pictures("map")
    assert left_and_right(painted[2, 2]) == ([255] * 3, [255] * 3)
    with pytest.raises(ValueError, match="scale='log' is unknown; accepted: 'map', 'method', 'share'"):
        sheets.sheet(compared(), scale="log")
    with pytest.raises(ValueError, match=r"dx.compare\(…\) makes one"):
        sheets.sheet(explanation())


def test_a_method_that_was_asked_about_some_words_leaves_the_others_empty():
    e = compared()
    some = replace(e.attributions["rise"], steps=(1,), maps=e.attributions["rise"].maps[1:2], weights=np.ones(1))
    assert isinstance(sheets.sheet(replace(e, attributions={"rise": some})), Image.Image)


def test_of_a_long_answer_the_heaviest_words_are_shown():
    e = compared()
    _, painted = pictures("map", most_words=2)
    assert max(row for row, _ in painted) == 2  # two words and the answer
    assert len(e.generation.words) == 3


@pytest.mark.parametrize(
    ("size", "said"), [(None, "memory not told"), (5, "< 1 MB"), (2_340_000, "2.3 MB"), (1_234_000_000, "1,234 MB")]
)
def test_memory_is_told_in_words(size, said):
    assert sheets.megabytes(size) == said


def test_options_are_kept_as_json_has_them():
    found = attribution(explanation(), [[[1, 2]]], options={"heads": ((0, 1),)})
    assert found.options == {"heads": [[0, 1]]}
    assert json.loads(json.dumps(found.options)) == found.options
