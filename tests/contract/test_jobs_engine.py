"""Torch inside a job: it stops where it is cancelled, leaves the model as it was found, and tells how far it is."""

import re
import threading
import time

import cases
import numpy as np
import pytest
import torch

import dexar_widgets as dx
from dexar_widgets import causal, engine, jobs, summary

pytestmark = pytest.mark.slow

PIXELS = cases.EXAMPLE.image
REGION = (5, 10, 30, 35)
SOON = 30.0  # seconds: far more than anything here takes
VARIANTS = ["llava mistral", "paligemma 2", "florence2"]
PHASES = ["reading the image", "answering", "differentiating", "reading each layer's words", "collecting"]
DECODINGS = {
    "greedy": cases.SHORT,
    "sampled": engine.Decoding(max_new_tokens=6, do_sample=True, seed=3),
    "beams": engine.Decoding(max_new_tokens=6, num_beams=2),
}


def explain(handle, **options):
    return dx.explain(handle, PIXELS, lens=True, **({"decoding": cases.SHORT} | options))


def same(one, other):
    return (
        one.generation == other.generation
        and np.array_equal(one.gradients.values, other.gradients.values)
        and one.lens == other.lens
    )


def layers_of(handle):
    """The layers of the decoder, of an encoder and of the vision tower, told by their names."""
    return [
        module
        for name, module in handle.model.named_modules()
        if re.search(r"(layers|blocks\.\d+)\.\d+$", name) or re.search(r"convs\.\d+$", name)
    ]


class Running:
    """Counts the layers that run, in every thread; at the nth it lets somebody else act first."""

    def __init__(self, handle):
        self.count, self.stop_at = 0, None
        self.reached, self.go_on = threading.Event(), threading.Event()
        self.handles = [layer.register_forward_hook(self.ran) for layer in layers_of(handle)]

    def ran(self, *_):
        self.count += 1
        if self.count == self.stop_at:
            self.reached.set()
            self.go_on.wait(SOON)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for handle in self.handles:
            handle.remove()


@pytest.fixture(autouse=True)
def no_thread_stays():
    before = set(threading.enumerate())
    yield
    late = time.monotonic() + SOON
    while set(threading.enumerate()) - before and time.monotonic() < late:
        time.sleep(0.001)
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_cancel_in_any_phase_leaves_the_model_as_it_was_found(variant, phase):
    handle = cases.build(variant)
    expected = explain(handle)
    handle.model.model.vision_tower.train()  # a mode of its own
    heard, modes = [], []

    def work():
        with torch.enable_grad():
            try:
                return explain(handle)
            finally:
                modes.append((torch.is_grad_enabled(), torch.is_inference_mode_enabled()))

    def listen(news):
        heard.append(news.text)
        if news.text.startswith(phase):
            job.cancel()

    before = cases.snapshot(handle.model)
    started = threading.Event()
    job = jobs.submit(handle, lambda: started.wait(SOON) and work(), on_progress=listen)
    started.set()
    with pytest.raises(jobs.Cancelled):
        job.result(SOON)
    after = cases.snapshot(handle.model)
    assert heard[-1].startswith(phase)
    assert modes == [(True, False)]
    for what, state in before.items():
        assert after[what] == state, what
    with jobs.holding(handle.lock):  # released
        pass
    assert same(explain(handle), expected)


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_layer_begins_after_a_cancel(variant):
    handle = cases.build(variant)
    with Running(handle) as running:
        explain(handle)
        every = running.count
        for stop_at in sorted({1, 2, *range(3, every, every // 12), every - 1}):
            running.count, running.stop_at = 0, stop_at
            running.reached.clear()
            running.go_on.clear()
            job = jobs.submit(handle, lambda: explain(handle))
            assert running.reached.wait(SOON)
            assert job.cancel()
            running.go_on.set()
            with pytest.raises(jobs.Cancelled):
                job.result(SOON)
            assert running.count == stop_at


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_check_can_be_cancelled_between_layers_too(variant):
    handle = cases.build(variant)
    e = explain(handle)
    expected = causal.checks(e, steps=[0, 1], region=REGION)
    with Running(handle) as running:
        running.stop_at = len(handle.anatomy.blocks)
        job = jobs.submit(handle, lambda: causal.checks(e, steps=[0, 1], region=REGION))
        assert running.reached.wait(SOON)
        job.cancel()
        running.go_on.set()
        with pytest.raises(jobs.Cancelled):
            job.result(SOON)
        assert running.count == running.stop_at
    assert causal.checks(e, steps=[0, 1], region=REGION) == expected


@pytest.mark.parametrize("keep", ["visual", "summary"])
def test_gathering_a_large_chunk_can_be_cancelled(keep):
    handle, gathered = cases.shared("llava"), []
    request = engine.encode(handle, cases.EXAMPLE)
    found = engine.differentiate(handle, request, engine.answer(handle, request, decoding=cases.SHORT))
    (chunk,) = found.chunks()
    begun, cancelled = threading.Event(), threading.Event()

    def work():
        begun.set()
        cancelled.wait(SOON)
        gathered.append(summary.collect(iter([chunk]), keep=keep, layout=found.layout, steps=found.steps.tolist()))

    job = jobs.submit(handle, work)
    assert begun.wait(SOON)
    job.cancel()
    cancelled.set()
    with pytest.raises(jobs.Cancelled):
        job.result(SOON)
    assert gathered == []


def test_a_job_that_waits_for_a_running_cell_can_be_cancelled():
    handle, waiting, heard = cases.build("llava"), threading.Event(), []
    expected = explain(handle)

    def listen(news):
        heard.append(news.text)
        waiting.set()

    with handle.lock:  # the cell
        job = jobs.submit(handle, lambda: explain(handle), on_progress=listen)
        assert waiting.wait(SOON)
        job.cancel()
        with pytest.raises(jobs.Cancelled):
            job.result(SOON)
        assert same(explain(handle), expected)  # the cell goes on
    assert heard == ["waiting for a cell that is using the model"]
    assert same(jobs.submit(handle, lambda: explain(handle)).result(SOON), expected)


@pytest.mark.parametrize("decoding", DECODINGS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_job_gives_the_numbers_that_a_cell_gets(variant, decoding):
    handle = cases.shared(variant)
    options = {"decoding": DECODINGS[decoding]}
    assert same(jobs.submit(handle, lambda: explain(handle, **options)).result(SOON), explain(handle, **options))


def test_a_job_tells_each_token_layer_and_step(monkeypatch):
    monkeypatch.setattr(jobs, "_APART", 0.0)  # every report
    monkeypatch.setattr(engine.Pass, "chunks", _by_step(engine.Pass.chunks))
    handle, heard = cases.shared("llava"), []
    e = jobs.submit(handle, lambda: explain(handle), on_progress=heard.append).result(SOON)
    tokens, layers, steps = len(e.generation.ids), len(e.layers), len(e.steps)
    assert [news.text for news in heard] == [
        "reading the image and the question",
        *(f"answering: token {token + 1} of at most 6" for token in range(tokens)),
        *(f"differentiating: layer {layer + 1} of {layers}" for layer in range(layers)),
        *(f"reading each layer's words: layer {layer + 1} of {layers}" for layer in range(layers)),
        *(f"collecting: step {step + 1} of {steps}" for step in range(steps)),
    ]
    assert (tokens, layers, steps) == (6, 3, 6)
    assert [(news.done, news.total) for news in heard[1:7]] == [(token, 5) for token in range(6)]
    assert [(news.done, news.total) for news in heard[7:10]] == [(layer, 3) for layer in range(3)]


def _by_step(chunks):
    return lambda passed: chunks(passed, max_bytes=1)


def test_a_check_tells_each_batch_of_its_passes(monkeypatch):
    monkeypatch.setattr(jobs, "_APART", 0.0)
    handle, heard = cases.shared("llava"), []
    e = explain(handle)
    options = {"steps": [0, (1, 2)], "region": REGION, "randoms": 2, "batch_size": 3}
    found = jobs.submit(handle, lambda: causal.checks(e, **options), on_progress=heard.append).result(SOON)
    assert [(news.done, news.total, news.text) for news in heard] == [
        (0, 0, "reading the image and the question"),
        (0, 7, "scoring the answer on variants of the image: 1 of 7"),
        (3, 7, "scoring the answer on variants of the image: 4 of 7"),
        (6, 7, "scoring the answer on variants of the image: 7 of 7"),
    ]
    assert found == causal.checks(e, **options)


def test_outside_a_job_no_layer_is_listened_to():
    handle, seen = cases.build("llava"), []
    request = engine.encode(handle, cases.EXAMPLE)
    layer = handle.anatomy.blocks[0]
    own = layer.register_forward_hook(lambda *_: seen.append(len(layer._forward_pre_hooks)))
    engine.answer(handle, request, decoding=cases.SHORT)
    jobs.submit(handle, lambda: engine.answer(handle, request, decoding=cases.SHORT)).result(SOON)
    own.remove()
    assert seen == [0] * 6 + [1] * 6


class Passes:
    """Who was inside the decoder, and when; a moment's rest in it makes others come in if they can."""

    def __init__(self, handle):
        self.inside, self.together, self.threads = set(), [], []
        decoder = handle.anatomy.decoder
        self.handles = [
            decoder.register_forward_pre_hook(self.enter),
            handle.anatomy.blocks[0].register_forward_hook(lambda *_: time.sleep(0.002)),
            decoder.register_forward_hook(self.leave),
        ]

    def enter(self, *_):
        self.inside.add(threading.get_ident())
        self.threads.append(threading.get_ident())
        self.together.append(len(self.inside))

    def leave(self, *_):
        self.inside.discard(threading.get_ident())

    def remove(self):
        for handle in self.handles:
            handle.remove()


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_running_cell_and_a_job_never_use_the_model_at_once(variant):
    handle = cases.build(variant)
    expected = [explain(handle), explain(handle, answer="on a mat")]
    passes = Passes(handle)
    begin = threading.Barrier(2)

    def work():
        begin.wait(SOON)
        return [explain(handle) for _ in range(3)]

    job = jobs.submit(handle, work)
    begin.wait(SOON)
    here = [explain(handle, answer="on a mat") for _ in range(3)]
    there = job.result(SOON)
    passes.remove()
    assert all(same(e, expected[1]) for e in here)
    assert all(same(e, expected[0]) for e in there)
    assert len(set(passes.threads)) == 2
    turns = sum(one != other for one, other in zip(passes.threads, passes.threads[1:], strict=False))
    assert turns >= 2  # they did overlap
    assert set(passes.together) == {1}
