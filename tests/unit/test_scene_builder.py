import io

import numpy as np
import pytest
import traitlets
from PIL import Image

import dexar_widgets as dx
from dexar_widgets.widgets import builder as module


@pytest.fixture
def builder():
    widget = dx.SceneBuilder(scene=dx.lab.scene(7, objects=["red cat", "blue boat"], background="grass", size=192))
    yield widget
    widget.close()


def pictures(builder):
    """Each picture of the browser's, as it opens them."""
    ends = builder._drawn["ends"]
    parts = [builder._pictures[start:stop] for start, stop in zip([0, *ends], ends, strict=False)]
    return [Image.open(io.BytesIO(part)) for part in parts]


def composed(builder):
    """What the browser lays over each other."""
    ground, *things = pictures(builder)
    for told, picture in zip(builder._drawn["things"], things, strict=True):
        corner = [round((told[axis] - told["size"] / 2) * ground.width) for axis in "xy"]
        ground.paste(picture, tuple(corner), picture)
    return np.asarray(ground)


def test_the_pictures_lie_over_each_other_as_the_scene_is(builder):
    assert np.array_equal(composed(builder), builder.scene.image)
    cat = builder.things[0] | {"x": 0.25, "y": 0.75, "colour": "pink"}
    builder.things = [cat, *builder.things[1:], {"name": "checker", "colour": "white", "x": 0.1, "y": 0.1, "size": 0.1}]
    builder.background = "water"
    assert np.array_equal(composed(builder), builder.scene.image)
    assert builder.scene.spec.objects[0].colour == "pink"
    assert [prop.name for prop in builder.scene.spec.props] == ["checker"]


def test_the_scene_differs_in_what_was_changed_alone(builder):
    before = builder.scene
    builder.things = builder.things[1:]
    assert builder.scene.spec == before.spec.without(0)
    builder.background = "sand"
    assert builder.scene.spec == before.spec.without(0).on("sand")
    told = []

    def note(change):
        told.append((change["name"], builder.scene.spec == before.spec))

    builder.observe(note, ["things", "truths"])
    builder.scene = before
    assert builder.scene.spec == before.spec
    assert {("things", True), ("truths", True)} <= set(told)  # nobody sees half of the change


def test_the_true_answers_follow(builder):
    assert (
        builder.truths["What do you see?"]
        == "I see " + builder.scene.caption.removeprefix("The image shows").replace(" and ", " as well as ").strip()
    )
    builder.things = [builder.things[0]]
    assert builder.truths["What do you see?"] == builder.scene.caption.replace("The image shows", "I see").replace(
        " and ", " as well as "
    )
    builder.things = [builder.things[0]]
    assert builder.truths["What do you see?"] == "I see a red cat."
    assert "I count one." in builder.truths.values()
    builder.things = []
    assert builder.truths == {}


@pytest.mark.parametrize(
    ("things", "said"),
    [
        ([{"name": "unicorn", "colour": "red", "x": 0.5, "y": 0.5, "size": 0.3}], "no object 'unicorn'"),
        ([{"name": "cat", "colour": "red", "x": 0.5, "y": 0.5}], "wrong or no 'size'"),
        ([{"name": "cat", "colour": "red", "x": 0.5, "y": 0.5, "size": 0.3, "hat": 1}], "wrong or no 'hat'"),
        ([{"name": "cat", "colour": "red", "x": 0.5, "y": 0.5, "size": 0.3}] * 9, "at most 8 objects; got 9"),
    ],
)
def test_what_cannot_be_drawn_is_refused_and_changes_nothing(builder, things, said):
    before = builder.scene.spec
    with pytest.raises(traitlets.TraitError, match=said):
        builder.things = things
    assert builder.scene.spec == before


def test_the_browser_asks_for_other_scenes_and_the_first_one(builder, monkeypatch):
    sent = []
    monkeypatch.setattr(builder, "send", sent.append)
    first = builder.scene
    module._receive(builder, {"kind": "another"}, [])
    assert builder.scene.spec != first.spec
    assert builder.scene.image.shape == first.image.shape
    builder.scene = first
    builder.things = []
    module._receive(builder, {"kind": "first"}, [])
    assert builder.scene.spec == first.spec
    assert [message["kind"] for message in sent] == ["done", "done"]
    module._receive(builder, {"kind": "ask"}, [])
    module._receive(builder, "nonsense", [])
    assert "no model to ask" in sent[-2]["message"]
    assert "known: ask, another, first" in sent[-1]["message"]


def test_two_objects_of_one_name_are_two_regions_and_a_hidden_one_is_where_it_would_be():
    one, two = (dx.lab.SceneObject("cat", "red", x, 0.5, 0.3) for x in (0.2, 0.8))
    hidden = dx.lab.SceneObject("boat", "blue", 0.5, 0.2, 0.2, opacity=0.0)
    scene = dx.lab.render(dx.lab.Specification(dx.lab.Background("sand"), (one, hidden, two)))
    found = module._regions_of(scene)
    assert list(found) == ["red cat", "blue boat", "red cat 2"]
    assert np.array_equal(found["red cat 2"], scene.visible[2])


def test_options_of_the_explorer_need_a_model():
    with pytest.raises(ValueError, match=r"needs a model: SceneBuilder\(vlm"):
        dx.SceneBuilder(head_filter="none")
