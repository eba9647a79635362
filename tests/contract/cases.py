"""Every family's tiny models, in the variants that differ for the engine, and an image to ask about."""

import copy
import functools

import numpy as np
import pytest
import torch

from dexar_widgets import engine, plugins, vlm
from dexar_widgets.conformance.state import state_of
from dexar_widgets.types import Example

_OPTIONS = {
    "llava": [{}, {"text": "mistral"}, {"vision": "siglip"}],
    "paligemma": [{"version": 1}, {"version": 2}],
}
VARIANTS = {
    " ".join([family, *map(str, options.values())]): (family, options)
    for family in plugins.names("families")
    for options in _OPTIONS.get(family, [{}])
}


def _slow_but(*quick):
    return [pytest.param(variant, marks=[] if variant in quick else pytest.mark.slow) for variant in VARIANTS]


EACH = _slow_but("llava mistral", "florence2")
"""Every variant; the two that differ most are quick tests, the others slow ones."""
ONE = _slow_but("florence2")
EXAMPLE = Example(np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8), None)
SHORT = engine.Decoding(max_new_tokens=6)


def build(variant):
    """A fresh tiny VLM."""
    family, options = VARIANTS[variant]
    return vlm.load(plugins.get("families", family).tiny(**options))


@functools.cache
def shared(variant):
    """One that tests share; they leave it as they found it."""
    return build(variant)


def tensor(handle, request, answer, **options):
    """The whole tensor of one pass."""
    (chunk,) = engine.differentiate(handle, request, answer, **options).chunks()
    return chunk


def scale_of_difference(found, expected):
    """The largest difference, in units of the expected array's largest value."""
    return np.abs(found - expected).max() / np.abs(expected).max()


def in_dtype(handle, dtype):
    """The same model in another type, and that model's float32 twin with the same rounded weights."""
    rounded = copy.deepcopy(handle.model).to(dtype)
    return vlm.load((rounded, handle.processor)), vlm.load((copy.deepcopy(rounded).to(torch.float32), handle.processor))


snapshot = state_of
"""Everything about a model, and about the process, that the engine could have changed."""
