"""Attention knock-out of every family, against plain eager forwards in float64 with masks made by hand."""

import threading
from dataclasses import replace

import cases
import numpy as np
import oracle
import pytest
import torch

from dexar_widgets import engine, hooks, jobs, perturb


def said(handle, decoding=cases.SHORT):
    request = engine.encode(handle, cases.EXAMPLE)
    return request, engine.answer(handle, request, decoding=decoding)


def scores(handle, request, answer, cut, layers, **options):
    return scores_of(handle, request, answer, [cut[0]] * len(layers), cut[1], layers, **options)


def scores_of(handle, request, answer, sources, target, layers, **options):
    options = {"steps": range(len(answer.generation)), "batch_size": 3} | options
    layers = np.asarray(layers, bool)
    return engine.score_cuts(handle, request, answer, sources=sources, target=target, layers=layers, **options)


@pytest.mark.parametrize("cut", perturb.CUTS, ids="-".join)
@pytest.mark.parametrize("variant", cases.EACH)
def test_a_cut_gives_the_log_probabilities_of_an_eager_forward_with_a_mask_made_by_hand(variant, cut):
    handle = cases.shared(variant)
    request, answer = said(handle)
    depth = engine.cuttable_layers(handle, cut)
    windows = [(), (0,), (depth - 1,), (0, 1), range(depth)]
    layers = [[layer in window for layer in range(depth)] for window in windows]
    found = scores(handle, request, answer, cut, layers)
    generation = answer.generation
    for window, row in zip(windows, found, strict=True):
        expected = oracle.knocked_out(
            handle.model,
            request.inputs,
            generation.ids,
            generation.positions,
            source=cut[0],
            target=cut[1],
            layers=window,
            special=set(handle.tokenizer.all_special_ids),
        )
        assert np.allclose(row, expected, atol=2e-5), window
    changes = np.abs(found[1:] - found[0]).max(1) > 1e-4
    unread = cut[1] == "prompt" and not handle.anatomy.cross_attention  # what prompt rows read in the last layer
    assert changes.tolist() == [True, not unread, True, True]


@pytest.mark.parametrize("target", ["answer", "prompt", "all"])
@pytest.mark.parametrize("variant", cases.EACH)
def test_tokens_of_single_cells_are_cut_from_their_readers_as_in_an_eager_forward(variant, target):
    """A token alone, and two at once, side by side in one pass with the model as it is."""
    handle = cases.shared(variant)
    request, answer = said(handle)
    depth = engine.cuttable_layers(handle, ((0,), target))
    image = np.flatnonzero(request.inputs["input_ids"][0].numpy() == handle.model.config.image_token_id)
    grid = image[-16:] if len(image) > 16 else image  # Florence-2 has a pooled feature before its 4×4 cells
    cells = [(2,), (len(grid) - 2,), (0, 2), (2,), (2,)]
    windows = [range(depth)] * 3 + [(0,), ()]
    layers = [[layer in window for layer in range(depth)] for window in windows]
    found = scores_of(handle, request, answer, cells, target, layers)
    for some, window, row in zip(cells, windows, found, strict=True):
        expected = oracle.knocked_out(
            handle.model,
            request.inputs,
            answer.generation.ids,
            answer.generation.positions,
            source=set(grid[list(some)].tolist()),
            target=target,
            layers=window,
            special=set(handle.tokenizer.all_special_ids),
        )
        assert np.allclose(row, expected, atol=2e-5), (some, window)
    assert (np.abs(found[:3] - found[-1]).max(1) > 1e-4).all() and np.abs(found[0] - found[1]).max() > 1e-4


@pytest.mark.parametrize("cut", [*perturb.CUTS, ((9, 5), "all")], ids=lambda cut: cut[1] + perturb.name_of(cut[0]))
def test_one_pass_of_many_variants_shares_what_no_cut_changes(cut):
    handle = cases.shared("llava mistral")
    request, answer = said(handle)
    cached, rows = [], []

    def hear(index, args, options):
        hidden = args[0] if args else options["hidden_states"]
        rows.append(hidden.shape[:2])
        cached.append(options["past_key_values"])

    depth = engine.cuttable_layers(handle, cut)
    layers = np.eye(depth, dtype=bool)
    with hooks.inputs(handle.anatomy.attentions[:1], hear):
        scores(handle, request, answer, cut, layers, batch_size=8)
    prompt, tokens = request.prompt_ids.shape[1], request.prompt_ids.shape[1] + len(answer.generation.ids) - 1
    image = np.flatnonzero(request.layout.is_image)
    start = {"answer": prompt - 1, "prompt": max(image) + 1, "all": image[5] + 1}[cut[1]]  # what loses something first
    assert rows == [(depth, tokens - start)]
    keys = cached[0].layers[0].keys
    assert keys.shape[2] == start
    assert keys.stride(0) == 0  # the variants look at one copy


@pytest.mark.parametrize("variant", cases.ONE)
def test_variants_in_other_batches_and_steps_alone_are_the_same(variant):
    handle = cases.shared(variant)
    request, answer = said(handle)
    layers = np.eye(engine.cuttable_layers(handle, ("image", "answer")), dtype=bool)
    every = scores(handle, request, answer, ("image", "answer"), layers, batch_size=8)
    assert np.allclose(scores(handle, request, answer, ("image", "answer"), layers, batch_size=1), every, atol=1e-5)
    alone = scores(handle, request, answer, ("image", "answer"), layers, steps=[1, 3], batch_size=8)
    assert np.allclose(alone, every[:, [1, 3]], atol=1e-5)


@pytest.mark.parametrize("cut", perturb.CUTS, ids="-".join)
@pytest.mark.parametrize("variant", cases.ONE)
def test_a_knock_out_leaves_model_and_cache_as_they_were_found_also_when_it_fails(variant, cut, monkeypatch):
    handle = cases.build(variant)
    request, answer = said(handle)
    layers = np.eye(engine.cuttable_layers(handle, cut), dtype=bool)
    before = cases.snapshot(handle.model)
    plain = engine.score(handle, request, answer.generation.ids)
    expected = scores(handle, request, answer, cut, layers)
    assert cases.snapshot(handle.model) == before
    block = handle.anatomy.visual_blocks[-1] if cut[1] == "prompt" else handle.anatomy.blocks[-1]
    broken = block.register_forward_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        scores(handle, request, answer, cut, layers)
    broken.remove()
    assert cases.snapshot(handle.model) == before
    assert (engine.score(handle, request, answer.generation.ids) == plain).all()
    assert (scores(handle, request, answer, cut, layers) == expected).all()
    assert (scores(handle, request, answer, cut, layers) == expected).all()  # the cache was not written to


@pytest.mark.parametrize("cut", perturb.CUTS, ids="-".join)
@pytest.mark.parametrize("variant", cases.ONE)
def test_the_attention_implementation_and_half_precision_do_not_matter(variant, cut):
    handle = cases.build(variant)
    request, answer = said(handle)
    layers = [[False], [True]] * np.ones((2, engine.cuttable_layers(handle, cut)), bool)
    expected = scores(handle, request, answer, cut, layers)
    handle.model.set_attn_implementation("eager")
    assert np.allclose(scores(handle, request, answer, cut, layers), expected, atol=1e-5)
    half, twin = cases.in_dtype(cases.shared(variant), torch.bfloat16)
    cuts, plain = [], []
    for one in (half, twin):
        read = engine.encode(one, cases.EXAMPLE)
        cuts.append(scores(one, read, engine.resume(one, read, answer.generation), cut, layers))
        plain.append(engine.score(one, read, answer.generation.ids)[answer.generation.positions])
    rounding = np.abs(plain[0] - plain[1]).max()
    assert np.allclose(cuts[1][0], plain[1], atol=1e-5)
    assert np.abs(cuts[0] - cuts[1]).max() < 4 * rounding  # as without a cut


def test_a_knock_out_tells_how_far_it_is_and_can_be_cancelled(monkeypatch):
    monkeypatch.setattr(jobs, "_APART", 0.0)  # every report
    handle, heard = cases.build("llava"), []
    request, answer = said(handle)
    layers = np.eye(3, dtype=bool)
    before = cases.snapshot(handle.model)

    def work():
        return scores(handle, request, answer, ("image", "answer"), layers, batch_size=1)

    def listen(news):
        heard.append(news.text)
        if news.done == 1:
            job.cancel()

    started = threading.Event()
    job = jobs.submit(handle, lambda: started.wait(30) and work(), on_progress=listen)
    started.set()
    with pytest.raises(jobs.Cancelled):
        job.result(30)
    assert heard == ["cutting image from answer: 1 of 3", "cutting image from answer: 2 of 3"]
    assert cases.snapshot(handle.model) == before


def test_what_cannot_be_cut_is_refused():
    handle = cases.build("llava")
    request, answer = said(handle)
    with pytest.raises(ValueError, match=r"cut=\('answer', 'image'\) is unknown; accepted.*\('image', 'answer'\)"):
        engine.cuttable_layers(handle, ("answer", "image"))
    for cell in (16, -1):
        with pytest.raises(ValueError, match=f"cut= names cell {cell}; the image's grid has the cells 0 to 15"):
            scores(handle, request, answer, ((cell,), "all"), np.eye(3))
    handle.anatomy.attentions[0].config._attn_implementation = "flash_attention_2"
    with pytest.raises(ValueError, match='attn_implementation="sdpa"'):
        scores(handle, request, answer, ("image", "answer"), np.eye(3))


def test_a_prompt_without_text_has_nothing_to_cut():
    handle = cases.shared("llava")
    request, answer = said(handle)
    kinds = tuple("image" if kind == "image" else "special" for kind in request.layout.kinds)
    bare = replace(request, layout=replace(request.layout, kinds=kinds))
    with pytest.raises(ValueError, match="no row of the answer sees anything of the prompt"):
        scores(handle, bare, answer, ("prompt", "answer"), np.eye(3))
