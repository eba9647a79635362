"""The gradient tensor by plain autograd: eager attention, one full uncached forward per token, float64.

Independent of the engine and of the families' anatomy: it reads transformers' own outputs.
(eager's softmax and the norms run in float32 whatever the model's type, so agreement ends near 1e-6.)
"""

import copy
from typing import NamedTuple

import numpy as np
import torch


class Oracle(NamedTuple):
    values: np.ndarray  # step layer head token
    allowed: np.ndarray  # step layer token
    twice: np.ndarray  # step head token
    attention: np.ndarray  # step layer head token
    logits: np.ndarray  # step layer word


def differentiate(model, inputs, ids, positions, *, dtype=torch.float64) -> Oracle:
    """∂o[l, t] / ∂A_l[:, row t, :] for each answer token ``ids[p]``, p in ``positions``, forwarded on its own."""
    model = copy.deepcopy(model).to(dtype).eval().requires_grad_(False)
    model.set_attn_implementation("eager")
    per_step = [_step(model, inputs, ids, int(position)) for position in positions]
    tokens = max(step[0].shape[-1] for step in per_step)
    padded = [[_pad(array, tokens) for array in step[:4]] for step in per_step]
    values, allowed, twice, attention = (np.stack(arrays) for arrays in zip(*padded, strict=True))
    return Oracle(values, allowed, twice, attention, np.stack([step[4] for step in per_step]))


def _step(model, inputs, ids, position):
    with torch.enable_grad():
        hidden, attentions = _forward(model, inputs, torch.as_tensor(ids[:position], device=model.device)[None].long())
        norm = getattr(model.model.language_model, "norm", None) or torch.nn.Identity()
        rows = [norm(state[0, -1]) for state in hidden[1:-1]] + [hidden[-1][0, -1]]  # the last one is normed already
        logits = [_unembed(model, row) for row in rows]
        target = ids[position]
        gradients = [
            torch.autograd.grad(logit[target], attention, retain_graph=True)[0][0, :, -1]
            for logit, attention in zip(logits, attentions, strict=True)
        ]
        again = _unembed(model, norm(rows[-1]))[target]
        twice = torch.autograd.grad(again, attentions[-1])[0][0, :, -1]
    attention = _numpy(torch.stack([layer[0, :, -1] for layer in attentions]))
    allowed = (attention != 0).any(1)
    forbidden = ~allowed[:, None]
    return (
        np.where(forbidden, 0, _numpy(torch.stack(gradients))),
        allowed,
        np.where(forbidden[-1], 0, _numpy(twice)),
        attention,
        _numpy(torch.stack(logits)),
    )


def _numpy(tensor):
    return tensor.detach().to("cpu", torch.float64).numpy()


def _forward(model, inputs, said):
    """Hidden states and the attention rows that read the image, of a forward over prompt and ``said``."""
    inputs = {name: value.to(model.dtype) if value.is_floating_point() else value for name, value in inputs.items()}
    inputs["pixel_values"] = inputs["pixel_values"].requires_grad_()  # so that everything is recorded
    options = {"output_attentions": True, "output_hidden_states": True, "use_cache": False}
    if model.config.is_encoder_decoder:
        start = torch.tensor([[model.config.text_config.decoder_start_token_id]], device=model.device)
        output = model(**inputs, decoder_input_ids=torch.cat([start, said], 1), **options)
        return output.decoder_hidden_states, output.cross_attentions
    inputs["attention_mask"] = torch.cat([inputs["attention_mask"], torch.ones_like(said)], 1)
    if "token_type_ids" in inputs:  # 1: the answer does not belong to the prefix that sees itself both ways
        inputs["token_type_ids"] = torch.cat([inputs["token_type_ids"], torch.ones_like(said)], 1)
    inputs["input_ids"] = torch.cat([inputs["input_ids"], said], 1)
    output = model(**inputs, **options)
    return output.hidden_states, output.attentions


def _unembed(model, row):
    logits = model.lm_head(row)
    cap = getattr(model.config.text_config, "final_logit_softcapping", None)
    return logits if cap is None else cap * torch.tanh(logits / cap)


def _pad(array, tokens):
    return np.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, tokens - array.shape[-1])])


def knocked_out(model, inputs, ids, positions, *, source, target, layers, special, dtype=torch.float64):
    """Log-probabilities of ``ids[p]``, p in ``positions``, with an eager mask made by hand in some layers.

    One full uncached forward per token; the masks are transformers' own with −inf added, position by position.
    ``source`` is a part of the sequence, or the key positions themselves; ``target`` a part, or "all".
    """
    model = copy.deepcopy(model).to(dtype).eval().requires_grad_(False)
    model.set_attn_implementation("eager")
    prompt, image_id = inputs["input_ids"][0].tolist(), model.config.image_token_id
    names = _cut_modules(model, target)
    for name in (names[layer] for layer in layers):
        module = model.get_submodule(name)
        stack = "decoder" if not model.config.is_encoder_decoder else "cross" if "encoder_attn" in name else "encoder"
        module.forward = _masking(module.forward, prompt, image_id, special, source, target, stack)
    found = []
    with torch.no_grad():
        for position in positions:
            said = torch.as_tensor(ids[:position], device=model.device)[None].long()
            plain = {name: value for name, value in inputs.items() if name != "labels"}
            hidden, _ = _forward(model, plain, said)
            last = hidden[-1][0, -1]  # normed already
            found.append(_unembed(model, last).log_softmax(-1)[ids[position]])
    return _numpy(torch.stack(found))


def _cut_modules(model, target):
    """The attention that the target reads with, an encoder's before the decoder's to its output."""
    stack = "model.language_model"
    if not model.config.is_encoder_decoder:
        return [f"{stack}.layers.{layer}.self_attn" for layer in range(model.config.text_config.num_hidden_layers)]
    text = model.config.text_config
    encoder = [f"{stack}.encoder.layers.{layer}.self_attn" for layer in range(text.encoder_layers)]
    cross = [f"{stack}.decoder.layers.{layer}.encoder_attn" for layer in range(text.decoder_layers)]
    return {"prompt": encoder, "answer": cross, "all": encoder + cross}[target]


def _masking(forward, prompt, image_id, special, source, target, stack):
    """``forward`` with more of its mask forbidden; every pair of positions is asked about."""

    def part(position, *, column):
        if stack == "decoder" and position >= len(prompt) - 1:
            return "answer"
        if prompt[position] == image_id:
            return "image"
        return None if column and prompt[position] in special else "prompt"

    def is_source(column):
        return part(column, column=True) == source if isinstance(source, str) else column in source

    def masked(*args, attention_mask, **options):
        hidden = args[0] if args else options["hidden_states"]
        rows = hidden.shape[1]
        columns = rows if stack == "decoder" else len(prompt)
        mask = (
            torch.zeros(1, 1, rows, columns, dtype=hidden.dtype) if attention_mask is None else attention_mask.clone()
        )
        for row in range(rows):
            of = "answer" if stack == "cross" else part(row, column=False)
            for column in range(columns):
                own = stack != "cross" and row == column
                if target in (of, "all") and not own and is_source(column):
                    mask[:, :, row, column] = -torch.inf
        return forward(*args, attention_mask=mask, **options)

    return masked
