"""The views of an explanation: by hand, against a second writing of the equations, and alike for every ``keep``."""

import gc
import inspect
import io
import re
import weakref
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from dexar_widgets.explanation import Explanation
from dexar_widgets.types import Word
from dexar_widgets.widgets import html
from tests.golden.cases import build
from tests.unit import reference
from tests.unit.made import explanation_of, full_parts, generation_of, layout_of, random_parts, tensor_of

KINDS = ["system", "image", "image", "image", "image", "prompt", "answer"]
LAYOUT = layout_of(KINDS, 2, 2)
# two steps, two layers, one head: tokens system, four cells, prompt, answer
BY_HAND = [
    [[[1, 4, 2, 0, -8, 0, 0]], [[1, 0, 3, 1, 0, 2, 0]]],
    [[[9, 1, 1, 1, 1, 0, 0]], [[0, 1, 2, 0, 0, 0, 1]]],
]


def by_hand(**changes):
    return explanation_of(tensor_of(BY_HAND), LAYOUT, **changes)


def test_the_token_map_of_two_layers_by_hand():
    """Step 0: δ = (4−1, 3−2), E = 3·(4 2 0 0) + 1·(0 3 1 0)."""
    heat = by_hand().heatmap(0)
    assert heat.values.tolist() == [[12, 9], [1, 0]]
    assert (heat.status, heat.steps, heat.peak) == ("ok", (0,), (0, 0))


def test_the_weights_by_hand():
    """Step 0: ω = 4 − 2. Step 1: δ = (0, 2−1) but ω = ReLU(2 − 9)."""
    e = by_hand()
    assert e.head_weights()[..., 0].tolist() == [[3, 1], [0, 1]]
    assert e.step_weights().tolist() == [2, 0]


def test_the_sequence_map_by_hand():
    """2·(12 9 1 0)/12: the other step has no weight."""
    np.testing.assert_allclose(by_hand().sequence_map().values, [[2, 1.5], [1 / 6, 0]], rtol=1e-6)


def test_without_filler_filter_every_step_weighs_one():
    """Step 1: E = 1·(1 2 0 0), min–maxed (½ 1 0 0)."""
    values = by_hand().sequence_map(filler_filter="none").values
    np.testing.assert_allclose(values, [[1 + 0.5, 0.75 + 1], [1 / 12, 0]], rtol=1e-6)


def test_without_relu_the_map_alone_is_signed():
    e = by_hand()
    assert e.heatmap(0, relu=False).values.tolist() == [[12, 9], [1, -24]]
    assert e.head_weights(relu=False).tolist() == e.head_weights().tolist()
    assert e.step_weights(relu=False).tolist() == e.step_weights().tolist()


def test_magnitude_changes_the_weights_and_leaves_the_maps_gradients():
    """|G|: δ of layer 0 is 8 − 1, and the map still sums G⁺."""
    e = by_hand()
    assert e.head_weights(magnitude=True)[0, :, 0].tolist() == [7, 1]
    assert e.heatmap(0, magnitude=True).values.tolist() == [[28, 17], [1, 0]]


def test_several_steps_are_summed_raw():
    e = by_hand()
    assert e.heatmap([0, 1]).values.tolist() == [[13, 11], [1, 0]]
    assert e.heatmap(slice(None)).steps == (0, 1)


def test_a_word_is_the_sum_of_its_steps():
    e = by_hand(generation=generation_of(2, (Word("teapot", (0, 1)),)))
    assert e.heatmap("teapot") == e.heatmap([0, 1])


def test_layers_are_selected_before_any_maximum():
    """Over both layers step 1 is silenced by the text of layer 0; in layer 1 alone it is not."""
    e = by_hand()
    assert e.step_weights(layers=1).tolist() == [1, 1]
    assert e.head_weights(layers=1)[..., 0].tolist() == [[0, 1], [0, 1]]
    assert e.heatmap(1, layers=-1).values.tolist() == [[1, 2], [0, 0]]


def test_a_silenced_answer_has_an_empty_map_and_says_so():
    e = explanation_of(tensor_of([[[[9, 1, 2, 3, 4, 0, 0]]]]), LAYOUT)
    assert e.heatmap(0).status == e.sequence_map().status == "silenced"
    assert not e.heatmap(0).values.any()
    assert not e.sequence_map().values.any()


def test_an_answer_without_weights_is_silenced_though_its_words_have_maps():
    e = explanation_of(tensor_of(BY_HAND[1:]), LAYOUT)
    assert (e.heatmap(0).status, e.sequence_map().status) == ("ok", "silenced")
    assert e.sequence_map(filler_filter="none").status == "ok"


def test_a_one_by_one_grid_is_constant_and_keeps_its_raw_value():
    layout = layout_of(["image", "prompt"], 1, 1)
    e = explanation_of(tensor_of([[[[3, 1]]]]), layout)
    assert (e.heatmap(0).values.item(), e.heatmap(0).status) == (6.0, "constant")
    assert (e.sequence_map().values.item(), e.sequence_map().status) == (0.0, "constant")


def test_a_head_won_by_a_pooled_token_weighs_though_the_grid_stays_empty():
    layout = layout_of(["image", "image", "image", "prompt"], 1, 2, pooled=1)
    e = explanation_of(tensor_of([[[[5, -1, -1, 2]]]]), layout)
    assert e.head_weights().item() == 3
    assert (e.heatmap(0).values.tolist(), e.heatmap(0).status) == ([[0, 0]], "constant")


def test_images_share_the_minmax_of_a_token_so_that_they_can_be_compared():
    layout = layout_of(["image"] * 4 + ["prompt"], 1, 2)
    e = explanation_of(tensor_of([[[[0, 1, 2, 4, 0]]]]), layout)
    assert e.sequence_map(image=0).values.tolist() == [[0, 1]]
    assert e.sequence_map(image=1).values.tolist() == [[2, 4]]


def test_released_reads_the_last_layer_through_the_norm_twice_and_leaves_a_token_out():
    twice = [[[0, 0, 0, 7, 0, 0, 0]], [[0, 1, 2, 0, 0, 0, 1]]]
    e = explanation_of(tensor_of(BY_HAND, twice=twice), LAYOUT, preset="released")
    # the first text token after the image is the prompt: without it step 0 has δ = (4−1, 7−0)
    assert e.head_weights()[0, :, 0].tolist() == [3, 7]
    assert e.heatmap(0).values.tolist() == [[12, 6], [49, 0]]
    assert e.sequence_map().values.tolist() == [[72, 36], [294, 0]]  # ω = 7 − 1, no min–max per token


def test_released_is_refused_for_other_families():
    with pytest.raises(ValueError, match=r"LLaVA-1\.5 and BakLLaVA only.*'florence2'.*use preset='paper'"):
        by_hand(provenance={"family": "florence2"}).heatmap(0, preset="released")


OPTIONS = [
    {},
    {"head_filter": "none", "filler_filter": "none"},
    {"head_filter": "avg", "filler_filter": 0.3},
    {"head_filter": 0.05},
    {"head_filter": 0.5, "magnitude": True},
    {"relu": False, "magnitude": True},
    {"text_set": "no_special"},
    {"text_set": "content", "filler_filter": "avg"},
    {"text_set": "answer"},
    {"layers": [0], "text_set": "released"},
    {"heads": [(0, 0)]},
    {"preset": "released"},
    {"preset": "released", "text_set": "all", "layers": [0], "head_filter": "none"},
    {"preset": "released", "head_filter": 0.2, "filler_filter": 0.2, "relu": False},
]
DEFAULTS = {
    "layers": None,
    "heads": None,
    "head_filter": "max",
    "filler_filter": "max",
    "relu": True,
    "magnitude": False,
    "text_set": None,
    "preset": "paper",
}


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("seed", range(6))
def test_every_view_agrees_with_a_second_writing_of_the_equations(seed, options):
    tensor, layout = random_parts(seed)
    e = explanation_of(tensor, layout)
    expected = reference.explain(tensor, layout, **(DEFAULTS | options))
    delta = np.zeros_like(e.head_weights(**options))
    for place, value in expected.delta.items():
        delta[place] = value
    tolerance = {"rtol": 1e-5, "atol": 1e-6}  # means are kept in float32
    np.testing.assert_allclose(e.head_weights(**options), delta, **tolerance)
    np.testing.assert_allclose(e.step_weights(**options), expected.omega, **tolerance)
    for step in range(len(e.steps)):
        heat = e.heatmap(step, **options)
        cells = [[expected.maps[step][0, row, col] for col in range(3)] for row in range(2)]
        np.testing.assert_allclose(heat.values, cells, **tolerance)
    cells = [[expected.sequence[0, row, col] for col in range(3)] for row in range(2)]
    np.testing.assert_allclose(e.sequence_map(**options).values, cells, **tolerance)


def test_the_second_writing_meets_silenced_and_lit_words():
    weights = np.concatenate([explanation_of(*random_parts(seed)).step_weights() for seed in range(6)])
    assert 0.2 < (weights == 0).mean() < 0.9


SUMMARISED = [
    {},
    {"head_filter": "none", "filler_filter": 0.4},
    {"layers": [0]},
    {"filler_filter": "avg"},
    {"head_filter": "none", "magnitude": True, "text_set": "answer"},
    {"text_set": "released"},
    {"preset": "released"},
    {"preset": "released", "text_set": "all", "filler_filter": 0.9},
]


@pytest.mark.parametrize("options", SUMMARISED, ids=str)
@pytest.mark.parametrize("seed", [0, 3])
def test_full_visual_and_summary_give_the_same_numbers(seed, options):
    full, visual, summary = (explanation_of(*random_parts(seed), keep=keep) for keep in ("full", "visual", "summary"))
    for other in (visual, summary):
        assert other.step_weights(**options).tolist() == full.step_weights(**options).tolist()
        assert other.head_weights(**options).tolist() == full.head_weights(**options).tolist()
        for one, two in (
            (full.sequence_map(**options), other.sequence_map(**options)),
            (full.heatmap(slice(None), **options), other.heatmap(slice(None), **options)),
        ):
            assert (one.status, one.options, one.steps) == (two.status, two.options, two.steps)
            np.testing.assert_allclose(two.values, one.values, rtol=1e-6, atol=1e-6 * np.abs(one.values).max())
        assert [str(s) for s in other.silenced()] == [str(s) for s in full.silenced()]
        assert other.flow() == full.flow()


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_visual_columns_answer_all_that_the_full_tensor_does(options):
    full, visual = (explanation_of(*random_parts(2), keep=keep) for keep in ("full", "visual"))
    assert visual.sequence_map(**options) == full.sequence_map(**options)
    assert visual.heatmap(0, **options) == full.heatmap(0, **options)


@pytest.mark.parametrize("keep", ["full", "visual"])
def test_an_answer_does_not_depend_on_what_was_asked_before(keep):
    """What was read once is remembered: under a key that tells every option apart."""
    asked = explanation_of(*random_parts(2), keep=keep)
    for options in OPTIONS:
        fresh = explanation_of(*random_parts(2), keep=keep)
        assert asked.head_weights(**options).tolist() == fresh.head_weights(**options).tolist()
        assert asked.step_weights(**options).tolist() == fresh.step_weights(**options).tolist()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"heads": [(0, 0)]}, "heads"),
        ({"relu": False}, "relu=False"),
        ({"head_filter": 0.3}, "head_filter=0.3"),
        ({"magnitude": True}, "magnitude=True"),
        ({"text_set": "answer"}, "text_set='answer'"),
        ({"relu": False, "head_filter": "avg"}, "relu=False, head_filter='avg'"),
    ],
)
def test_what_a_summary_cannot_map_names_the_keep_that_can(options, named):
    e = explanation_of(*random_parts(1), keep="summary")
    message = re.escape(f"A map with {named} cannot be made from keep='summary'") + ".*keep='visual' or keep='full'"
    with pytest.raises(ValueError, match=message):
        e.heatmap(0, **options)
    with pytest.raises(ValueError, match=message):
        e.sequence_map(filler_filter="none", **options)
    assert e.head_weights(**options).shape == (len(e.steps), len(e.layers), e.heads)


def test_a_fraction_that_was_not_kept_names_the_keep_that_has_it():
    e = explanation_of(*random_parts(1), keep="visual")
    with pytest.raises(ValueError, match=r"0\.33 was not kept.*0\.05, 0\.1, 0\.2.*keep='full'"):
        e.head_weights(head_filter=0.33)
    assert explanation_of(*random_parts(1)).head_weights(head_filter=0.33).any()


def test_single_gradients_are_not_in_a_summary():
    with pytest.raises(ValueError, match="keep='visual'"):
        explanation_of(*random_parts(1), keep="summary").visual_gradients(0)


def test_the_options_are_keyword_only_and_the_same_on_every_view():
    views = (Explanation.heatmap, Explanation.sequence_map, Explanation.head_weights, Explanation.step_weights)
    expected = DEFAULTS | {"preset": None}
    for view in views:
        found = inspect.signature(view).parameters
        keywords = {name: p.default for name, p in found.items() if p.kind is p.KEYWORD_ONLY and name != "image"}
        assert keywords == expected, view.__name__
        assert set(found) - set(keywords) <= {"self", "step", "image"}


def test_an_empty_preset_is_not_taken_for_none_given():
    with pytest.raises(ValueError, match="preset='' is unknown"):
        by_hand().heatmap(0, preset="")


def test_results_count_the_explained_steps_alone():
    tensor = tensor_of(BY_HAND)
    e = explanation_of(replace(tensor, steps=np.array([1, 3])), LAYOUT, generation=generation_of(5))
    assert e.steps == (1, 3)
    assert e.step_weights().tolist() == [2, 0]
    assert e.heatmap("b") == e.heatmap(1)
    assert e.heatmap(3, layers=1).values.tolist() == [[1, 2], [0, 0]]
    np.testing.assert_array_equal(e.word_weights(), [np.nan, 2, np.nan, 0, np.nan])
    with pytest.raises(ValueError, match="these are explained: 1, 3"):
        e.heatmap(0)


def test_a_word_is_as_visual_as_its_most_visual_part():
    e = by_hand(generation=generation_of(2, (Word("teapot", (0, 1)),)))
    assert e.word_weights().tolist() == [2]
    assert e.word_weights(e.options(layers=1)).tolist() == [1]


def test_the_flow_is_the_largest_sensitivity_over_the_selected_heads():
    flow = by_hand().flow()
    assert flow.visual.tolist() == [[4, 3], [1, 2]]
    assert flow.text.tolist() == [[1, 2], [9, 1]]
    assert by_hand().flow(by_hand().options(layers=1)).text.tolist() == [[0, 2], [0, 1]]


def test_a_silenced_word_says_which_layer_head_and_token_won():
    (record,) = by_hand().silenced()
    assert (record.step, record.word, record.layer, record.head, record.token) == (1, "b", 0, 0, 0)
    assert (record.visual, record.text, record.empty_map, record.kind) == (2.0, 9.0, False, "system")
    assert str(record) == (
        "'b' (step 1) does not count in the answer's map: the system token 'system0' (position 0) won in layer 0, "
        "head 0, 9 on text against at most 2 on the image."
    )


def test_of_a_word_in_parts_the_part_that_is_silenced_is_named():
    (record,) = by_hand(generation=generation_of(2, (Word("ab", (0, 1)),))).silenced()
    assert (record.said, record.word) == ("b", "ab")
    assert str(record).startswith("'b' (a part of 'ab', step 1) does not count in the answer's map: ")


def test_a_step_with_an_empty_map_says_so():
    (record,) = explanation_of(tensor_of([[[[9, 1, 2, 3, 4, 0, 0]]]]), LAYOUT).silenced()
    assert record.empty_map
    assert "has an empty map" in str(record)


def test_a_step_that_nothing_raises_has_no_winner():
    (record,) = explanation_of(tensor_of(-np.ones((1, 1, 1, 7))), LAYOUT).silenced()
    assert (record.layer, record.token, record.piece) == (-1, -1, None)
    assert "nothing raises it" in str(record)


def test_silencing_is_told_for_the_selected_layers():
    e = by_hand()
    assert not e.silenced(e.options(layers=1))


def test_layer_maps_add_up_to_the_token_map():
    e = explanation_of(*random_parts(4), keep="summary")
    maps = e.layer_maps()
    whole = e.heatmap(0).values.ravel()
    np.testing.assert_allclose(maps[0].sum(0)[1:], whole, rtol=1e-5, atol=1e-6)  # the first is pooled
    assert not e.layer_maps(e.options(layers=0))[:, 1:].any()


def test_asking_never_changes_what_was_kept():
    e = explanation_of(*random_parts(5), preset="released")
    before = e.gradients.values.copy(), e.gradients.twice.copy()
    e.sequence_map()
    e.visual_gradients(0, twice=True)[:] = 0
    e.visual_gradients(0)[:] = 0
    assert (e.gradients.values == before[0]).all()
    assert (e.gradients.twice == before[1]).all()


def test_a_map_carries_the_options_it_was_made_with():
    options = by_hand().heatmap(0, layers=1, head_filter=0.5).options
    assert (options["layers"], options["head_filter"], options["preset"], options["image"]) == ((1,), 0.5, "paper", 0)


def test_plain_repr_is_one_line():
    assert repr(by_hand()) == "Explanation('a b', 2 steps × 2 layers × 1 heads, keep='full', preset='paper')"


def test_a_cell_shows_text_as_text():
    e = by_hand(generation=generation_of(2, (Word("<script>x</script>", (0,)), Word("&amp", (1,)))))
    e = replace(e, example=replace(e.example, prompt="<b>?</b>"))
    shown = e._repr_html_()
    assert "<script" not in shown
    assert "<b>" not in shown
    assert "&lt;script&gt;x&lt;/script&gt;" in shown
    assert "data:image/png;base64," in shown
    assert e._repr_png_().startswith(b"\x89PNG")


def test_words_stand_in_a_cell_as_they_do_in_the_answer():
    generation = replace(generation_of(2, (Word("a", (0,)), Word(",", (1,)))), text="a, b")
    shown = re.search(r'<p style="font-size.*?</p>', by_hand(generation=generation)._repr_html_())
    assert re.sub(r"<[^>]+>", "", shown.group()) == "a,"


def test_the_question_is_the_users_words_without_the_template():
    assert LAYOUT.kinds.index("prompt") == 5
    e = replace(by_hand(), layout=replace(LAYOUT, pieces=(*LAYOUT.pieces[:5], " What\nnow?", LAYOUT.pieces[6])))
    raw = replace(e, example=replace(e.example, prompt="USER: <image> What now? ASSISTANT:"))
    assert raw.question == "What now?"
    assert ">What now?</p>" in raw._repr_html_()
    assert replace(e, example=replace(e.example, prompt="as it  is")).question == "as it  is"


def test_a_page_is_text_and_with_a_path_the_file_that_was_written(tmp_path, monkeypatch):
    monkeypatch.setattr(html, "page", lambda e: "the page")
    e = by_hand()
    assert e.to_html() == "the page"
    assert e.to_html(str(tmp_path / "a.html")) == tmp_path / "a.html"
    assert (tmp_path / "a.html").read_text() == "the page"


def test_shades_are_relative_to_the_most_visual_word():
    shown = by_hand()._repr_html_()
    assert re.findall(r"rgba\([\d,]+,([\d.]+)\)", shown) == ["1.000", "0.000"]


def test_a_silenced_answer_shows_itself_too():
    assert "is silenced" in explanation_of(tensor_of([[[[9, 1, 2, 3, 4, 0, 0]]]]), LAYOUT)._repr_html_()


class Model:
    """Stands in for a loaded model."""


def test_the_model_is_known_while_it_lives():
    model = Model()
    e = by_hand(vlm=weakref.ref(model))
    assert e.model() is model
    assert e == by_hand()
    del model
    gc.collect()
    with pytest.raises(ValueError, match="does not know its model any more; load made and pass it as vlm="):
        e.model()


def test_equality_sees_every_field():
    one = explanation_of(*random_parts(0), **full_parts(0))
    assert one == explanation_of(*random_parts(0), **full_parts(0))
    for name in ("attention", "patch_norm", "lens"):
        assert one != replace(one, **{name: None})
    assert one != replace(one, provenance={})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keep": "all"}, "keep='all' is unknown; accepted: 'full', 'visual', 'summary'"),
        ({"preset": "new"}, "preset='new' is unknown"),
        ({"keep": "summary"}, "does not go with"),
        ({"generation": generation_of(1)}, "are not among the answer's 1 tokens"),
        ({"provenance": {"seconds": float("nan")}}, "plain JSON"),
        ({"provenance": {"model": object()}}, "plain JSON"),
        ({"layout": layout_of(KINDS[:-1], 2, 2)}, "hold 7 tokens but the layout 6"),
        ({"attention": np.zeros((2, 2, 1, 6))}, r"attention is \(2, 2, 1, 6\); .* say \(2, 2, 1, 7\)"),
        ({"patch_norm": np.zeros(4)}, r"patch_norm is \(4,\)"),
    ],
)
def test_an_explanation_that_cannot_be_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(by_hand(), **changes)


def test_what_views_return_shows_itself_in_a_cell_and_in_a_line():
    e = build()
    flow, heat = e.flow(), e.heatmap(step=0)
    step, layer = np.unravel_index(flow.visual.argmax(), flow.visual.shape)
    assert repr(flow).endswith(f"the image is read most at step {e.steps[step]} in layer {e.layers[layer]})")
    shown = np.asarray(Image.open(io.BytesIO(flow._repr_png_())).convert("RGB"))
    side = shown.shape[0] // len(e.layers)
    last_first = shown[side // 2 :: side, side // 2 :: side]  # a row per layer, the last on top
    assert last_first.shape[:2] == flow.visual.T.shape
    assert last_first[len(e.layers) - 1 - layer, step].tolist() == [254, 232, 56]  # cividis, the largest value
    assert heat.word == e.generation.pieces[0].strip() and f"Map of “{heat.word}” by dexar" in heat._repr_html_()
