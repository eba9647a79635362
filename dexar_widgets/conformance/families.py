"""What a family must keep to: what its anatomy says is held against plain autograd through eager attention."""

import copy
from collections.abc import Iterator
from functools import cached_property, partial
from types import ModuleType
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dexar_widgets import engine, plugins, vlm
from dexar_widgets.conformance.findings import Attempt, expect
from dexar_widgets.engine.unembedding import logits_of
from dexar_widgets.methods import Subject
from dexar_widgets.types import Example, GradientTensor

__all__ = ["checks"]

_IMAGE = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
_CLOSE = 1e-4  # of the largest value: float32 on both sides


def checks(module: ModuleType) -> Iterator[Attempt]:
    """Its facts, its tiny model, then the engine on it."""
    trial = _Trial(module)
    yield "says what it is: MODEL_TYPES, CHECKPOINTS, DEFAULT_PROMPT", partial(_facts, module)
    yield "verify() refuses a field that it does not know", partial(_refuses, module, trial)
    yield "tiny() makes a model that answers", trial.answer
    yield "layout() names every key, and every image token has one cell or is pooled", trial.keys
    yield "attention rows are those of eager attention", trial.attention
    yield "the gradient tensor is that of autograd through eager attention", trial.gradients
    yield "log-probabilities are those of one plain forward pass", trial.log_probs
    yield "every method runs on it", trial.methods


def _facts(module: ModuleType) -> str:
    for name in ("MODEL_TYPES", "CHECKPOINTS"):
        value = getattr(module, name)
        expect(isinstance(value, tuple) and all(isinstance(one, str) for one in value), f"{name} is {value!r}.")
    expect(isinstance(module.DEFAULT_PROMPT, str) and module.DEFAULT_PROMPT != "", "DEFAULT_PROMPT is empty.")
    return ", ".join(module.MODEL_TYPES)


def _refuses(module: ModuleType, trial: "_Trial") -> None:
    config = copy.deepcopy(trial.handle.model.config)
    module.verify(config)
    config.a_field_that_changes_everything = 7
    try:
        module.verify(config)
    except ValueError:
        return
    raise ValueError("A configuration with an unknown field passed; a new model would be explained wrongly, unseen.")


class _Trial:
    """The family's tiny model, made once, with an answer; and the same answer by plain autograd."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module

    @cached_property
    def handle(self) -> vlm.VLM:
        model, processor = self.module.tiny()
        self.module.repair(processor, model.config)
        return vlm.VLM(model, processor, self.module, "tiny")

    @cached_property
    def request(self) -> engine.Request:
        return engine.encode(self.handle, Example(_IMAGE, self.module.DEFAULT_PROMPT))

    @cached_property
    def said(self) -> engine.Answer:
        tokens = 4 + 2 * self.handle.anatomy.cross_attention
        return engine.answer(self.handle, self.request, decoding=engine.Decoding(max_new_tokens=tokens))

    @cached_property
    def passed(self) -> engine.Pass:
        return engine.differentiate(self.handle, self.request, self.said)

    def answer(self) -> str:
        return repr(self.said.generation.text)

    def keys(self) -> str:
        layout = self.passed.layout
        (tensor,) = self.passed.chunks()
        expect(
            tensor.values.shape[-1] == len(layout), f"{tensor.values.shape[-1]} keys, but the layout has {len(layout)}."
        )
        pooled = int((layout.is_image & (layout.cells[:, 0] < 0)).sum())
        grid = layout.grids[0]
        return f"{len(layout)} keys, {grid.rows}×{grid.cols} cells, {pooled} pooled"

    def attention(self) -> str:
        worst, every = 0.0, range(len(self.said.generation))
        known = engine.read_attention(self.handle, self.request, self.said, steps=every)
        for step, attentions, _ in self._plain():
            rows = torch.stack([layer[0, :, -1] for layer in attentions]).detach().numpy()
            found = known[step][..., : rows.shape[-1]]
            worst = max(worst, float(np.abs(found - rows).max()))
        expect(worst < _CLOSE, f"They differ by {worst:.2g}: do attentions and windows name the right modules?")
        return f"largest difference {worst:.1g}"

    def gradients(self) -> str:
        (tensor,) = self.passed.chunks()
        worst = max(self._apart(tensor, *one) for one in self._plain())
        expect(
            worst < _CLOSE,
            f"They differ by {worst:.2g} of the largest value: do blocks, projections, final_norm and windows fit?",
        )
        return f"largest difference {worst:.1g} of the largest value"

    def _apart(self, tensor: GradientTensor, step: int, attentions: list[Tensor], rows: list[Tensor]) -> float:
        token = int(self.said.generation.ids[self.said.generation.positions[step]])
        anatomy, worst = self.handle.anatomy, 0.0
        for layer, (attention, row) in enumerate(zip(attentions, rows, strict=True)):
            logit = logits_of(anatomy, row)[token]
            (gradient,) = torch.autograd.grad(logit, attention, retain_graph=True)
            expected: Float[np.ndarray, "head token"] = gradient[0, :, -1].detach().numpy()
            seen = tensor.allowed[step, layer, : expected.shape[-1]]
            found = tensor.values[step, layer, :, : expected.shape[-1]]
            scale = float(np.abs(expected[:, seen]).max())
            worst = max(worst, float(np.abs(found - expected)[:, seen].max()) / max(scale, 1e-12))
        return worst

    def log_probs(self) -> str:
        generation, worst = self.said.generation, 0.0
        for step, _, rows in self._plain():
            logits = logits_of(self.handle.anatomy, rows[-1]).log_softmax(-1)
            token = int(generation.ids[generation.positions[step]])
            worst = max(worst, abs(float(logits[token].detach()) - float(generation.log_probs[step])))
        expect(worst < _CLOSE, f"They differ by {worst:.2g}.")
        return f"largest difference {worst:.1g}"

    def methods(self) -> str:
        small: dict[str, dict[str, int]] = {
            "rise": {"n_masks": 2}, "integrated_gradients": {"n_steps": 2}, "iia": {"n_images": 2, "n_attentions": 2},
        }  # fmt: skip
        names = plugins.names("methods")
        for name in names:
            method = plugins.get("methods", name)
            subject = Subject(self.handle, self.request, self.said, (0, 1), method.NEEDS)
            try:
                maps = method.attribute(subject, method.Options(**small.get(name, {})))
            except Exception as error:
                raise ValueError(f"{name}: {type(error).__name__}: {error}") from error
            expect(bool(np.isfinite(maps.values).all()), f"{name} gives NaN or infinity.")
        return ", ".join(names)

    def _plain(self) -> Iterator[tuple[int, list[Tensor], list[Tensor]]]:
        """Per step one forward through eager attention: its maps, and each layer's normed row."""
        model = copy.deepcopy(self.handle.model).eval()
        model.set_attn_implementation("eager")
        generation = self.said.generation
        for step, position in enumerate(generation.positions):
            said = torch.as_tensor(generation.ids[:position])[None].long()
            output = model(**_inputs(model, self.request, said))
            cross = self.handle.anatomy.cross_attention
            hidden = output.decoder_hidden_states if cross else output.hidden_states
            rows = [self.handle.anatomy.final_norm(state[0, -1]) for state in hidden[1:-1]] + [hidden[-1][0, -1]]
            yield step, list(output.cross_attentions if cross else output.attentions), rows


def _inputs(model: Any, request: engine.Request, said: Tensor) -> dict[str, Any]:
    inputs: dict[str, Any] = dict(request.inputs)
    inputs["pixel_values"] = inputs["pixel_values"].clone().requires_grad_()
    options: dict[str, Any] = {"output_attentions": True, "output_hidden_states": True, "use_cache": False}
    if model.config.is_encoder_decoder:
        return inputs | options | {"decoder_input_ids": torch.cat([request.prompt_ids, said], 1)}
    tails = {"input_ids": said, "attention_mask": torch.ones_like(said), "token_type_ids": torch.ones_like(said)}
    return (
        inputs | options | {name: torch.cat([inputs[name], tail], 1) for name, tail in tails.items() if name in inputs}
    )
