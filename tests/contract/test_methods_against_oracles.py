"""Every method against another writing of it, for every family: whole matrices, eager attention, float64, or captum."""

import captum.attr
import cases
import methods_oracle as oracle
import numpy as np
import pytest
import torch

import dexar_widgets as dx
from dexar_widgets import engine, plugins
from dexar_widgets.maps import visual_tokens
from dexar_widgets.methods import Subject, rise

TOLERANCE = 2e-5  # of the largest value: float32 against float64 whose norms and softmax run in float32


class Case:
    """A tiny model, its answer, the same in float64."""

    def __init__(self, variant, length=5):
        self.handle = cases.shared(variant)
        self.request = engine.encode(self.handle, cases.EXAMPLE)
        length += 2 * self.handle.anatomy.cross_attention  # Florence-2's first and last tokens are forced
        self.said = engine.answer(self.handle, self.request, decoding=engine.Decoding(max_new_tokens=length))
        self.generation = self.said.generation
        self.steps = tuple(range(len(self.generation)))
        self.layout = self.request.layout

    def maps(self, method, **options):
        module = plugins.get("methods", method)
        subject = Subject(self.handle, self.request, self.said, self.steps, module.NEEDS)
        return module.attribute(subject, module.Options(**options))

    def run(self, model=None, steps=None, **changes):
        return oracle.run(
            model or oracle.twin(self.handle), self.request, self.generation, steps or self.steps, **changes
        )

    def visual(self, rows):
        return rows.detach().numpy()[:, visual_tokens(self.layout)]


@pytest.fixture(scope="module", params=cases.EACH)
def case(request):
    return Case(request.param)


def agree(found, expected, tolerance=TOLERANCE):
    assert found.shape == expected.shape
    assert np.abs(expected).max() > 0
    assert cases.scale_of_difference(found, expected) < tolerance


def test_attention_is_eager_attentions_mean_over_heads_summed_over_layers(case):
    found = case.run()
    crossing = case.handle.anatomy.cross_attention
    explained = [values for rows, cols, values in found.attentions if (rows > cols) == crossing]
    row = case.request.prompt_ids.shape[1] - 1 + case.generation.positions
    expected = sum(values[0].mean(0)[row] for values in explained)
    agree(case.maps("attention").values, case.visual(expected))


def test_the_rows_of_attention_sum_to_one(case):
    rows = engine.read_attention(case.handle, case.request, case.said, steps=case.steps)
    assert np.abs(rows.sum(-1) - 1).max() < 1e-6


def test_rollout_is_the_row_of_the_product_of_whole_matrices(case):
    expected = oracle.rollout(case.run(), case.generation, case.steps)
    assert expected.sum(-1).tolist() == pytest.approx([1] * len(case.steps))
    agree(case.maps("rollout").values, case.visual(expected))


def test_chefer_cam_is_the_row_of_the_whole_relevance_matrix(case):
    agree(case.maps("chefer_cam").values, case.visual(oracle.chefer(case.run(), case.generation, case.steps)))


@pytest.mark.parametrize("layer", [None, 0, -1])
def test_grad_cam_is_the_gradient_by_hidden_states_times_them(case, layer):
    found = case.run()
    states = found.states[len(case.handle.anatomy.visual_blocks) // 2 if layer is None else layer if layer == 0 else -2]
    columns = visual_tokens(case.layout)
    product, pooled = [], []
    for logit in found.logits:
        (gradient,) = torch.autograd.grad(logit, states, retain_graph=True)
        product.append((gradient * states)[0, columns].sum(-1))
        pooled.append((states[0, columns] * gradient[0, columns].mean(0)).sum(-1))
    agree(case.maps("grad_cam", layer=layer, form="pooled").values, torch.stack(pooled).detach().numpy(), 1e-4)
    found = case.maps("grad_cam", layer=layer).values
    if layer == -1 and not case.handle.anatomy.cross_attention:
        # the image's last states are read through a norm alone, which their length does not change: exactly nothing
        assert np.abs(found).max() < 1e-6
    else:
        agree(found, torch.stack(product).detach().numpy(), 1e-4)


def test_attn_grad_is_attention_times_its_own_layers_gradient_where_positive(case):
    import oracle as plain

    found = plain.differentiate(case.handle.model, case.request.inputs, case.generation.ids, case.generation.positions)
    expected = np.maximum(found.values * found.attention, 0).mean(2).sum(1)[:, visual_tokens(case.layout)]
    agree(case.maps("attn_grad").values, expected)


@pytest.mark.parametrize("target", ["answer", "step"])
def test_integrated_gradients_are_captums(case, target):
    model = oracle.twin(case.handle)
    pixels = case.request.inputs["pixel_values"].double()

    def scores(batch):
        runs = [case.run(model, pixels=one[None]) for one in batch]
        if target == "answer":
            return torch.stack([run.log_probs.sum()[None] for run in runs])
        return torch.stack([run.logits for run in runs])

    method = captum.attr.IntegratedGradients(scores)
    grid = case.layout.grids[0]
    expected = []
    for place in range(1 if target == "answer" else len(case.steps)):
        found = method.attribute(pixels, baselines=0.0, target=place, n_steps=6, method="gausslegendre")
        whole = found.detach().numpy()[0].sum(0)
        tall, wide = (side // cells for side, cells in zip(whole.shape, (grid.rows, grid.cols), strict=True))
        expected.append(whole.reshape(grid.rows, tall, grid.cols, wide).sum((1, 3)).ravel())
    found = case.maps("integrated_gradients", n_steps=6, target=target, batch_size=4).values
    cells = np.searchsorted(visual_tokens(case.layout), case.layout.tokens_of())
    agree(found[:, cells], np.stack(expected), 1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["answer", "step"])
def test_iia_is_that_of_a_loop_with_the_last_map_replaced(case, target):
    model = oracle.twin(case.handle)
    expected = oracle.iia(model, case.request, case.generation, case.steps, target=target, images=3, attentions=2)
    found = case.maps("iia", n_images=3, n_attentions=2, target=target, batch_size=2).values
    agree(found, case.visual(expected), 1e-4)


@pytest.mark.parametrize("score", ["probability", "log_probability"])
def test_rise_is_a_plain_loop_over_its_masks(case, score):
    options = rise.Options(n_masks=5, cells=3, score=score, batch_size=3)
    model = oracle.twin(case.handle)
    pixels = case.request.inputs["pixel_values"]
    height, width = pixels.shape[-2:]
    total, mass = np.zeros((len(case.steps), height, width)), np.zeros((height, width))
    for number in range(options.n_masks):
        mask = rise.masks([number], height, width, options)[0]
        log_probs = case.run(model, pixels=pixels * torch.as_tensor(mask)).log_probs.detach().numpy()
        for step, value in enumerate(log_probs if score == "log_probability" else np.exp(log_probs)):
            total[step] += value * mask
        mass += mask
    per_pixel = np.divide(total, mass, out=np.zeros_like(total), where=mass > 0)
    grid = case.layout.grids[0]
    tall, wide = height // grid.rows, width // grid.cols
    expected = [
        [
            step[row * tall : (row + 1) * tall, col * wide : (col + 1) * wide].mean()
            for row in range(grid.rows)
            for col in range(grid.cols)
        ]
        for step in per_pixel
    ]
    found = case.maps("rise", n_masks=5, cells=3, score=score, batch_size=3).values
    cells = np.searchsorted(visual_tokens(case.layout), case.layout.tokens_of())
    agree(found[:, cells], np.array(expected), 1e-4)


def test_scores_of_variants_are_captums_feature_ablation(case):
    model = oracle.twin(case.handle)
    pixels = case.request.inputs["pixel_values"]
    tall, wide = (side // 2 for side in pixels.shape[-2:])
    quarters = torch.arange(4).reshape(2, 2).repeat_interleave(tall, 0).repeat_interleave(wide, 1)
    ablation = captum.attr.FeatureAblation(lambda batch: case.run(model, pixels=batch).log_probs.sum()[None])
    expected = ablation.attribute(pixels.double(), baselines=0.0, feature_mask=quarters[None, None])

    def hidden(numbers):
        return torch.cat([pixels * (quarters != number - 1) for number in numbers])  # the first hides nothing

    scores = engine.score_variants(case.handle, case.request, case.said, hidden, 5, steps=case.steps, batch_size=2).sum(
        -1
    )
    drops = torch.stack([expected[0, 0, y, x] for y in (0, tall) for x in (0, wide)]).detach().numpy()
    agree(scores[0] - scores[1:], drops, 1e-4)


@pytest.mark.parametrize("options", [{}, {"items": "all"}, {"stage": "raw"}, {"stage": "causal"}, {"stage": "scaled"}])
def test_tam_is_that_of_loops_over_items_and_cells(case, options):
    model = oracle.twin(case.handle)
    cap = getattr(model.config.text_config, "final_logit_softcapping", None)

    def unembed(state):
        logits = model.lm_head(state)
        return logits if cap is None else cap * torch.tanh(logits / cap)

    with torch.no_grad():
        expected = oracle.tam(
            lambda steps: case.run(model, steps=steps), case.layout, case.generation, case.steps, unembed, **options
        )
    found = case.maps("tam", **options).values
    cells = np.searchsorted(visual_tokens(case.layout), case.layout.tokens_of())
    agree(found[:, cells], expected.reshape(len(expected), -1), 1e-4)


def test_dexar_gives_the_maps_of_an_explanation(case):
    e = dx.explain(case.handle, cases.EXAMPLE.image, decoding=cases.SHORT)
    for options in ({}, {"layers": -1}, {"head_filter": "none"}, {"head_filter": 0.3, "filler_filter": "avg"}):
        found = dx.attribute(e, method="dexar", **options)
        for step in e.steps:
            agree_or_empty(found.heatmap(step).values, e.heatmap(step, **options).values)
            assert found.heatmap(step).status == e.heatmap(step, **options).status
        agree_or_empty(found.sequence_map().values, e.sequence_map(**options).values)


def agree_or_empty(found, expected):
    assert np.abs(found - expected).max() <= 1e-5 * max(np.abs(expected).max(), 1e-12)


@pytest.mark.parametrize("head_weight", ["use", "gradient"])
@pytest.mark.parametrize("step_weight", ["mass", "use", "gradient", "use_by_head", "gradient_by_head", "none"])
def test_dexar_use_is_written_out_from_the_oracles_tensor(case, head_weight, step_weight):
    import oracle as plain

    found = plain.differentiate(case.handle.model, case.request.inputs, case.generation.ids, case.generation.positions)
    positive = np.maximum(found.values, 0)
    use = positive * found.attention
    image = np.zeros(use.shape[-1], bool)
    image[visual_tokens(case.layout)] = True
    tensors = {"use": use, "gradient": positive}

    def apart(values):  # largest on the image, largest on the text, per step, layer and head
        return values[..., image].max(-1), values[..., ~image].max(-1)

    visual, text = apart(tensors[head_weight])
    delta = np.maximum(visual - text, 0)
    expected = (delta[..., None] * use[..., image]).sum((1, 2))
    kind, _, by_head = step_weight.partition("_")
    if kind in tensors:
        visual, text = apart(tensors[kind])
        per_head = np.maximum(visual - text, 0).max((1, 2))
        weights = per_head if by_head else np.maximum(visual.max((1, 2)) - text.max((1, 2)), 0)
    else:
        weights = np.ones(len(use)) if kind == "none" else use[..., image].sum((1, 2, 3))
    maps = case.maps("dexar_use", head_weight=head_weight, step_weight=step_weight)
    assert np.abs(maps.values - expected).max() <= 1e-4 * max(np.abs(expected).max(), 1e-9)
    assert np.abs(maps.weights - weights).max() <= 1e-4 * max(np.abs(weights).max(), 1e-9)
