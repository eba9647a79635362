"""The causal check on tiny models of every family, against plain loops, and on a drawn scene against explaining it."""

from dataclasses import replace

import cases
import numpy as np
import pytest
import torch

import dexar_widgets as dx
from dexar_widgets import causal, engine, hooks, jobs, maps, perturb

PIXELS = cases.EXAMPLE.image
REGION = (5, 10, 30, 35)


def explained(variant, **options):
    return dx.explain(cases.shared(variant), PIXELS, **({"decoding": cases.SHORT} | options))


def score(e, image):
    """The log-probabilities of the answer's steps on another image, that image alone."""
    handle = e.model()
    request = engine.encode(handle, replace(e.example, image=image))
    return engine.score(handle, request, e.generation.ids)[e.generation.positions]


def hidden(image, mask):
    """Mean fill, by a loop."""
    found, mean = image.copy(), image.reshape(-1, 3).mean(0).round()
    for row, col in zip(*np.nonzero(mask), strict=True):
        found[row, col] = mean
    return found


@pytest.mark.parametrize("variant", cases.EACH)
def test_a_check_and_its_random_regions_are_scored_as_one_image_at_a_time(variant):
    e = explained(variant)
    found = dx.check(e, step=(1, 3), region=REGION, randoms=3, seed=5, batch_size=4)
    mask = np.zeros((40, 50), bool)
    mask[10:35, 5:30] = True
    box = e.layout.grids[0].box
    regions = [mask, *perturb.moved(mask, 3, seed=5, within=box)]
    steps = [1, 3]
    without = [score(e, hidden(PIXELS, region))[steps].sum() for region in regions]
    alone = [score(e, hidden(PIXELS, ~region))[steps].sum() for region in regions]
    assert np.allclose([found.hidden, *found.random_hidden], without, atol=1e-4)
    assert np.allclose([found.kept, *found.random_kept], alone, atol=1e-4)
    assert found.log_prob == pytest.approx(score(e, PIXELS)[steps].sum(), abs=1e-4)
    assert np.ptp([*without, *alone]) > 1e-3  # regions differ, so the lines above can fail
    assert found.p == (1 + sum(found.log_prob - other >= found.drop for other in found.random_hidden)) / 4
    assert found.kept_p == (1 + sum(other >= found.kept for other in found.random_kept)) / 4
    left, top, right, bottom = box
    assert found.area == pytest.approx(25 * 25 / ((right - left) * (bottom - top)))


def test_without_a_step_a_check_is_of_the_whole_answer_and_checks_are_of_every_word_too():
    e = explained("llava")
    every = causal.checks(e, region=REGION, randoms=2)
    assert [check.steps for check in every] == [*(word.steps for word in e.generation.words), e.steps]
    assert every[-1] == dx.check(e, region=REGION, randoms=2)
    assert every[-1].log_prob == pytest.approx(sum(check.log_prob for check in every[:-1]), abs=1e-5)
    bare = dx.check(e, region=REGION, randoms=0)
    assert (bare.log_prob, bare.hidden) == pytest.approx((every[-1].log_prob, every[-1].hidden), abs=1e-4)
    assert bare.random_hidden == bare.random_kept == ()


@pytest.mark.parametrize("variant", cases.VARIANTS)
def test_pixels_of_several_images_are_those_of_each(variant):
    handle = cases.shared(variant)
    images = [PIXELS, PIXELS[::-1].copy(), perturb.hide(PIXELS, np.ones((40, 50), bool))]
    each = [engine.encode(handle, replace(cases.EXAMPLE, image=image)).inputs["pixel_values"] for image in images]
    assert torch.equal(engine.pixels_of(handle, images), torch.cat(each))


@pytest.mark.parametrize("variant", cases.ONE)
def test_a_deletion_curve_is_that_of_plain_loops(variant):
    e = explained(variant)
    options = {"head_filter": "none", "filler_filter": "none", "layers": [0, 1]}
    found = dx.check(e, randoms=2, seed=3, fractions=(0.1, 0.25, 0.5), **options)
    words = [*(word.steps for word in e.generation.words), e.steps]
    assert list(found.steps) == words
    grid = e.layout.grids[0]
    count = grid.rows * grid.cols
    shares = [0, *sorted({round(share * count) for share in (0.1, 0.25, 0.5)})]
    assert np.allclose(found.fractions, np.array(shares) / count)
    draw = np.random.default_rng(3)
    noise, *orders = (draw.permutation(count).tolist() for _ in range(3))
    cells = {cell: maps.coverage(perturb.cells_mask(np.eye(count, dtype=bool)[cell].reshape(grid.rows, -1), grid), grid)
             for cell in range(count)}  # fmt: skip
    assert all(cell == np.argmax(cells[cell]) for cell in range(count))

    def curve(order, word):
        found = []
        for share in shares:
            mask = np.zeros((40, 50), bool)
            for cell in order[:share]:
                mask |= perturb.cells_mask(np.eye(count, dtype=bool)[cell].reshape(grid.rows, -1), grid)
            found.append(score(e, hidden(PIXELS, mask))[list(word)].sum())
        return found

    for row in (0, len(words) - 1):
        heat = e.sequence_map(**options) if row else e.heatmap(words[0], **options)
        own = sorted(range(count), key=lambda cell, heat=heat: (-heat.values.ravel()[cell], noise[cell]))
        assert np.allclose(found.curves[row], curve(own, words[row]), atol=2e-4)
        assert np.allclose(found.random_curves[row], [curve(order, words[row]) for order in orders], atol=2e-4)
    assert np.ptp(found.random_curves) > 1e-3
    assert found.options["head_filter"] == "none" and found.status == ("ok",) * len(words)


def test_a_word_without_a_map_has_no_curve_and_one_word_can_be_asked_alone():
    e = explained("llava")
    found = dx.check(e, randoms=1, fractions=(0.5,))
    expected = [*(e.heatmap(word.steps).status for word in e.generation.words), e.sequence_map().status]
    assert list(found.status) == expected
    assert set(expected) == {"ok", "silenced"}
    assert [not np.isnan(curve).any() for curve in found.curves] == [status == "ok" for status in expected]
    assert np.isfinite(found.random_curves).all()
    row = expected.index("ok")
    alone = dx.check(e, step=found.steps[row], randoms=1, fractions=(0.5,))
    assert alone.steps == (found.steps[row],)
    assert alone.random_curves == pytest.approx(found.random_curves[[row]], abs=1e-4)
    assert alone.curves == pytest.approx(found.curves[[row]], abs=1e-4)


def test_another_methods_maps_give_their_own_top_cells():
    e = dx.compare(explained("llava"), methods=["attention", "integrated_gradients", "centre"])
    for method in ("attention", "centre"):
        found = dx.check(e, method=method, step=1, randoms=0, fractions=(0.25,))
        noise = np.random.default_rng(0).permutation(16)  # the centre's cells are equal by fours
        top = np.lexsort((noise, -e.attributions[method].heatmap(1).values.ravel()))[:4]
        mask = perturb.cells_mask(np.isin(np.arange(16), top).reshape(4, 4), e.layout.grids[0])
        assert found.method == method
        assert found.curves[0, 1] == pytest.approx(score(e, hidden(PIXELS, mask))[1], abs=1e-4)
    whole = dx.check(e, method="integrated_gradients", randoms=0, fractions=(0.25,))
    assert whole.steps == (e.steps,)
    with pytest.raises(ValueError, match="one map of the whole answer"):
        dx.check(e, method="integrated_gradients", step=1, randoms=0)


CUTS = [*perturb.CUTS, ((0, 5), "all")]


@pytest.mark.parametrize("cut", CUTS, ids=lambda cut: f"{perturb.name_of(cut[0])}-{cut[1]}")
@pytest.mark.parametrize("variant", cases.ONE)
def test_a_knock_out_tells_each_words_loss_by_window_beside_the_layer_curve(variant, cut):
    e = explained(variant)
    handle = e.model()
    depth = engine.cuttable_layers(handle, cut)
    found = dx.check(e, cut=cut, window=2)
    windows = [list(range(first, first + 2)) for first in range(depth - 1)]
    assert found.windows.tolist() == windows and found.depth == depth
    request = engine.encode(handle, e.example)
    layers = np.array([[layer in window for layer in range(depth)] for window in [[], range(depth), *windows]])
    scores = engine.score_cuts(
        handle,
        request,
        engine.resume(handle, request, e.generation),
        sources=[cut[0]] * len(layers),
        target=cut[1],
        layers=layers,
        steps=e.steps,
        batch_size=9,
    )
    for row, word in enumerate(found.steps):
        whole, total, *each = scores[:, list(word)].sum(1)
        assert found.log_prob[row] == pytest.approx(whole, abs=1e-4)
        assert found.total[row] == pytest.approx(whole - total, abs=1e-4)
        assert found.drop[row] == pytest.approx(whole - np.array(each), abs=1e-4)
        if found.visual is not None:
            assert found.visual[row].tolist() == e.flow().visual[list(word)].max(0).tolist()
    assert (found.visual is None) == (handle.anatomy.cross_attention and cut[1] != "answer")
    assert found.steps[-1] == e.steps and len(found.to_pandas()) == len(found.steps) * len(windows)
    one = dx.check(e, cut=cut, step=found.steps[0], layers=[0, 1])
    assert one.windows.tolist() == [[0, 1]] and one.drop.shape == (1, 1)
    assert one.drop[0, 0] == pytest.approx(found.drop[0, 0], abs=1e-4)


@pytest.mark.parametrize("kind", ["region", "cells", "cut"])
def test_a_cancelled_check_leaves_the_model_as_it_was_found(kind, monkeypatch):
    monkeypatch.setattr(jobs, "_APART", 0.0)
    handle = cases.build("llava")
    e = dx.explain(handle, PIXELS, decoding=cases.SHORT)
    given = {
        "region": {"region": REGION, "randoms": 2},
        "cells": {"fractions": (0.2,), "randoms": 2},
        "cut": {"cut": ("image", "answer")},
    }[kind]
    expected = dx.check(e, batch_size=2, **given)
    before = cases.snapshot(handle.model)

    def work():
        return dx.check(e, batch_size=2, **given)

    job = jobs.submit(handle, work, on_progress=lambda news: news.done >= 2 and job.cancel())
    with pytest.raises(jobs.Cancelled):
        job.result(60)
    assert cases.snapshot(handle.model) == before
    assert dx.check(e, batch_size=2, **given) == expected


def test_memory_that_runs_out_is_told_with_what_to_lower():
    handle = cases.build("llava")
    e = dx.explain(handle, PIXELS, decoding=cases.SHORT)

    def no_memory(*_):
        raise torch.OutOfMemoryError("out of memory")

    for given, what in ({"region": REGION}, "The check"), ({"cut": ("image", "answer")}, "The knock-out"):
        with (
            hooks.inputs(handle.anatomy.blocks[-1:], no_memory),
            pytest.raises(MemoryError, match=f"{what} ran out of memory: lower batch_size="),
        ):
            dx.check(e, **given)
    with pytest.raises(ValueError, match="batch_size is 0"):
        dx.check(e, region=REGION, batch_size=0)


@pytest.fixture(scope="module")
def scene_and_answer():
    scene = dx.lab.scene(7, objects=["gray square", "red square", "green star"])
    return scene, dx.explain(cases.shared("llava"), scene.image, "what?", answer="a b c")


def of(scene, image):
    """The log-probabilities of the same answer, explained on another image."""
    return dx.explain(cases.shared("llava"), image, "what?", answer="a b c").generation.log_probs.sum()


@pytest.mark.parametrize("region", ["green star", "square", 0])
def test_a_removed_object_gives_the_log_probability_of_explaining_the_redrawn_scene(scene_and_answer, region):
    scene, e = scene_and_answer
    names = [f"{thing.colour} {thing.name}" for thing in scene.spec.objects]
    inside = [i for i, name in enumerate(names) if i == region or (isinstance(region, str) and name.endswith(region))]
    outside = [i for i in range(3) if i not in inside]
    found = dx.check(e, region=region, how="scene", scene=scene)

    def drawn(removed):
        kept = tuple(thing for i, thing in enumerate(scene.spec.objects) if i not in removed)
        return of(scene, scene.redraw(replace(scene.spec, objects=kept)).image)

    assert found.objects == tuple(names[i] for i in inside)
    assert found.log_prob == pytest.approx(of(scene, scene.image), abs=1e-4)
    assert found.hidden == pytest.approx(drawn(inside), abs=1e-4)
    assert found.kept == pytest.approx(drawn(outside), abs=1e-4)
    assert found.others == tuple(names[i] for i in outside)
    assert found.other_hidden == pytest.approx([drawn([i]) for i in outside], abs=1e-4)
    assert found.other_kept == pytest.approx([drawn([j for j in range(3) if j != i]) for i in outside], abs=1e-4)
    assert (found.random_hidden, found.random_kept, found.p, found.kept_p) == ((), (), None, None)
    assert len({round(value, 5) for value in (found.log_prob, found.hidden, found.kept)}) == 3
    assert found.area == pytest.approx(scene.visible[inside].any(0).mean())
    everything = dx.check(e, region=scene.masks[inside].any(0), how="scene", scene=scene)
    assert everything.objects == found.objects and everything.hidden == pytest.approx(found.hidden, abs=1e-4)


def test_the_only_object_has_no_other_to_compare_with_and_a_name_hides_what_is_seen(scene_and_answer):
    scene, e = scene_and_answer
    alone = dx.lab.scene(7, objects=["red cat"])
    one = dx.explain(cases.shared("llava"), alone.image, "what?", answer="a b c")
    found = dx.check(one, region="cat", how="scene", scene=alone)
    assert found.others == found.other_hidden == () and found.kept == pytest.approx(found.log_prob, abs=1e-4)
    named = dx.check(e, region="green star", scene=scene, randoms=2)
    star = [thing.name for thing in scene.spec.objects].index("star")
    assert named == dx.check(e, region=scene.visible[star], randoms=2)


def test_chance_is_of_what_the_model_sees_of_a_wide_image():
    """The processor crops 128×48 pixels to the middle 48×48: hiding others changes nothing, so they are no chance."""
    wide = np.random.default_rng(2).integers(0, 256, (48, 128, 3), np.uint8)
    e = dx.explain(cases.shared("llava"), wide, "what?", decoding=cases.SHORT)
    assert e.layout.grids[0].box == pytest.approx((40, 0, 88, 48), abs=1)
    found = dx.check(e, region=(45, 5, 60, 20))
    assert np.abs(found.random_drops).min() > 1e-6
    assert found.area == pytest.approx(15 * 15 / 48 / 48, rel=0.05)
    with pytest.raises(ValueError, match="outside what the model sees"):
        dx.check(e, region=(5, 5, 30, 30))


def test_cells_of_equal_value_are_drawn_not_read_off_from_the_top():
    e = dx.compare(explained("llava"), methods=["uniform", "centre"])
    maps = e.attributions["centre"].maps.copy()
    maps[:] = 0
    maps[:, 0, 0] = 1  # one cell, and 15 that are equal
    e = replace(e, attributions={"centre": replace(e.attributions["centre"], maps=maps)})
    one, other = (dx.check(e, method="centre", step=1, randoms=1, fractions=(1 / 16, 0.5), seed=s) for s in (1, 2))
    assert one.ties.tolist() == other.ties.tolist() == [7 / 8]
    assert one.curves[0, :2] == pytest.approx(other.curves[0, :2], abs=1e-4)
    assert abs(one.curves[0, 2] - other.curves[0, 2]) > 1e-4
    with_scan_order = np.isin(np.arange(16), range(8)).reshape(4, 4)
    rows = score(e, hidden(PIXELS, perturb.cells_mask(with_scan_order, e.layout.grids[0])))[1]
    assert abs(one.curves[0, 2] - rows) > 1e-4


def test_every_step_that_is_named_is_summed_and_only_the_whole_answer_has_the_sequence_map():
    e = explained("llava")
    own = {"head_filter": "none", "filler_filter": "none", "layers": [0, 1]}
    options = own | {"randoms": 0, "fractions": (0.25, 0.5)}
    named, every = dx.check(e, step=list(e.steps), **options), dx.check(e, **options)
    whole = causal.deletion(e, whole=True, **options)
    assert named.steps == whole.steps == (e.steps,)
    assert whole.curves[0] == pytest.approx(every.curves[-1], abs=1e-4)
    top = np.argsort(-e.heatmap(e.steps, **own).values.ravel())[:8]
    mask = perturb.cells_mask(np.isin(np.arange(16), top).reshape(4, 4), e.layout.grids[0])
    assert named.curves[0, -1] == pytest.approx(score(e, hidden(PIXELS, mask)).sum(), abs=1e-4)


def test_a_window_of_all_layers_is_run_once(monkeypatch):
    e = explained("llava")
    run, score_cuts = [], engine.score_cuts

    def scored(*given, layers, **options):
        run.append(layers)
        return score_cuts(*given, layers=layers, **options)

    monkeypatch.setattr(engine, "score_cuts", scored)
    depth = engine.cuttable_layers(e.model(), ("image", "answer"))
    found = dx.check(e, cut=("image", "answer"), window=depth)
    assert len(run[0]) == 2 and found.drop[:, 0].tolist() == found.total.tolist()
