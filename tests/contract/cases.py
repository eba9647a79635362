"""Every family's tiny models, in the variants that differ for the engine, and an image to ask about."""

import copy
import functools

import numpy as np
import torch
from transformers import AttentionInterface

from dexar_widgets import engine, plugins, vlm
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


def snapshot(model):
    """Everything about a model, and about the process, that the engine could have changed."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    configs = {name: module.config for name, module in model.named_modules() if hasattr(module, "config")}
    return {
        "mode": {name: module.training for name, module in model.named_modules()},
        "hooks": {
            (name, kind): list(getattr(module, kind)) for name, module in model.named_modules() for kind in hooks
        },
        "own attributes": {name: sorted(vars(module)) for name, module in model.named_modules()},
        "requires_grad": {name: weight.requires_grad for name, weight in model.named_parameters()},
        "gradients": {name: weight.grad for name, weight in model.named_parameters()},
        "dtype": {name: weight.dtype for name, weight in model.named_parameters()},
        "weights": {name: weight.double().sum().item() for name, weight in model.named_parameters()},
        "attention": {name: config._attn_implementation for name, config in configs.items()},
        "parts' attention": {
            (name, part): getattr(config, part)._attn_implementation
            for name, config in configs.items()
            for part in config.sub_configs
        },
        "config": {name: config.to_dict() for name, config in configs.items()},
        "generation_config": model.generation_config.to_dict(),
        "torch": (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.get_rng_state().tolist()),
        "attention functions": AttentionInterface()["sdpa"],
    }
