"""Finding plug-ins in their folder and from third parties."""

import sys
from importlib.metadata import EntryPoint, EntryPoints
from types import ModuleType

import numpy as np
import pytest

from dexar_widgets import plugins, vlm
from dexar_widgets.families import llava


@pytest.fixture
def third_party(monkeypatch):
    """A family of somebody else's package, registered under the entry point group."""
    module = ModuleType("others_family")
    for name in ("verify", "repair", "prompt", "anatomy", "layout", "tiny"):
        setattr(module, name, lambda *_: None)
    module.MODEL_TYPES, module.CHECKPOINTS, module.REDIRECTS, module.DEFAULT_PROMPT = ("other",), (), {}, "Hello."
    monkeypatch.setitem(sys.modules, "others_family", module)
    registered = [
        EntryPoint("other", "others_family", "dexar_widgets.families"),
        EntryPoint("llava", "others_family", "dexar_widgets.families"),
    ]
    monkeypatch.setattr(plugins, "entry_points", EntryPoints(registered).select)
    return module


def test_the_families_are_the_files_of_their_folder_without_the_underscored():
    assert plugins.names("families") == ("florence2", "llava", "paligemma")


def test_a_plug_in_is_its_module():
    assert plugins.get("families", "llava").__name__ == "dexar_widgets.families.llava"


def test_a_third_party_is_found_by_its_entry_point(third_party):
    assert plugins.names("families") == ("florence2", "llava", "other", "paligemma")
    assert plugins.get("families", "other") is third_party


def test_a_third_partys_method_is_one_of_all(monkeypatch):
    import dexar_widgets as dx
    from dexar_widgets.methods import centre

    module = ModuleType("others_method")
    vars(module).update({name: getattr(centre, name) for name in plugins.members("methods")}, TITLE="Theirs")
    monkeypatch.setitem(sys.modules, "others_method", module)
    registered = EntryPoints([EntryPoint("theirs", "others_method", "dexar_widgets.methods")])
    monkeypatch.setattr(plugins, "entry_points", registered.select)
    assert "theirs" in plugins.names("methods")
    handle = vlm.load(llava.tiny())
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    found = dx.attribute(handle, image, method="theirs", answer="a cup", spread=0.5)
    assert (found.title, found.options) == ("Theirs", {"spread": 0.5})
    e = dx.compare(handle, image, answer="a cup", methods=["theirs", "uniform"])
    assert list(e.attributions) == ["theirs", "uniform"]


def test_a_model_of_a_third_partys_type_is_loaded_with_its_family(third_party):
    model, processor = llava.tiny()
    vars(third_party).update({name: value for name, value in vars(llava).items() if not name.startswith("__")})
    third_party.MODEL_TYPES = ("other",)
    model.config.model_type = "other"
    assert vlm.load((model, processor)).family is third_party


def test_an_entry_point_that_cannot_be_imported_is_named(monkeypatch):
    registered = EntryPoints([EntryPoint("gone", "no_such_module", "dexar_widgets.families")])
    monkeypatch.setattr(plugins, "entry_points", registered.select)
    with pytest.raises(ValueError, match="entry point 'no_such_module' for families cannot be imported: No module"):
        plugins.get("families", "gone")


def test_the_packages_own_wins_over_an_entry_point_of_the_same_name(third_party):
    assert plugins.get("families", "llava") is not third_party


def test_what_a_plug_in_lacks_is_named(third_party):
    del third_party.layout, third_party.REDIRECTS
    with pytest.raises(ValueError, match="others_family is no family: it lacks REDIRECTS, layout"):
        plugins.get("families", "other")


def test_every_member_of_the_protocol_is_asked_for():
    expected = {"MODEL_TYPES", "CHECKPOINTS", "REDIRECTS", "DEFAULT_PROMPT"}
    expected |= {"verify", "repair", "prompt", "anatomy", "layout", "tiny"}
    assert plugins.members("families") == expected


@pytest.mark.parametrize(("kind", "name"), [("families", "blip"), ("families", "_tiny"), ("families", "")])
def test_an_unknown_name_is_answered_with_the_known_ones(kind, name):
    with pytest.raises(ValueError, match=f"No family named '{name}'; there are florence2, llava, paligemma"):
        plugins.get(kind, name)


def test_an_unknown_kind_is_answered_with_the_known_ones():
    with pytest.raises(
        ValueError, match="Unknown kind of plug-in 'panels'; expected one of families, methods, metrics"
    ):
        plugins.names("panels")
