"""What every method keeps to, on every family: found by scan, so that a new file of either is tested by itself."""

import gc
import threading
import weakref

import cases
import numpy as np
import pytest
import torch

import dexar_widgets as dx
from dexar_widgets import attributions, engine, jobs, plugins
from dexar_widgets.methods import Maps

NAMES = plugins.names("methods")
QUICK = {"rise": {"n_masks": 4}, "integrated_gradients": {"n_steps": 2}, "iia": {"n_images": 2, "n_attentions": 2}}
PER_STEP = QUICK | {name: QUICK[name] | {"target": "step"} for name in ("integrated_gradients", "iia")}
CONTROLS = {name for name in NAMES if plugins.get("methods", name).CONTROL}
RUNNING = sorted(set(NAMES) - CONTROLS)
STATES = ["llava mistral", "paligemma 2", "florence2"]
IMAGE = cases.EXAMPLE.image


def attribute(handle, method, **options):
    given = PER_STEP.get(method, {}) | options
    return dx.attribute(handle, IMAGE, method=method, decoding=cases.SHORT, **given)


def test_there_are_the_papers_methods_tam_the_controls_and_ours():
    paper = [
        "attention",
        "attn_grad",
        "chefer_cam",
        "dexar",
        "grad_cam",
        "iia",
        "integrated_gradients",
        "rise",
        "rollout",
    ]
    assert set(NAMES) == {*paper, "tam", "dexar_use", *CONTROLS}
    assert CONTROLS == {"random", "uniform", "centre", "edges"}


@pytest.mark.parametrize("variant", cases.ONE)
@pytest.mark.parametrize("method", NAMES)
def test_a_method_gives_a_raw_map_per_token_and_leaves_the_model_as_it_was(method, variant):
    handle = cases.build(variant)
    dx.explain(handle, IMAGE, answer="on")  # at its first run transformers hangs its own recorders on a model
    handle.model.train()
    before = cases.snapshot(handle.model)
    found = attribute(handle, method)
    assert cases.snapshot(handle.model) == before
    grid = found.grid
    assert found.maps.shape == (len(found.generation), grid.rows, grid.cols)
    assert (found.method, found.control) == (method, method in CONTROLS)
    assert found.unit and found.title
    assert found.provenance["family"] == variant.split()[0]
    again = attribute(handle, method)
    assert np.array_equal(found.maps, again.maps)
    assert np.array_equal(found.weights, again.weights)
    whole = found.sequence_map()
    if not found.minmaxed:
        assert whole.values == pytest.approx(found.maps.sum(0), abs=1e-5 * float(np.abs(found.maps).max()))


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["llava", "florence2"])
@pytest.mark.parametrize("method", NAMES)
def test_some_steps_alone_have_the_maps_that_they_have_among_all(method, variant):
    handle = cases.shared(variant)
    every, some = attribute(handle, method), attribute(handle, method, steps=[1, 3])
    assert some.steps == (1, 3)
    scale = np.abs(every.maps[[1, 3]]).max() or 1
    assert np.abs(some.maps - every.maps[[1, 3]]).max() < 1e-5 * scale


@pytest.mark.parametrize("method", ["integrated_gradients", "iia"])
def test_one_map_of_the_whole_answer_says_so_when_asked_for_a_word(method):
    found = dx.attribute(cases.shared("llava"), IMAGE, method=method, decoding=cases.SHORT, **QUICK[method])
    assert found.whole and len(found.maps) == 1
    assert np.array_equal(found.heatmap(slice(None)).values, found.sequence_map().values)
    with pytest.raises(ValueError, match=r"one map of the whole answer.*target='step'"):
        found.heatmap(0)


@pytest.mark.parametrize("method", NAMES)
def test_an_unknown_option_is_answered_with_those_there_are(method):
    known = attributions.options_of(method, {})
    with pytest.raises(ValueError, match=f"{method} has no option 'colour'; it takes ") as error:
        dx.attribute(None, method=method, colour="red")
    assert all(f"{name}=" in str(error.value) for name in vars(known)) or "no options" in str(error.value)


def test_an_unknown_method_is_answered_with_those_there_are():
    with pytest.raises(ValueError, match=f"No method named 'saliency'; there are {', '.join(NAMES)}"):
        dx.attribute(None, method="saliency")
    with pytest.raises(ValueError, match="No method named 'saliency'"):
        dx.compare(None, methods=["attention", "saliency"])


@pytest.mark.parametrize(
    ("method", "options", "said"),
    [
        ("rise", {"n_masks": 0}, "n_masks=0 is not accepted; expected a whole number of at least 1"),
        ("rise", {"n_masks": True}, "n_masks=True"),
        ("rise", {"shown": 1}, "shown=1 is not accepted; expected a number between 0 and 1"),
        ("rise", {"score": "logit"}, "choose one of 'probability', 'log_probability'"),
        ("integrated_gradients", {"target": "word"}, "choose one of 'answer', 'step'"),
        ("iia", {"n_images": 1}, "n_images=1 is not accepted"),
        ("grad_cam", {"form": "cam"}, "choose one of 'product', 'pooled'"),
        ("tam", {"stage": 3}, "choose one of 'raw', 'causal', 'scaled', 'full'"),
        ("dexar", {"head_filter": "median"}, "head_filter='median' is unknown"),
        ("dexar", {"preset": "mine"}, "preset='mine' is unknown"),
        ("dexar_use", {"step_weight": "area"}, "choose one of 'mass'"),
        ("random", {"smooth": -1}, "smooth=-1 is not accepted; expected a number of at least 0"),
        ("centre", {"spread": 0}, "spread=0 is not accepted"),
    ],
)
def test_a_value_that_means_nothing_is_refused_before_the_model_is_asked(method, options, said):
    with pytest.raises(ValueError, match=f"^{method}: .*{said}"):
        dx.attribute(None, method=method, **options)


@pytest.mark.parametrize(
    ("method", "options", "said"),
    [
        ("grad_cam", {"layer": 9}, r"layer=9 is not accepted; the visual tokens pass through layers 0 to 2"),
        ("attention", {"layers": 9}, r"layers=9 names layer 9"),
        ("dexar_use", {"heads": [(0, 7)]}, r"heads names \(layer 0, head 7\)"),
    ],
)
def test_a_layer_that_the_model_lacks_is_refused(method, options, said):
    with pytest.raises(ValueError, match=said):
        attribute(cases.shared("llava"), method, **options)


def fail(error):
    def forward(*_args, **_options):
        raise error

    return forward


@pytest.mark.slow
@pytest.mark.parametrize("variant", STATES)
@pytest.mark.parametrize("method", RUNNING)
def test_a_method_that_runs_out_of_memory_says_what_to_lower_and_leaves_the_model(method, variant):
    handle = cases.build(variant)
    e = dx.explain(handle, IMAGE, decoding=cases.SHORT)
    last = handle.anatomy.blocks[-1]
    module = getattr(last, "mlp", None) or last.fc2
    before = cases.snapshot(handle.model)
    resume = engine.resume
    for error in (
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
        MemoryError(),
    ):

        def resumed(*args, error=error):
            answer = resume(*args)
            module.forward = fail(error)  # what comes after the answer fails
            return answer

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(engine, "resume", resumed)
            with pytest.raises(MemoryError, match="ran out of memory: ") as raised:
                dx.attribute(e, method=method, **PER_STEP.get(method, {}))
        del module.forward
        smaller = plugins.get("methods", method).SMALLER
        assert smaller in str(raised.value) or "The shared pass" in str(raised.value)
        assert cases.snapshot(handle.model) == before


def test_another_error_stays_what_it_is(monkeypatch):
    handle = cases.shared("llava")
    monkeypatch.setattr(plugins.get("methods", "tam"), "attribute", fail(RuntimeError("a bug")))
    with pytest.raises(RuntimeError, match="a bug"):
        attribute(handle, "tam")


@pytest.mark.slow
@pytest.mark.parametrize("method", RUNNING)
def test_a_frozen_model_and_inference_mode_change_nothing(method):
    handle = cases.build("florence2")
    expected = attribute(handle, method).maps
    handle.model.requires_grad_(False)
    assert np.array_equal(attribute(handle, method).maps, expected)
    with torch.inference_mode():
        assert np.array_equal(attribute(handle, method).maps, expected)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("method", RUNNING)
def test_half_precision_gives_nearly_the_same_maps(method, dtype):
    half, full = cases.in_dtype(cases.shared("llava"), dtype)
    answer = dx.explain(full, IMAGE, decoding=cases.SHORT).generation.text
    found, expected = (
        dx.attribute(vlm, IMAGE, method=method, answer=answer, **PER_STEP.get(method, {})) for vlm in (half, full)
    )
    one, other = found.maps.ravel(), expected.maps.ravel()
    # the random model's gated maps hang on heads at the brink; a path's gradients on a random tower are noisy
    assert np.corrcoef(one, other)[0, 1] > 0.97


@pytest.mark.slow
@pytest.mark.parametrize("method", RUNNING)
def test_inside_a_job_a_method_tells_how_far_it_is_and_stops_before_the_next_layer(method):
    handle = cases.build("paligemma 1")
    e = dx.explain(handle, IMAGE, decoding=cases.SHORT)
    before = cases.snapshot(handle.model)
    heard = []
    work = lambda: dx.attribute(e, method=method, **PER_STEP.get(method, {}))  # noqa: E731
    done = jobs.submit(handle, work, on_progress=heard.append)
    assert np.array_equal(done.result(60).maps, work().maps)
    assert plugins.get("methods", method).TITLE in " ".join(news.text for news in heard)
    ran, stop_at = count_layers(handle, work)
    reached, go_on = threading.Event(), threading.Event()
    layers = 0

    def hook(*_):
        nonlocal layers
        layers += 1
        if layers == stop_at:
            reached.set()
            go_on.wait(30)

    hooks = [block.register_forward_hook(hook) for block in handle.anatomy.blocks]
    try:
        job = jobs.submit(handle, work)
        assert reached.wait(30)
        job.cancel()
        go_on.set()
        with pytest.raises(jobs.Cancelled):
            job.result(30)
    finally:
        for one in hooks:
            one.remove()
    job._ended.wait(5)
    assert layers == stop_at < ran
    assert cases.snapshot(handle.model) == before


def count_layers(handle, work):
    """How many decoder blocks the whole work runs, and one among those after the answer was read again."""
    ran = 0

    def hook(*_):
        nonlocal ran
        ran += 1

    hooks = [block.register_forward_hook(hook) for block in handle.anatomy.blocks]
    work()
    for one in hooks:
        one.remove()
    return ran, len(handle.anatomy.blocks) + 2


def test_a_third_partys_method_that_gives_nonsense_is_told_so(monkeypatch):
    handle, module = cases.shared("llava"), plugins.get("methods", "uniform")
    for values, said in (
        (np.ones((6, 5)), r"uniform gave values of shape \(6, 5\); expected one per visual token: \(map, 16\)"),
        (np.ones((2, 16)), r"expected one per step \(6\), or one for all"),
        (np.full((6, 16), np.nan), "gave NaN or infinity"),
    ):
        monkeypatch.setattr(module, "attribute", lambda *_, values=values: Maps(values))
        with pytest.raises(ValueError, match=said):
            attribute(handle, "uniform")


@pytest.mark.parametrize("method", ["rollout", "chefer_cam"])
def test_one_attention_map_exists_at_a_time(method, monkeypatch):
    alive, most = 0, 0
    built = engine.Sublayer.attention

    def counted(self, *args):
        nonlocal alive, most
        found = built(self, *args)
        alive += 1
        most = max(most, alive)

        def gone():
            nonlocal alive
            alive -= 1

        weakref.finalize(found, gone)
        return found

    monkeypatch.setattr(engine.Sublayer, "attention", counted)
    attribute(cases.shared("llava"), method)
    assert (alive, most) == (0, 1)


@pytest.mark.slow
@pytest.mark.parametrize("method", RUNNING)
def test_no_graph_stays_after_a_method(method):
    found = attribute(cases.build("florence2"), method)
    gc.collect()
    assert [each for each in gc.get_objects() if type(each) is torch.Tensor and each.grad_fn is not None] == []
    assert found.maps.any()
