"""Everything about a model, and about the process, that a plug-in could leave changed."""

from typing import Any

import torch
from transformers import AttentionInterface

__all__ = ["state_of"]

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def state_of(model: Any) -> dict[str, Any]:
    """Comparable values, by what they are called."""
    modules, weights = dict(model.named_modules()), dict(model.named_parameters())
    configs = {name: module.config for name, module in modules.items() if hasattr(module, "config")}
    return {
        "modes": {name: module.training for name, module in modules.items()},
        "hooks": {(name, kind): list(getattr(module, kind)) for name, module in modules.items() for kind in _HOOKS},
        "own attributes": {name: sorted(vars(module)) for name, module in modules.items()},
        "requires_grad": {name: weight.requires_grad for name, weight in weights.items()},
        "gradients": {name: weight.grad for name, weight in weights.items()},
        "dtypes": {name: weight.dtype for name, weight in weights.items()},
        "weights": {name: weight.detach().double().sum().item() for name, weight in weights.items()},
        "buffers": {name: buffer.double().sum().item() for name, buffer in model.named_buffers()},
        "attention implementations": {name: config._attn_implementation for name, config in configs.items()},
        "parts' attention implementations": {
            (name, part): getattr(config, part)._attn_implementation
            for name, config in configs.items()
            for part in config.sub_configs
        },
        "configurations": {name: config.to_dict() for name, config in configs.items()},
        "generation configuration": model.generation_config.to_dict(),
        "torch's modes": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "random state": torch.get_rng_state().tolist(),
        "attention functions": AttentionInterface()["sdpa"],
    }
