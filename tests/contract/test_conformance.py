"""The checks for plug-ins' authors: the package's own pass, and each thing that can be wrong is found."""

import dataclasses
import sys
import types

import numpy as np
import pytest
import torch

from dexar_widgets import conformance, engine, plugins, vlm
from dexar_widgets.families import llava
from dexar_widgets.methods import Maps
from dexar_widgets.metrics import Score

pytestmark = pytest.mark.slow

FEW = {"rise": {"n_masks": 3}, "integrated_gradients": {"n_steps": 2}, "iia": {"n_images": 2, "n_attentions": 2}}
OWN = [(kind, name) for kind in conformance.KINDS for name in plugins.names(kind)]


@pytest.mark.parametrize(("kind", "name"), OWN, ids=[name for _, name in OWN])
def test_the_packages_own_plug_ins_hold(kind, name):
    module = conformance.load(name)
    assert conformance.kind_of(module) == kind
    findings = list(conformance.check(module, options=FEW.get(name) if kind == "methods" else None))
    assert [finding for finding in findings if not finding.ok] == []
    assert len(findings) > 5


def broken(findings):
    return [finding.what for finding in findings if not finding.ok]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Nothing:
    pass


def ramp(subject, _options):
    visual = int(subject.layout.is_image.sum())
    return Maps(np.tile(np.arange(visual, dtype=float), (len(subject.steps), 1)))


def method(attribute=ramp, doc="Mine. Source: none.", **changes):
    facts = {
        "TITLE": "Mine",
        "UNIT": "ones",
        "CONTROL": False,
        "NEEDS": frozenset(),
        "SMALLER": "it",
        "Options": Nothing,
    }
    module = types.ModuleType("mine", doc)
    vars(module).update(facts | {"attribute": attribute} | changes)
    return module


def once_more(subject, options):
    ramp.calls = getattr(ramp, "calls", 0) + 1
    return Maps(ramp(subject, options).values + ramp.calls)


def trained(subject, options):
    subject.vlm.model.train()
    return ramp(subject, options)


def hooked(subject, options):
    subject.vlm.anatomy.blocks[0].register_forward_hook(lambda *_: None)
    return ramp(subject, options)


def careless(subject, options):
    hook = subject.vlm.anatomy.blocks[0].register_forward_hook(lambda *_: None)
    engine.final_states(subject.vlm, subject.request, subject.answer, steps=[0])
    hook.remove()  # not where the line above fails
    return ramp(subject, options)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    answer: int = 3


def by_count(subject, options):
    return Maps(ramp(subject, options).values + len(subject.steps))


def in_mode(subject, options):
    return Maps(ramp(subject, options).values + torch.is_inference_mode_enabled())


def wide(subject, options):
    return Maps(np.ones((len(subject.steps), 3)))


def zero(subject, options):
    return Maps(ramp(subject, options).values * 0)


def seeded(subject, options):
    torch.manual_seed(0)
    return ramp(subject, options)


FAULTS = {
    "no source": (method(doc="Mine."), "names its source in its docstring"),
    "no title": (method(TITLE=" "), "says what it is: TITLE, UNIT, CONTROL, NEEDS, SMALLER"),
    "a need that there is not": (method(NEEDS={"hidden"}), "says what it is: TITLE, UNIT, CONTROL, NEEDS, SMALLER"),
    "options that are no dataclass": (method(Options=dict), "Options is a frozen dataclass with a default for each"),
    "other numbers each time": (method(once_more), "llava: gives the same twice"),
    "a model left in training mode": (method(trained), "llava: leaves the model as it was"),
    "a hook left behind": (method(hooked), "llava: leaves the model as it was"),
    "a hook left behind by a failure": (method(careless), "llava: leaves the model as it was when it fails"),
    "an option that the verb takes": (method(Options=Answer), "Options is a frozen dataclass with a default for each"),
    "the global random state": (method(seeded), "llava: leaves the model as it was"),
    "steps that depend on the others": (method(by_count), "llava: gives some steps what they have among all"),
    "a caller's mode": (method(in_mode), "llava: works in a caller's inference mode"),
    "maps of another size": (method(wide), "llava: gives finite raw maps on the grid"),
    "empty maps": (method(zero), "llava: gives finite raw maps on the grid"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_methods_fault_is_found(fault, monkeypatch):
    module, expected = FAULTS[fault]
    monkeypatch.setattr(plugins, "names", lambda kind: ("llava",))
    conformance.methods._asked.cache_clear()
    try:
        assert expected in broken(conformance.check(module, "methods"))
    finally:
        conformance.methods._asked.cache_clear()


def test_a_wrong_option_is_the_callers_mistake():
    with pytest.raises(ValueError, match="mine has no option 'colour'; it takes no options"):
        list(conformance.check(method(), options={"colour": 1}))


def test_a_family_registered_under_another_name_than_its_modules(monkeypatch):
    other = family()
    monkeypatch.setattr(plugins, "names", lambda kind: ("theirs",))
    monkeypatch.setattr(plugins, "get", lambda kind, name: other)
    monkeypatch.setattr(vlm, "_family_of", lambda config: other)
    conformance.methods._asked.cache_clear()
    try:
        assert broken(conformance.check(method(), "methods")) == []
    finally:
        conformance.methods._asked.cache_clear()


def test_a_file_named_like_a_standard_module_replaces_nothing(tmp_path):
    import random

    path = tmp_path / "random.py"
    path.write_text("TITLE = 'Mine'")
    assert conformance.load(str(path)).TITLE == "Mine"
    assert sys.modules["random"] is random
    path.write_text("1 / 0")
    with pytest.raises(ZeroDivisionError):
        conformance.load(str(path))
    assert "checked_plugin.random" not in sys.modules


def test_a_sound_method_holds(monkeypatch):
    monkeypatch.setattr(plugins, "names", lambda kind: ("llava",))
    assert broken(conformance.check(method(), "methods")) == []


def test_a_module_that_lacks_names_is_tried_no_further():
    module = method()
    del module.UNIT
    (finding,) = conformance.check(module)
    assert not finding.ok and finding.detail == "missing: UNIT"


def family(**changes):
    module = types.ModuleType("mine", "Mine.")
    vars(module).update({name: getattr(llava, name) for name in plugins.members("families")} | changes)
    return module


def anatomy(**changes):
    return lambda model: dataclasses.replace(llava.anatomy(model), **changes)


def shifted(model):
    found = llava.anatomy(model)
    return dataclasses.replace(found, projections=found.projections[1:] + found.projections[:1])


def layout(*args):
    found = llava.layout(*args)
    return dataclasses.replace(
        found, ids=found.ids[:-1], pieces=found.pieces[:-1], kinds=found.kinds[:-1], cells=found.cells[:-1]
    )


FAMILY_FAULTS = {
    "a norm left out": (family(anatomy=anatomy(final_norm=torch.nn.Identity())), "the gradient tensor is that of"),
    "a verification that lets all pass": (family(verify=lambda config: None), "verify() refuses a field"),
    "an empty prompt": (family(DEFAULT_PROMPT=""), "says what it is"),
    "a window that is not there": (family(anatomy=anatomy(windows=(4, 4, 4))), "attention rows are those of eager"),
    "a key without a name": (family(layout=layout), "layout() names every key"),
    "projections of other layers": (family(anatomy=shifted), "the gradient tensor is that of"),
}


@pytest.mark.parametrize("fault", FAMILY_FAULTS)
def test_a_familys_fault_is_found(fault, monkeypatch):
    module, expected = FAMILY_FAULTS[fault]
    monkeypatch.setattr(plugins, "names", lambda kind: ("attention",) if kind == "methods" else ("llava",))
    found = broken(conformance.check(module, "families"))
    assert any(what.startswith(expected) for what in found), found


def test_a_sound_family_holds(monkeypatch):
    monkeypatch.setattr(plugins, "names", lambda kind: ("attention",) if kind == "methods" else ("llava",))
    assert broken(conformance.check(family(), "families")) == []


def metric(measure, better=True, **changes):
    module = types.ModuleType("mine", "Mine.")
    facts = {"TITLE": "Mine", "HIGHER_IS_BETTER": better, "NEEDS": frozenset({"mask"}), "WORST": 0.0}
    vars(module).update(facts | {"measure": measure} | changes)
    return module


def plain(case):
    """A share of energy that knows no reason to keep silent."""
    value = float(np.nan_to_num(case.heat.values.astype(float)).mean()) + float(case.mask.mean())
    return Score("mine", value, higher_is_better=True)


def careless_score(case):
    case.mask[0, 0] = False
    return GAME.measure(case)


def on_all_pixels(case):
    return GAME.measure(dataclasses.replace(case, ignored=None))


def infinite(case):
    score = GAME.measure(case)
    return dataclasses.replace(score, parts={"odds": np.inf}) if score.status == "ok" else score


def unlike(case):
    return dataclasses.replace(GAME.measure(case), higher_is_better=False)


def of_silent_steps(case):
    if case.steps is None:
        return Score("mine", float("nan"), True, "missing")
    return Score("mine", float(np.nan_to_num(case.steps.weights, posinf=0)[case.steps.content].sum()), True)


GAME = plugins.get("metrics", "energy_pointing_game")
RANKS = "ranks what is right over chance over its opposite, on twenty cases"
FACTS = "says what it is: TITLE, HIGHER_IS_BETTER, NEEDS, WORST"
METRIC_FAULTS = {
    "the wrong direction": (metric(GAME.measure, better=False), RANKS),
    "a score of another direction": (metric(unlike), RANKS),
    "worse than its worst": (metric(GAME.measure, WORST=0.9), RANKS),
    "an infinite part": (metric(infinite), RANKS),
    "a need that there is not": (metric(GAME.measure, NEEDS=frozenset({"masks"})), FACTS),
    "needs that are no set": (metric(GAME.measure, NEEDS=None), FACTS),
    "a bound that is no number": (metric(GAME.measure, WORST=None), FACTS),
    "a changed case": (metric(careless_score), "gives the same twice, and leaves the case as it was"),
    "ignored pixels that count": (metric(on_all_pixels), "takes no notice of ignored pixels' mask"),
    "a need that is not looked for": (metric(plain), "no mask: the status missing"),
    "a number of silent steps": (
        metric(of_silent_steps, NEEDS=frozenset({"steps"})),
        "zero steps: a status and no number",
    ),
}


def test_a_metrics_faults_are_found():
    found = broken(conformance.check(metric(plain), "metrics"))
    assert RANKS in found
    assert {"constant: a status and no number", "NaN: a status and no number"} <= set(found)
    upside_down = broken(conformance.check(metric(GAME.measure, better=False), "metrics"))
    assert upside_down == [RANKS]


@pytest.mark.parametrize("fault", METRIC_FAULTS)
def test_a_metrics_fault_is_found(fault):
    module, expected = METRIC_FAULTS[fault]
    assert expected in broken(conformance.check(module, "metrics"))


def test_a_metric_of_the_map_alone_holds_if_it_knows_nan():
    def spread(case):
        if not np.isfinite(case.heat.values).all():
            return Score("mine", float("nan"), True, "nan_input")
        return Score("mine", float(case.heat.values.astype(float).std()), True)

    assert broken(conformance.check(metric(spread, NEEDS=frozenset()), "metrics")) == []
