"""Gathering a pass in chunks: the same numbers however it is cut, and no more memory than what is kept."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from dexar_widgets.options import READINGS, TEXT_SETS
from dexar_widgets.summary import collect
from dexar_widgets.types import GradientTensor
from tests.unit import reference
from tests.unit.made import layout_of, random_parts, tensor_of


def cut(tensor, size):
    for first in range(0, len(tensor.steps), size):
        part = slice(first, first + size)
        yield GradientTensor(
            tensor.values[part],
            tensor.allowed[part],
            tensor.steps[part],
            tensor.layers,
            tensor.tokens,
            None if tensor.twice is None else tensor.twice[part],
        )


@pytest.mark.parametrize("keep", ["full", "visual", "summary"])
@pytest.mark.parametrize("size", [1, 2, 99])
def test_chunks_of_any_size_give_the_same(keep, size):
    tensor, layout = random_parts(3)
    steps = tensor.steps.tolist()
    one = collect(cut(tensor, size), keep=keep, layout=layout, steps=steps)
    whole = collect(cut(tensor, len(steps)), keep=keep, layout=layout, steps=steps)
    assert one == whole
    assert (one.gradients is None, one.summary is None) == (keep == "summary", keep == "full")


def test_full_is_the_tensor_itself():
    tensor, layout = random_parts(3)
    assert collect(cut(tensor, 1), keep="full", layout=layout, steps=tensor.steps.tolist()).gradients == tensor
    whole = collect(iter([tensor]), keep="full", layout=layout, steps=tensor.steps.tolist())
    assert whole.gradients is tensor


def test_visual_keeps_the_image_columns_and_their_positions():
    tensor, layout = random_parts(3)
    kept = collect(cut(tensor, 1), keep="visual", layout=layout, steps=tensor.steps.tolist()).gradients
    image = np.flatnonzero(layout.is_image)
    assert kept.tokens.tolist() == image.tolist()
    np.testing.assert_array_equal(kept.values, tensor.values[..., image])
    np.testing.assert_array_equal(kept.allowed, tensor.allowed[..., image])
    np.testing.assert_array_equal(kept.twice, tensor.twice[..., image])


@pytest.mark.parametrize("twice", [False, True])
def test_every_kept_statistic_agrees_with_a_second_writing(twice):
    tensor, layout = random_parts(7)
    kept = collect(cut(tensor, 1), keep="summary", layout=layout, steps=tensor.steps.tolist()).summary
    layers, statistics = ([len(tensor.layers) - 1], kept.twice) if twice else (None, kept.once)
    for magnitude in (False, True):
        for text_set in TEXT_SETS:
            for reading in READINGS:
                how = {0.0: "max", 1.0: "avg"}.get(reading, reading)
                expected = reference.explain(
                    tensor,
                    layout,
                    layers=layers or range(len(tensor.layers)),
                    heads=None,
                    head_filter=how,
                    filler_filter=how,
                    relu=True,
                    magnitude=magnitude,
                    text_set=text_set,
                    preset="released" if twice else "paper",
                )
                read = statistics.read(reading, text_set, magnitude=magnitude)
                found = np.maximum(read.visual.astype(float) - read.text, 0).transpose(0, 1, 2)
                delta = np.array(list(expected.delta.values())).reshape(found.shape)
                np.testing.assert_allclose(found, delta, rtol=1e-5, atol=1e-6)


def test_a_pass_without_the_second_gradient_has_no_second_statistics():
    tensor, layout = random_parts(1)
    kept = collect(
        cut(replace(tensor, twice=None), 1), keep="summary", layout=layout, steps=tensor.steps.tolist()
    ).summary
    assert (kept.twice, kept.twice_maps) == (None, None)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([0, 1, 2, 3, 4], "brought 4 of 5 steps"),
        ([0, 2, 3], r"holds steps \[0, 1\] of 2 tokens; expected the next of \[0, 2, 3\]"),
    ],
)
def test_missing_and_unexpected_steps_are_noticed(steps, message):
    tensor = tensor_of(np.ones((4, 1, 1, 2)))
    layout = layout_of(["image", "prompt"], 1, 1)
    with pytest.raises(ValueError, match=message):
        collect(cut(tensor, 2), keep="visual", layout=layout, steps=steps)


def test_an_empty_pass_is_noticed():
    with pytest.raises(ValueError, match="is the answer empty"):
        collect(iter([]), keep="full", layout=layout_of(["image"], 1, 1), steps=[])


def test_an_unknown_keep_names_the_known_ones():
    with pytest.raises(ValueError, match="keep='everything' is unknown; accepted: 'full', 'visual', 'summary'"):
        collect(iter([]), keep="everything", layout=layout_of(["image"], 1, 1), steps=[0])


@pytest.mark.parametrize("keep", ["full", "visual", "summary"])
def test_memory_holds_what_is_kept_and_little_more_than_one_chunk(keep):
    steps, layers, heads, text = 24, 4, 4, 200
    layout = layout_of(["prompt"] * text + ["image"] * 1024, 32, 32)
    shape = (1, layers, heads, len(layout))

    def chunks():
        for step in range(steps):
            values = np.full(shape, step, np.float32)
            yield GradientTensor(
                values, np.ones((1, layers, shape[-1]), bool), np.array([step]), np.arange(layers), np.arange(shape[-1])
            )

    tracemalloc.start()
    kept = collect(chunks(), keep=keep, layout=layout, steps=range(steps))
    now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    chunk = 4 * np.prod(shape)
    assert kept.summary is not None or kept.gradients is not None
    # reading a step's statistics sorts it in float32 and sums it in float64: a few chunks' worth
    assert peak - now < 10 * chunk
    assert now < 1.1 * _nbytes(kept)


def _nbytes(value):
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, tuple):
        return sum(map(_nbytes, value))
    return sum(map(_nbytes, vars(value).values())) if hasattr(value, "__dict__") else 0
