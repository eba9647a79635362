"""What every method keeps to, on every family: found by scan, so that a new file of either is tested by itself."""

import threading
import weakref

import cases
import numpy as np
import pytest
import torch

import dexar_widgets as dx
from dexar_widgets import attributions, engine, jobs, plugins
from dexar_widgets.methods import Maps, Subject

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


@pytest.mark.parametrize("variant", cases.VARIANTS)
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


@pytest.mark.parametrize("method", RUNNING)
def test_a_frozen_model_and_inference_mode_change_nothing(method):
    handle = cases.build("florence2")
    expected = attribute(handle, method).maps
    handle.model.requires_grad_(False)
    assert np.array_equal(attribute(handle, method).maps, expected)
    with torch.inference_mode():
        assert np.array_equal(attribute(handle, method).maps, expected)


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


class Passes:
    """Counts the decoder's runs, each image as one, and the calls of autograd, by listening to torch."""

    def __init__(self, handle):
        self.forwards = self.backwards = self.vision = self.generates = 0
        self.handle = handle

    def __enter__(self):
        grad, generate = torch.autograd.grad, self.handle.model.generate
        self.patch = pytest.MonkeyPatch()

        def counted(outputs, inputs, *args, **options):
            self.backwards += 1
            return grad(outputs, inputs, *args, **options)

        def generated(*args, **options):
            self.generates += 1
            return generate(*args, **options)

        self.patch.setattr(torch.autograd, "grad", counted)
        self.handle.model.generate = generated

        def ran(_module, _args, output):
            self.forwards += len(output.last_hidden_state)

        def saw(*_):
            self.vision += 1

        self.hooks = [
            self.handle.anatomy.decoder.register_forward_hook(ran),
            self.handle.anatomy.vision_tower.register_forward_hook(saw),
        ]
        return self

    def __exit__(self, *_):
        self.patch.undo()
        del self.handle.model.generate
        for one in self.hooks:
            one.remove()


@pytest.mark.parametrize("variant", ["llava", "florence2"])
@pytest.mark.parametrize("method", RUNNING)
def test_the_passes_that_are_told_are_those_that_torch_sees(method, variant):
    handle = cases.build(variant)
    e = dx.explain(handle, IMAGE, decoding=cases.SHORT)
    with Passes(handle) as passes:
        found = dx.attribute(e, method=method, **PER_STEP.get(method, {}))
    assert passes.forwards - 1 == found.cost.forwards  # one reads the prompt again
    gradients = "gradients" in plugins.get("methods", method).NEEDS
    if gradients:  # the engine's tails are one backward pass, block by block
        assert (passes.backwards, found.cost.backwards) == (len(handle.anatomy.blocks) + 1, 1)
    elif method in ("integrated_gradients", "iia"):  # batched: one call, as many passes as images
        assert passes.backwards < found.cost.backwards
    else:
        assert passes.backwards == found.cost.backwards


def test_a_pass_costs_what_the_method_says():
    handle = cases.shared("llava")
    steps = len(attribute(handle, "dexar").generation)
    costs = {name: attribute(handle, name).cost for name in RUNNING}
    passes = {name: (cost.forwards, cost.backwards) for name, cost in costs.items()}
    assert passes["attention"] == passes["rollout"] == passes["tam"] == (1, 0)
    assert passes["dexar"] == passes["dexar_use"] == passes["attn_grad"] == (1, 1)
    assert passes["grad_cam"] == passes["chefer_cam"] == (1, steps)
    assert passes["rise"] == (4, 0)
    assert passes["integrated_gradients"] == (2 + 2, 2 * steps)
    assert passes["iia"] == (2 * steps, 4 * steps)


@pytest.mark.parametrize("variant", ["llava mistral", "florence2"])
def test_a_comparison_gives_what_the_methods_give_alone_for_one_answer_and_one_look_at_the_image(variant):
    handle = cases.build(variant)
    blind = [name for name in NAMES if name not in ("rise", "integrated_gradients", "iia")]
    with Passes(handle) as passes:
        e = dx.compare(handle, IMAGE, methods=blind, decoding=cases.SHORT)
    assert (passes.generates, passes.vision) == (1 + (variant == "florence2"), 1 + (variant == "florence2"))
    assert list(e.attributions) == blind  # (Florence-2 answers with beams, whose cache serves nobody else)
    plain = dx.explain(handle, IMAGE, decoding=cases.SHORT)
    assert e.generation == plain.generation
    assert np.array_equal(e.gradients.values, plain.gradients.values)
    for name in blind:
        alone = attribute(handle, name)
        assert np.array_equal(e.attributions[name].maps, alone.maps), name
        assert np.array_equal(e.attributions[name].weights, alone.weights), name


def test_a_comparison_of_everything_begins_with_the_papers_method_and_ends_with_controls():
    handle = cases.shared("llava")
    e = dx.compare(handle, IMAGE, options=PER_STEP, decoding=cases.SHORT)
    names = list(e.attributions)
    assert names[:2] == ["dexar", "dexar_use"] and set(names[-4:]) == CONTROLS
    assert set(names) == set(NAMES)
    more = dx.compare(e, methods=["rise"], options={"rise": {"n_masks": 2}})
    assert more.attributions["rise"].cost.forwards == 2
    assert more.attributions["tam"] is e.attributions["tam"]


def test_a_comparison_refuses_options_of_what_is_not_compared():
    with pytest.raises(ValueError, match=r"options are given for 'rise', which is not compared; compared: tam"):
        dx.compare(None, methods=["tam"], options={"rise": {"n_masks": 2}})


def test_an_explanations_own_answer_is_attributed_token_for_token():
    handle = cases.shared("llava")
    sampled = engine.Decoding(max_new_tokens=5, do_sample=True, seed=3, temperature=3.0)
    e = dx.explain(handle, IMAGE, decoding=sampled)
    found = dx.attribute(e, method="attention")
    assert found.generation is e.generation
    assert np.array_equal(found.maps, dx.attribute(handle, IMAGE, method="attention", decoding=sampled).maps)
    with pytest.raises(ValueError, match="An explanation has its image, prompt and answer"):
        dx.attribute(e, IMAGE)
    with pytest.raises(ValueError, match="There is no image to ask about"):
        dx.attribute(handle)


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


# Known properties, on the embedded model: trained weights, an answer that says a word twice.


@pytest.fixture(scope="module")
def lab():
    handle = dx.load()
    e = dx.explain(handle, dx.lab.scene(7).image, "what do you see?")
    words = [word.text.strip() for word in e.generation.words]
    assert words.count("square") == 2
    yield e  # with the model in memory
    del handle


def test_tams_maps_of_one_word_said_twice_are_equal_to_the_last_bit_before_its_causal_step(lab):
    first, second = (word.steps for word in lab.generation.words if word.text.strip() == "square")
    raw = dx.attribute(lab, method="tam", stage="raw")
    assert raw.maps[first[0]].tobytes() == raw.maps[second[0]].tobytes()
    assert raw.maps[first[0]].max() > 0
    full = dx.attribute(lab, method="tam")
    assert not np.array_equal(full.maps[first[0]], full.maps[second[0]])
    ours = dx.attribute(lab, method="dexar")
    assert not np.array_equal(ours.maps[first[0]], ours.maps[second[0]])


def test_integrated_gradients_come_nearer_to_completeness_with_more_steps(lab):
    errors = [
        dx.attribute(lab, method="integrated_gradients", n_steps=n, batch_size=16).notes["completeness_error"]
        for n in (4, 12, 36)
    ]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.15


@pytest.mark.slow
def test_two_draws_of_rise_agree_the_better_the_more_masks(lab):
    step = lab.steps_of("butterfly")[0]

    def apart(count):
        one, other = (
            dx.attribute(lab, method="rise", steps=step, n_masks=count, seed=seed, batch_size=32).maps
            for seed in (1, 2)
        )
        return np.abs(one - other).mean()

    few, many = apart(16), apart(256)
    assert many < few / 2  # 16 × as many masks: a quarter, by chance between a sixth and a half


def test_batches_change_nothing_but_last_digits(lab):
    one, other = (
        dx.attribute(lab, method="rise", n_masks=12, batch_size=size, score="log_probability").maps for size in (1, 12)
    )
    assert np.abs(one - other).max() < 1e-4 * np.abs(one).max()


def test_peak_memory_follows_the_batch(lab):
    small, large = (dx.attribute(lab, method="rise", n_masks=64, batch_size=size).cost.peak_bytes for size in (1, 64))
    if large is None:
        pytest.skip("this system does not tell a process's peak of memory")
    assert large > small


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


def test_a_subject_makes_what_is_shared_once():
    handle = cases.shared("llava")
    request = engine.encode(handle, cases.EXAMPLE)
    said = engine.answer(handle, request, decoding=cases.SHORT)
    subject = Subject(handle, request, said, (0, 1), frozenset({"gradients", "attention"}))
    assert subject.attention is subject.passed.attention
    assert subject.chunks() is subject.chunks()
