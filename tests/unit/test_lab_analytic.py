"""``lab/analytic``: the toolkit against numbers that are known without it, in closed form and from the weights."""

import random

import numpy as np
import pytest
import torch
from PIL import Image

import dexar_widgets as dx
from dexar_widgets import checkpoints, perturb, registers, vlm
from dexar_widgets.lab.analytic import CELLS, DETECTORS, HEADS, NAMES, build
from dexar_widgets.lab.closed_form import closed_form
from dexar_widgets.lab.scenes import scene
from dexar_widgets.lab.world import COLOURS

OBJECT, SINK, DISTRACTOR, COPY = range(len(HEADS))
SCENES = [(3, ["red cat"], "cat"), (4, ["blue star", "yellow dog"], "dog"), (6, ["white car"], "car")]
COLOUR = 3  # the step of the colour in "The cat is red."


@pytest.fixture(scope="module")
def model():
    torch.set_num_threads(1)
    return dx.load("lab/analytic")


@pytest.fixture(scope="module")
def explained(model):
    """Several scenes at the model's own size, so that hiding a patch touches no other."""
    return [
        dx.explain(
            model, scene(seed, objects=objects, size=96).image, f"What colour is the {name}?",
            attention=True, lens=True, patch_norm=True,
        )
        for seed, objects, name in SCENES
    ]  # fmt: skip


@pytest.fixture(scope="module")
def red(explained):
    return explained[0]


def tokens(e, cells):
    return e.layout.tokens_of(0)[cells.ravel()]


def relative(found, expected):
    return np.abs(found - expected).max() / max(np.abs(expected).max(), 1)


# ---- what it says ----------------------------------------------------------------------------------------------


def answers(model, pairs, first_seed):
    images, texts = [], []
    for seed, (colour, name) in enumerate(pairs, first_seed):
        images.append(Image.fromarray(scene(seed, objects=[(name, colour)]).image))
        texts.append(model.family.prompt(model.processor, f"What colour is the {name}?").text)
    inputs = model.processor(images=images, text=texts, return_tensors="pt", padding=True, padding_side="left")
    ids = model.model.generate(**inputs, max_new_tokens=8, do_sample=False)
    said = model.processor.batch_decode(ids[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    return [answer.strip() for answer in said]


def test_it_names_the_colour_of_an_object_or_says_that_it_sees_none(model):
    rng = random.Random(1)
    pairs = [(tuple(DETECTORS)[place % 3], rng.choice(NAMES)) for place in range(50)]
    said = answers(model, pairs, 400_000)
    right = [answer == f"The {name} is {colour}." for answer, (colour, name) in zip(said, pairs, strict=True)]
    assert sum(right) >= 46  # 95 % of 500; thin objects fill no patch
    wrong = [(answer, name) for answer, fine, (_, name) in zip(said, right, pairs, strict=True) if not fine]
    assert all(answer == f"The {name} is gray." for answer, name in wrong)


def test_a_colour_it_does_not_know_is_gray(model):
    pairs = [(colour, "circle") for colour in COLOURS if colour in ("green", "white", "black", "gray", "pink")]
    assert answers(model, pairs, 500_000) == ["The circle is gray."] * 5


def test_a_question_without_a_name_is_answered_about_the_object(model, red):
    e = dx.explain(model, red.example.image, "Describe the image.")
    assert e.generation.text.strip() == "The object is red."


# ---- T8: the tensor, the map and the attention are those of the closed form ------------------------------------


@pytest.mark.parametrize("case", range(len(SCENES)))
def test_every_cell_of_the_tensor_is_the_closed_form(explained, case):
    e, truth = explained[case], closed_form(explained[case])
    assert e.gradients.values.shape == (5, 1, 4, len(e.layout))
    assert relative(e.gradients.values, truth.gradient) < 1e-5
    assert relative(e.gradients.twice, truth.gradient[:, 0]) < 1e-5  # the identity twice
    assert relative(e.attention, truth.attention) < 1e-5


@pytest.mark.parametrize("case", range(len(SCENES)))
def test_every_words_map_is_the_closed_form(explained, case):
    e, truth = explained[case], closed_form(explained[case])
    maps = np.stack([e.heatmap(step=step).values for step in e.steps])
    assert relative(maps, truth.token_maps) < 1e-5


def test_the_closed_form_holds_where_it_has_negative_cells_and_where_nothing_is_seen(explained):
    truths = [closed_form(e) for e in explained]
    assert truths[1].gradient.min() < -1  # the blue star speaks against "yellow"
    assert truths[1].object.sum() > 1
    assert not truths[2].object.any()
    assert truths[2].token_maps.max() == 0


def test_the_logit_is_what_the_heads_move_on_top_of_what_the_token_says(explained):
    for e in explained:
        truth = closed_form(e)
        moved = (truth.attention * truth.gradient).sum((1, 2, 3))
        own = [32, 0, 32, 10 * e.generation.text.endswith("gray."), 32]
        assert e.lens.logit[:, 0] == pytest.approx(moved + own, abs=1e-3)


@pytest.mark.parametrize("options", [{"dtype": "float64"}, {"attn_implementation": "eager"}])
def test_the_closed_form_holds_in_double_precision_and_for_eager_attention(red, options):
    e = dx.explain(dx.load("lab/analytic", **options), red.example.image, "What colour is the cat?", attention=True)
    assert relative(e.gradients.values, closed_form(e).gradient) < 1e-5
    assert relative(e.attention, closed_form(e).attention) < 1e-5


def test_a_part_of_the_answer_and_a_long_question_change_nothing(model, red):
    asked = "What colour is the cat?" + " Describe the image." * 40  # the first token is 300 positions away
    e = dx.explain(model, red.example.image, asked, steps=[1, COLOUR], attention=True)
    truth = closed_form(e)
    assert relative(e.gradients.values, truth.gradient) < 1e-5
    assert relative(e.attention, truth.attention) < 1e-5


# ---- T8: finite differences of a forward pass in numpy, from the weights ---------------------------------------


class Forward:
    """The model in numpy and double precision, from its weights and pixels; attention may be changed by hand."""

    def __init__(self, model, e):
        self.weights = {name: weight.double().numpy() for name, weight in model.model.state_dict().items()}
        text = model.family.prompt(model.processor, e.example.prompt).text
        inputs = model.processor(images=Image.fromarray(e.example.image), text=text, return_tensors="np")
        self.hidden = self["language_model.embed_tokens.weight"][e.layout.ids]
        self.hidden[e.layout.is_image] = self.image(inputs["pixel_values"][0].astype(float))
        self.heads = len(HEADS)
        query, key, self.values = (
            (self.hidden @ self[f"language_model.layers.0.self_attn.{name}_proj.weight"].T)
            .reshape(len(self.hidden), self.heads, -1)
            .transpose(1, 0, 2)
            for name in "qkv"
        )
        scores = self.turned(query) @ self.turned(key).transpose(0, 2, 1) / query.shape[-1] ** 0.5
        scores[:, np.triu(np.ones(scores.shape[1:], bool), 1)] = -np.inf
        exponentials = np.exp(scores - scores.max(-1, keepdims=True))
        self.attention = exponentials / exponentials.sum(-1, keepdims=True)

    def __getitem__(self, name):
        return self.weights[f"model.{name}"]

    def image(self, pixels):
        patches = pixels.reshape(3, 12, 8, 12, 8).transpose(1, 3, 0, 2, 4).reshape(144, -1)
        tower = patches @ self["vision_tower.embeddings.patch_embedding.weight"].reshape(8, -1).T
        tower = tower + self["vision_tower.embeddings.position_embedding.weight"][1:]
        for layer in ("linear_1", "linear_2"):
            weight, bias = (self[f"multi_modal_projector.{layer}.{kind}"] for kind in ("weight", "bias"))
            tower = tower @ weight.T + bias
            tower = np.maximum(tower, 0) if layer == "linear_1" else tower
        return tower

    def turned(self, vectors):
        half = vectors.shape[-1] // 2
        angles = np.arange(vectors.shape[1])[:, None] * 1e20 ** (-np.arange(half) / half)
        first, second = vectors[..., :half], vectors[..., half:]
        cosine, sine = np.cos(angles), np.sin(angles)
        return np.concatenate([first * cosine - second * sine, second * cosine + first * sine], -1)

    def logit(self, row, word, nudge=None):
        attention = self.attention[:, row].copy()
        if nudge is not None:
            head, token, amount = nudge
            attention[head, token] += amount  # the row is not normalised again: A is an independent variable
        heads = np.einsum("hn,hnd->hd", attention, self.values).ravel()
        hidden = self.hidden[row] + self["language_model.layers.0.self_attn.o_proj.weight"] @ heads
        return self.weights["lm_head.weight"][word] @ hidden


def test_finite_differences_of_an_independent_forward_pass_are_the_tensor(model, red):
    forward, truth = Forward(model, red), closed_form(red)
    rows = len(red.layout) - 5 + np.arange(5)
    assert relative(red.attention[:, 0], forward.attention[:, rows].transpose(1, 0, 2)) < 1e-5
    ids = red.generation.ids[red.generation.positions]
    places = [0, *tokens(red, truth.object)[:2], *tokens(red, truth.sink), *tokens(red, truth.distractor)]
    places.append(red.layout.pieces.index(" cat"))
    for step, (row, word) in enumerate(zip(rows, ids, strict=True)):
        assert red.lens.logit[step, 0] == pytest.approx(forward.logit(row, word), abs=1e-3)
        for head in range(4):
            for place in places:
                high, low = (forward.logit(row, word, (head, place, amount)) for amount in (1e-3, -1e-3))
                assert red.gradients.values[step, 0, head, place] == pytest.approx((high - low) / 2e-3, abs=1e-3)


# ---- T6: the sink ----------------------------------------------------------------------------------------------


def test_the_sink_has_the_planted_attention_and_no_dexar(model, explained):
    for e in explained:
        cell = tokens(e, closed_form(e).sink)
        assert e.attention[:, 0, SINK, cell] == pytest.approx(np.full((5, 1), 0.7), abs=1e-6)
        assert e.attention[:, 0, SINK, 0] == pytest.approx(np.full(5, 0.3), abs=1e-6)
        for step in e.steps:
            assert abs(e.heatmap(step=step, head_filter="none", relu=False).values[CELLS["sink"][0]]) <= 1e-6
    for method, share in (("attention", 0.7 / 4), ("dexar", 0), ("attn_grad", 0), ("chefer_cam", 0)):
        found = dx.attribute(explained[0], method=method)
        assert found.heatmap(step=COLOUR).values[CELLS["sink"][0]] == pytest.approx(share, abs=1e-6)


def test_the_sink_is_recognised_as_a_register(model):
    e = dx.explain(model, scene(3, objects=["red cat"]).image, "What colour is the cat?", patch_norm=True)
    assert registers.outliers_of(e).cells.tolist() == [0]


# ---- T7: the distractor ----------------------------------------------------------------------------------------


def test_the_distractor_is_never_attended_whatever_is_hidden(model, red):
    truth, image = closed_form(red), red.example.image
    rng = np.random.default_rng(0)
    hidden = [truth.distractor, truth.object, *(rng.random((12, 12)) < 0.5 for _ in range(6))]
    pictures = [image, np.zeros_like(image), *(perturb.hide(image, in_pixels(cells)) for cells in hidden)]
    for picture in pictures:
        e = dx.explain(model, picture, "What colour is the cat?", answer="The cat is red.", attention=True)
        assert (e.attention[:, 0, DISTRACTOR, 1:] == 0).all()
        assert (e.attention[:, 0, DISTRACTOR, 0] == 1).all()


def test_dexar_is_positive_on_the_distractor_and_what_reads_the_attention_is_not(red):
    """A limit of the method, on record: it tells what would matter, attended or not."""
    truth = closed_form(red)
    value = truth.gradient[COLOUR, 0, DISTRACTOR, tokens(red, truth.distractor)]
    assert value.min() > 32
    found = red.gradients.values[COLOUR, 0, DISTRACTOR, tokens(red, truth.distractor)]
    assert found == pytest.approx(np.maximum(value, 0), rel=1e-5)
    assert (dx.attribute(red, method="dexar").heatmap(step=COLOUR).values[truth.distractor] > 1000).all()
    for method, options in (
        ("attn_grad", {}), ("chefer_cam", {}), ("dexar_use", {}), ("attention", {}),
        ("integrated_gradients", {"target": "step"}),
    ):  # fmt: skip
        values = dx.attribute(red, method=method, **options).heatmap(step=COLOUR).values
        assert np.abs(values[truth.distractor]).max() < 1e-6, method
        assert values[truth.object].max() > 0.01, method


@pytest.mark.slow
def test_rise_cannot_tell_the_distractor_from_the_background(model, red):
    truth = closed_form(red)
    values = dx.attribute(red, method="rise", n_masks=300, seed=0).heatmap(step=COLOUR).values
    background = values[~(truth.object | truth.distractor | truth.sink)]
    assert abs(values[truth.distractor].mean() - background.mean()) < background.std()
    assert values[truth.object].mean() - background.mean() > 3 * background.std()
    other = np.where(in_pixels(truth.distractor)[..., None], 255 - red.example.image, red.example.image)
    e = dx.explain(model, other.astype(np.uint8), red.example.prompt)
    again = dx.attribute(e, method="rise", n_masks=300, seed=0).heatmap(step=COLOUR).values
    assert np.abs(again - values).max() < 1e-6


# ---- what the words and the interventions say ------------------------------------------------------------------


def in_pixels(cells):
    return np.kron(cells, np.ones((8, 8), bool))


def test_hiding_the_object_takes_the_word_and_hiding_sink_or_distractor_nothing(red):
    truth = closed_form(red)
    assert dx.check(red, step="red", region=in_pixels(truth.object)).drop > 5
    for cells in (truth.sink, truth.distractor):
        assert abs(dx.check(red, step="red", region=in_pixels(cells)).drop) < 1e-3


def test_the_name_is_copied_from_the_prompt_and_the_other_words_need_nothing(red):
    silenced = {word.word: word for word in red.silenced()}
    assert set(silenced) == {"The", "cat", "is", "."}
    assert (silenced["cat"].head, silenced["cat"].piece) == (COPY, " cat")
    assert silenced["The"].head == silenced["is"].head == silenced["."].head == -1
    assert red.step_weights().argmax() == COLOUR


def test_tam_reads_the_patches_own_states(red):
    truth = closed_form(red)
    values = dx.attribute(red, method="tam").heatmap(step=COLOUR).values
    assert np.isfinite(values).all()
    assert values[truth.object].mean() > 5 * values[~(truth.object | truth.distractor)].mean()


# ---- loading ---------------------------------------------------------------------------------------------------


def test_it_loads_by_name_and_is_listed_among_the_embedded_models(model):
    assert (model.name, model.is_lab, model.provenance()["family"]) == ("lab/analytic", True, "llava")
    assert vlm.models()["lab/analytic"] == "llava"
    assert checkpoints.locate("lab/analytic").in_code
    with pytest.raises(ValueError, match="lab/analytic"):
        vlm.load("lab/analytical")


def test_the_same_weights_are_made_every_time(model):
    again, _ = build()
    assert all(torch.equal(a, b) for a, b in zip(model.model.parameters(), again.parameters(), strict=True))


def test_options_that_say_how_to_read_files_are_refused():
    with pytest.raises(ValueError, match="made in code, not read from files: revision= does not apply"):
        vlm.load("lab/analytic", revision="abc")


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_keeps_the_answer_and_the_sink(red, dtype):
    e = dx.explain(dx.load("lab/analytic", dtype=dtype), red.example.image, "What colour is the cat?", attention=True)
    assert e.generation.text == red.generation.text
    assert e.attention[:, 0, SINK, tokens(e, closed_form(e).sink)] == pytest.approx(np.full((5, 1), 0.7), abs=0.01)
