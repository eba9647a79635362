"""Failure cases on real models: the analytic one, whose truth is known; every family's tiny one; the embedded one."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import dexar_widgets as dx
from dexar_widgets import engine, failures, jobs, perturb, registers
from dexar_widgets.failures.causes import SAID
from dexar_widgets.lab import Prop
from dexar_widgets.lab.analytic import CELLS, CHANNELS, HEAD_DIM, HEADS, build
from tests.contract import cases

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def analytic():
    torch.set_num_threads(1)
    return dx.load("lab/analytic")


def asked(model, seed, objects, name):
    scene = dx.lab.scene(seed, objects=objects, size=96)
    return scene, dx.explain(model, scene.image, f"What colour is the {name}?")


@pytest.fixture(scope="module")
def red(analytic):
    return asked(analytic, 3, ["red cat"], "cat")


# ---- lab/analytic ----------------------------------------------------------------------------------------------


def test_the_planted_sink_is_a_register_which_dexar_does_not_show(red):
    found = failures.registers(red[1])
    assert found.found and found.marks["cells"] == [0]
    row = found.table[found.table["cell"] == 0].iloc[0]
    # three of its four heads: .7 of one and nothing of the others; the object's head reads the image at one step alone
    assert row["attention"] > 100 and row["map_dexar"] == 0 and found.table["change"].max() < 1e-3
    assert row["token"] == "unused" and found.table["token_change"].max() < 1e-3  # its head writes nothing
    assert set(found.table["word"]) == {"The", "cat", "is", "red", "."}


def test_a_register_whose_token_holds_what_a_word_says_is_read_though_no_word_needs_its_pixels():
    """The sink's head writes the mark it finds there, 8, times its attention, .7; and "red" hears it, times 4."""
    model = dx.load(build())
    network, width, red = model.model, HEAD_DIM, model.tokenizer(" red", add_special_tokens=False)["input_ids"][-1]
    mark, sink = CHANNELS.index("sink"), list(HEADS).index("SINK") * width
    with torch.no_grad():
        network.model.language_model.layers[0].self_attn.o_proj.weight[mark, sink] = 1
        network.lm_head.weight[red, mark] = 4
    _, e = asked(model, 3, ["gray cat"], "cat")
    assert e.generation.text == "The cat is red."  # 0.7 · 8 · 4 = 22.4 against 10 for gray
    found = failures.registers(e)
    row = found.table.set_index(["cell", "word"]).loc[(0, "red")]
    assert found.found and row["verdict"] == "register" and found.table["change"].max() < 1e-3
    assert row["token"] == "read" and row["token_p"] == 1 / 20 and row["token_high"] < 1e-3
    rest = network.config.text_config.vocab_size - 1
    with_mark, without = np.log(rest - 1 + np.exp([10, 22.4]).sum()), np.log(rest + np.exp(10))
    assert row["token_change"] == pytest.approx(22.4 - with_mark + without, abs=1e-3)
    assert "Its token is read: where no other row reads it, “red” changes by" in found.text
    knocked = dx.check(e, step="red", cut=(found.marks["cells"], "all"))
    assert knocked.total[0] == pytest.approx(row["token_change"], abs=1e-4)


def test_norms_and_attention_kept_or_read_anew_say_the_same(analytic, red):
    scene, e = red
    kept = dx.explain(analytic, scene.image, e.example.prompt, attention=True, patch_norm=True)
    with engine.metered(analytic, memory=False) as meter:
        found = failures.registers(kept)
    assert (
        meter.forwards == (1 + 8) + (1 + 1 + 19) and meter.backwards == 0
    )  # swaps; the cut of its token and of others
    assert str(found) == str(failures.registers(e))


def test_the_distractor_lights_up_and_is_no_cause(red):
    scene, e = red
    cells = np.zeros((12, 12), bool)
    cells[tuple(np.array(CELLS["distractor"]).T)] = True
    region = perturb.cells_mask(cells, e.layout.grids[0])
    found = failures.spurious(e, region, step="red", named=0, scene=scene)
    assert found.table["verdict"].tolist() == ["clear"] and abs(found.table["suspect"].iat[0]) < 1e-3
    assert found.table["map_dexar"].iat[0] < 0  # the map alone would blame it
    assert found.table["named"].iat[0] > 5


def test_another_objects_colour_is_a_spurious_cause(analytic):
    scene, e = asked(analytic, 4, ["blue star", "yellow dog"], "dog")
    assert e.generation.text == "The dog is blue."
    names = [thing.name for thing in scene.spec.objects]
    star, dog = names.index("star"), names.index("dog")
    found = failures.spurious(e, scene.visible[star], step="blue", named=dog, scene=scene)
    assert found.found and found.table["suspect"].iat[0] > 5 and found.table["named"].iat[0] < 1
    assert failures.spurious(e, "star", step="blue", named="dog", scene=scene).found  # really removed
    assert not failures.spurious(e, scene.visible[dog], step="blue", named=star, scene=scene).found


def test_a_word_copied_from_the_prompt_is_a_filler_and_the_colour_is_seen(red):
    found = failures.silenced(red[1])
    verdicts = found.table.set_index("word")
    assert verdicts["verdict"].to_dict() == {
        "The": "filler",
        "cat": "filler",
        "is": "filler",
        "red": "seen",
        ".": "filler",
    }
    assert verdicts.loc["cat", "prompt_answer"] > 5  # where it comes from
    assert verdicts.loc["red", "image_answer"] > 5 and abs(verdicts.loc["red", "image_prompt"]) < 1e-3
    assert not found.found


# ---- every family ----------------------------------------------------------------------------------------------

PIXELS = np.random.default_rng(0).integers(90, 110, (48, 64, 3), dtype=np.uint8)


@pytest.mark.parametrize("variant", cases.EACH)
def test_every_family_is_examined_in_a_few_passes_and_left_as_it_was(variant):
    handle = cases.build(variant)
    e = dx.explain(handle, PIXELS, decoding=cases.SHORT)
    before = cases.snapshot(handle.model)
    spurious = failures.spurious(e, [0, 0, 20, 20], named=[40, 20, 60, 40], randoms=3)
    with engine.metered(handle, memory=False) as meter:
        silenced = failures.silenced(e)
    assert meter.forwards == 2 + 3 * 2 and meter.backwards == 0
    assert len(silenced.table) == len(e.generation.words) >= len(spurious.table)
    assert np.isfinite(silenced.table[["image", "image_answer", "image_prompt", "prompt_answer"]].to_numpy()).all()
    assert spurious.table["suspect"].notna().all()
    check = dx.check(e, step=list(spurious.table["steps"][0]), region=[0, 0, 20, 20], randoms=3)
    assert spurious.table["suspect"][0] == pytest.approx(check.drop, abs=1e-4)
    unnamed = failures.spurious(
        e, [0, 0, 20, 20], step=list(check.steps), randoms=3
    )  # none of the regions loses pixels
    assert unnamed.table["chance"][0] == pytest.approx(check.chance, abs=1e-4)
    if len(e.layout.tokens_of(0)) < 16:
        with pytest.raises(ValueError, match="too few"):
            failures.registers(e)
    else:
        assert failures.registers(e, swaps=2).kind == "register"
    assert cases.snapshot(handle.model) == before


@pytest.mark.parametrize("variant", cases.EACH)
def test_in_every_family_a_registers_token_changes_words_as_its_knock_out_does(variant):
    handle = cases.shared(variant)
    e = dx.explain(handle, PIXELS, decoding=cases.SHORT, attention=True, patch_norm=True)
    plain = int(registers.detail_of(e).argmin())
    norms = np.where(np.isnan(e.patch_norm), np.nan, 10).astype(np.float32)
    norms[e.layout.tokens_of(0)[plain]] = 90
    table = failures.registers(replace(e, patch_norm=norms), swaps=1, randoms=4).table
    own, found = table[table["cell"] == plain], dx.check(e, cut=([plain], "all"))
    assert own["word"].tolist() == list(found.words[: len(own)])
    assert own["token_change"].to_numpy() == pytest.approx(np.abs(found.total[: len(own)]), abs=1e-4)
    assert (own["token_change"] > 1e-4).any() and set(own["randoms"]) == {4}
    assert (own["token_low"] <= own["token_chance"]).all() and (own["token_chance"] <= own["token_high"]).all()


def test_a_model_whose_attention_cannot_be_cut_is_examined_by_the_image_alone(monkeypatch):
    handle = cases.build("llava")
    e = dx.explain(handle, PIXELS, decoding=cases.SHORT)
    known = failures.silenced(e).table
    cut = engine.score_cuts

    def flash(*_):
        raise ValueError("Flash attention takes no such mask.")

    def not_the_prompt(*given, **options):
        if options["target"] == "prompt":
            raise ValueError("It cuts nothing.")
        return cut(*given, **options)

    monkeypatch.setattr(engine, "score_cuts", not_the_prompt)
    found = failures.silenced(e)
    assert found.table["image_prompt"].isna().all() and found.text.endswith("could be cut: It cuts nothing.")
    for column in ("image", "image_answer", "prompt_answer"):
        assert found.table[column].tolist() == pytest.approx(known[column].tolist(), abs=1e-5)
    monkeypatch.setattr(engine, "cuttable_layers", flash)
    found = failures.silenced(e)
    assert found.table[["image_answer", "image_prompt", "prompt_answer"]].isna().all(axis=None)
    assert found.table["image"].tolist() == pytest.approx(known["image"].tolist(), abs=1e-5)
    assert found.text.count("Flash attention takes no such mask.") == 1


def test_a_cancelled_search_leaves_the_model_as_it_was_found(monkeypatch):
    monkeypatch.setattr(jobs, "_APART", 0.0)
    handle = cases.build("llava")
    e = dx.explain(handle, PIXELS, decoding=cases.SHORT)
    before = cases.snapshot(handle.model)

    def work():
        return failures.spurious(e, [0, 0, 20, 20], batch_size=2)

    job = jobs.submit(handle, work, on_progress=lambda news: news.done >= 2 and job.cancel())
    with pytest.raises(jobs.Cancelled):
        job.result(60)
    assert cases.snapshot(handle.model) == before


# ---- the embedded model ------------------------------------------------------------------------------------------

PROMPT = "Describe the image."


@pytest.fixture(scope="module")
def embedded():
    torch.set_num_threads(1)
    return dx.load()


def test_the_clean_model_takes_its_words_from_what_they_name(embedded):
    """Objects of the 16 oldest classes, on scenes that no other test looks at."""
    alarms, classes = 0, ["cat", "dog", "boat", "sofa", "car", "fish", "tree", "star"]
    for seed in range(6):
        chosen = [("red", "green", "blue", "yellow")[seed % 4] + " " + classes[seed], "white " + classes[seed + 1]]
        scene = dx.lab.scene(61_000_000 + seed, objects=chosen, prompt=PROMPT)
        e = dx.explain(embedded, scene.image, PROMPT)
        found = failures.spurious(e, "background", scene=scene)
        alarms += found.found
        assert len(found.table) >= 3 and (found.table["pictures"] == 5).all()
        assert not (failures.silenced(e, scene=scene).table["verdict"] == "blind").any()
    assert alarms == 0


def test_an_object_that_the_model_sees_in_a_prop_comes_from_the_prop(embedded):
    """The model knows no swatches, and calls this one a square."""
    scene = dx.lab.scene(60_000_000, objects=["red sofa"], background="sky", prompt=PROMPT)
    scene = scene.redraw(scene.spec.adding(Prop("swatch", 14 / 192, 14 / 192, 14 / 96, "yellow")))
    e = dx.explain(embedded, scene.image, PROMPT, answer="The image shows a yellow square and a red sofa.")
    found = failures.spurious(e, "swatch", scene=scene)
    rows = found.table.set_index("word")
    assert rows.loc["red", "verdict"] == rows.loc["sofa", "verdict"] == "clear"
    square = rows.loc["square"]
    assert square["suspect"] >= 1 and square["p"] <= 0.05 and square["randoms"] == 19
    assert square["verdict"] == ("spurious" if square["said"] >= SAID else "not said")
    batched = failures.spurious(e, "swatch", scene=scene, batch_size=5)
    numbers = ["suspect", "named", "chance", "chance_high"]
    assert np.allclose(batched.table[numbers], found.table[numbers], atol=1e-3, equal_nan=True)
    again = failures.spurious(replace(e, vlm=None), "swatch", scene=scene, vlm=embedded)
    assert again.table.equals(found.table)
