"""What methods cost and share, and what a comparison of several is."""

import weakref

import cases
import numpy as np
import pytest
import torch
from test_methods import CONTROLS, IMAGE, NAMES, PER_STEP, RUNNING, attribute

import dexar_widgets as dx
from dexar_widgets import attributions, engine, plugins
from dexar_widgets.methods import Subject


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


@pytest.mark.slow
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


@pytest.mark.slow
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


def test_a_subject_makes_what_is_shared_once():
    handle = cases.shared("llava")
    request = engine.encode(handle, cases.EXAMPLE)
    said = engine.answer(handle, request, decoding=cases.SHORT)
    subject = Subject(handle, request, said, (0, 1), frozenset({"gradients", "attention"}))
    assert subject.attention is subject.passed.attention
    assert subject.chunks() is subject.chunks()


def test_in_a_comparison_each_method_is_charged_for_the_part_of_the_pass_that_it_takes():
    handle = cases.shared("llava")
    e = dx.compare(handle, IMAGE, methods=["attention", "dexar", "rollout", "uniform"], decoding=cases.SHORT)
    costs = {name: found.cost for name, found in e.attributions.items()}
    assert costs["attention"].shared < costs["dexar"].shared  # the tensor is not attention's affair
    assert costs["rollout"].shared == costs["uniform"].shared == 0
    assert len({cost.answer for cost in costs.values()}) == 1
    assert (costs["rollout"].forwards, costs["uniform"].forwards) == (1, 0)
    alone = attribute(handle, "attention").cost
    assert (alone.forwards, alone.backwards) == (1, 0)


def test_a_method_added_to_an_explanation_is_charged_for_the_answer_as_it_was_generated():
    e = dx.explain(cases.shared("llava"), IMAGE, decoding=cases.SHORT)
    assert dx.attribute(e, method="tam").cost.answer == pytest.approx(e.provenance["seconds"]["answer"], abs=1e-4)


@pytest.mark.parametrize(
    "layers", [range(2), np.array([0, 1]), [np.int64(0), np.int64(1)], (0, 1), slice(0, 2), slice(0, -1)]
)
def test_layers_may_be_given_in_any_form_and_are_recorded(layers):
    handle = cases.shared("llava")
    expected = attribute(handle, "attention", layers=[0, 1]).maps
    found = attribute(handle, "attention", layers=layers)
    assert np.array_equal(found.maps, expected)
    recorded = found.options["layers"]
    assert recorded in ([0, 1], {"slice": [0, 2, None]}, {"slice": [0, -1, None]})


def test_a_number_of_numpy_is_a_number():
    assert attributions.options_of("rise", {"n_masks": np.int64(3), "shown": np.float32(0.5)}).n_masks == 3


def test_dexar_keeps_to_the_preset_and_the_softcap_of_the_explanation():
    handle = cases.shared("llava")
    e = dx.explain(handle, IMAGE, decoding=cases.SHORT, preset="released")
    found = dx.attribute(e, method="dexar")
    assert found.options["preset"] == "released"
    assert found.sequence_map().values == pytest.approx(e.sequence_map().values, abs=1e-6)
    assert dx.attribute(e, method="dexar", preset="paper").options["preset"] == "paper"
    uncapped = dx.explain(cases.shared("paligemma 2"), IMAGE, decoding=cases.SHORT, softcap=False)
    capped = dx.explain(cases.shared("paligemma 2"), IMAGE, decoding=cases.SHORT)
    same = dx.attribute(uncapped, method="dexar", head_filter="none").heatmap(0).values
    apart = [np.abs(same - e.heatmap(0, head_filter="none").values).max() for e in (uncapped, capped)]
    assert apart[0] < apart[1] / 10  # the tiny model's logits are small beside the cap


def test_what_runs_out_of_memory_is_left_out_of_a_comparison_and_told(monkeypatch):
    handle = cases.shared("llava")

    def fail(*_):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(plugins.get("methods", "rise"), "attribute", fail)
    e = dx.compare(handle, IMAGE, methods=["rise", "tam"], decoding=cases.SHORT)
    assert list(e.attributions) == ["tam"]
    assert any("RISE ran out of memory: lower batch_size" in notice for notice in e.example.notices)
    with pytest.raises(MemoryError, match="RISE ran out of memory"):
        dx.compare(handle, IMAGE, methods=["rise"], decoding=cases.SHORT)


def test_an_error_about_memory_keeps_no_tensor_alive(monkeypatch):
    handle, alive = cases.shared("llava"), []

    def fail(*_):
        large = torch.zeros(10)
        alive.append(weakref.ref(large))
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(plugins.get("methods", "tam"), "attribute", fail)
    with pytest.raises(MemoryError) as raised:
        attribute(handle, "tam")
    assert alive[0]() is None
    assert "CUDA out of memory." in raised.value.__notes__


def test_flash_attention_hides_what_some_methods_read(monkeypatch):
    handle = cases.build("llava")
    monkeypatch.setattr(handle.model.model.language_model.config, "_attn_implementation_internal", "flash_attention_2")
    monkeypatch.setattr(type(handle.model), "generate", lambda *_, **__: pytest.fail("asked before it was refused"))
    with pytest.raises(ValueError, match=r'chefer_cam reads attention.*attn_implementation="sdpa"'):
        dx.attribute(handle, IMAGE, method="chefer_cam")
    with pytest.raises(ValueError, match="rollout reads attention"):
        dx.compare(handle, IMAGE, methods=["tam", "rollout"])
    told = attributions.readable(handle, NAMES)
    hidden = {name for name, why in told.items() if why}
    assert hidden == {"attention", "attn_grad", "dexar_use", "rollout", "chefer_cam", "iia"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"methods": "rise"}, r"methods='rise' is one name; give a list of names: methods=\['rise'\]"),
        ({"methods": []}, "methods names none; there are "),
        ({"methods": ["tam"], "keep": "some"}, "keep='some' is unknown"),
    ],
)
def test_what_a_comparison_cannot_be_is_told(given, said):
    with pytest.raises(ValueError, match=said):
        dx.compare(cases.shared("llava"), IMAGE, **given)


def test_a_subject_is_a_model_or_an_explanation():
    with pytest.raises(ValueError, match=r"Expected a loaded VLM .* got a str"):
        dx.attribute("lab/llava", IMAGE, method="tam")


def test_a_broken_method_of_somebody_elses_is_left_out_of_all(monkeypatch, caplog):
    get = plugins.get

    def broken(kind, name):
        if name == "edges":
            raise ValueError("The entry point 'gone' for methods cannot be imported.")
        return get(kind, name)

    monkeypatch.setattr(plugins, "get", broken)
    assert "edges" not in attributions.every_method()
    assert "cannot be imported" in caplog.text
