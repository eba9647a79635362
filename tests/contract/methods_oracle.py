"""Methods written out again, slowly: eager attention, float64, whole N × N matrices, one forward at a time.

Independent of the engine and of the families' anatomy: it reads transformers' own outputs. Encoder and decoder are one
set of tokens, the encoder's first; attention of the decoder to itself, or to the encoder, is a block of one matrix.
"""

import copy
from typing import NamedTuple

import numpy as np
import torch
from transformers import AttentionInterface, AttentionMaskInterface


class Run(NamedTuple):
    attentions: list  # (offset of rows, offset of columns, map: 1 head row token), in the order they ran
    states: list  # hidden states of the stack that the visual tokens pass through
    logits: torch.Tensor  # step: each token's own
    log_probs: torch.Tensor
    final: torch.Tensor  # step hidden, normed
    memory: torch.Tensor  # token hidden: normed last states of what the image stands among
    size: int
    row: int  # of the first predicted id, in the joined set of tokens


def twin(handle, implementation="eager"):
    """The model in float64, with maps."""
    model = (
        copy.deepcopy(handle.model).double().eval()
    )  # weights record: the first maps of a decoder hang on them alone
    model.set_attn_implementation(implementation)
    return model


def run(model, request, generation, steps, pixels=None):
    """One whole forward; the maps are part of the graph."""
    positions = generation.positions[list(steps)]
    ids = torch.as_tensor(generation.ids)
    said = ids[None, : positions[-1]].long()
    inputs = {name: value.clone() for name, value in request.inputs.items()}
    inputs["pixel_values"] = (inputs["pixel_values"] if pixels is None else pixels).double()
    if not inputs["pixel_values"].requires_grad:
        inputs["pixel_values"].requires_grad_()  # so that everything is recorded
    options = {"output_attentions": True, "output_hidden_states": True, "use_cache": False}
    encoder_tokens, prompt = 0, request.prompt_ids.shape[1]
    if model.config.is_encoder_decoder:
        output = model(**inputs, decoder_input_ids=torch.cat([request.prompt_ids, said], 1), **options)
        encoder_tokens = len(request.layout)
        maps = [(0, 0, one) for one in output.encoder_attentions]
        for own, cross in zip(output.decoder_attentions, output.cross_attentions, strict=True):
            maps += [(encoder_tokens, encoder_tokens, own), (encoder_tokens, 0, cross)]
        states, last = output.encoder_hidden_states, output.decoder_hidden_states[-1]
        memory = output.encoder_hidden_states[-1][0]
    else:
        ones = torch.ones_like(said)
        for name in ("attention_mask", "token_type_ids"):
            if name in inputs:
                inputs[name] = torch.cat([inputs[name], ones], 1)
        inputs["input_ids"] = torch.cat([inputs["input_ids"], said], 1)
        output = model(**inputs, **options)
        maps = [(0, 0, one) for one in output.attentions]
        states, last = output.hidden_states, output.hidden_states[-1]
        memory = last[0, :prompt]
    rows = prompt - 1 + positions
    targets = ids[positions].long()
    logits = output.logits[0, rows]
    own = logits.gather(-1, targets[:, None])[:, 0]
    log_probs = logits.log_softmax(-1).gather(-1, targets[:, None])[:, 0]
    size = encoder_tokens + prompt + said.shape[1]
    return Run(maps, states, own, log_probs, last[0, rows], memory, size, encoder_tokens + prompt - 1)


def joined(part, size):
    """One attention (mean over heads) as a matrix over all tokens."""
    rows, cols, values = part
    whole = torch.zeros(size, size, dtype=torch.float64)
    whole[rows : rows + values.shape[0], cols : cols + values.shape[1]] = values.double()
    return whole


def product(parts, size):
    """Π (M + I) with rows scaled to sum 1, the lowest first: what each token holds of each."""
    reached = torch.eye(size, dtype=torch.float64)
    for part in parts:
        layer = joined(part, size) + torch.eye(size, dtype=torch.float64)
        reached = (layer / layer.sum(-1, keepdim=True)) @ reached
    return reached


def rollout(found, generation, steps):
    parts = [(rows, cols, values[0].mean(0)) for rows, cols, values in found.attentions]
    return product(parts, found.size)[found.row + generation.positions[list(steps)]]


def chefer(found, generation, steps):
    maps = [values for _, _, values in found.attentions]
    relevance = []
    for step, logit in zip(steps, found.logits, strict=True):
        gradients = torch.autograd.grad(logit, maps, retain_graph=True)
        reached = torch.eye(found.size, dtype=torch.float64)
        for (rows, cols, values), gradient in zip(found.attentions, gradients, strict=True):
            layer = joined((rows, cols, (gradient * values).clamp(min=0)[0].mean(0)), found.size)
            reached = reached + layer @ reached
        relevance.append(reached[found.row + generation.positions[step]])
    return torch.stack(relevance)


def iia(model, request, generation, steps, *, target, images=6, attentions=6):
    """Every point a forward and a backward of its own; the last map is replaced by its multiple."""
    heard = _Listening(model)
    groups = [list(range(len(steps)))] if target == "answer" else [[place] for place in range(len(steps))]
    maps = []
    for group in groups:
        total, where = [], None
        for alpha in np.linspace(0, 1, images):
            pixels = alpha * request.inputs["pixel_values"].double()
            for beta in np.linspace(0, 1, attentions):
                found, live = heard.run(request, generation, steps, pixels, beta)
                scores = found.logits[group] if target == "step" else found.log_probs[group]
                gradients = torch.autograd.grad(scores.sum(), live, allow_unused=True)
                some = [(one * two).clamp(min=0).mean(1)[0] for one, two in zip(live, gradients, strict=True)]
                total = [a + b for a, b in zip(total, some, strict=True)] if total else some
                where = found
        parts = [
            (rows, cols, one / (images * attentions))
            for (rows, cols, _), one in zip(where.attentions, total, strict=True)
        ]
        reached = product(parts, where.size)
        rows = where.row + generation.positions[[steps[place] for place in group]]
        maps.append(reached[rows].sum(0).detach())
    heard.maps, heard.model, heard.last = [], None, None  # the registered function stays
    return torch.stack(maps)


class _Listening:
    """The model with an attention function that keeps its maps, and can replace the last one."""

    def __init__(self, model):
        self.model, self.maps, self.beta = model, [], None
        AttentionInterface.register("oracle", self.attend)
        AttentionMaskInterface.register("oracle", AttentionMaskInterface()["eager"])
        text = model.model.language_model
        self.last = (
            text.decoder.layers[-1].encoder_attn if model.config.is_encoder_decoder else text.layers[-1].self_attn
        )
        model.set_attn_implementation({"text_config": "oracle"})

    def attend(self, module, query, key, value, mask, scaling=None, softcap=None, **_):
        groups = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
        scores = query @ key.transpose(2, 3) * (query.shape[-1] ** -0.5 if scaling is None else scaling)
        if softcap is not None:
            scores = softcap * torch.tanh(scores / softcap)
        attention = (scores if mask is None else scores + mask[..., : key.shape[2]]).softmax(-1)
        if module is self.last:
            attention = (self.beta * attention.detach()).requires_grad_()
        self.maps.append(attention)
        return (attention @ value).transpose(1, 2).contiguous(), attention

    def run(self, request, generation, steps, pixels, beta):
        self.maps, self.beta = [], beta
        return run(self.model, request, generation, steps, pixels), self.maps


def tam(found_of, layout, generation, steps, unembed, *, items="prompt", stage="full"):
    """Token activation map, item by item and cell by cell."""
    last = max(steps)
    found = found_of(range(last + 1))
    image = np.flatnonzero(layout.is_image)
    prompt = [i for i, kind in enumerate(layout.kinds) if kind != "image" and (items == "all" or kind == "prompt")]
    ids = [*(int(layout.ids[i]) for i in prompt), *(int(generation.ids[p]) for p in generation.positions[: last + 1])]
    texts = [*(layout.pieces[i].strip() for i in prompt), *(piece.strip() for piece in generation.pieces)]
    states = [*(found.memory[i] for i in prompt), *found.final]
    maps = []
    for step in steps:
        item = len(prompt) + step
        own = np.array([max(0.0, unembed(found.memory[i])[ids[item]].item()) for i in image])
        relevance = [max(0.0, unembed(state)[ids[item]].item()) for state in states[:item]]
        if stage != "raw":
            mix, mass = np.zeros(len(image)), 1e-8
            for other in range(item):
                if texts[other] != texts[item]:
                    raw = np.array([max(0.0, unembed(found.memory[i])[ids[other]].item()) for i in image])
                    mix, mass = mix + relevance[other] * raw, mass + relevance[other]
            mix = mix / mass
            if (mix**2).sum() > 0:
                scale = np.linalg.lstsq(mix[:, None], own, rcond=None)[0][0]
                own = np.maximum(own - scale * mix, 0)
        every = np.concatenate([own, relevance])
        if stage in ("scaled", "full"):
            own = (own - every.min()) / (every.max() - every.min())
        cells = own[[list(image).index(token) for token in layout.tokens_of()]]
        cells = cells.reshape(layout.grids[0].rows, layout.grids[0].cols)
        maps.append(_rank_gaussian(cells) if stage == "full" else cells)
    return np.stack(maps)


def _rank_gaussian(cells):
    rows, cols = cells.shape
    out = np.zeros_like(cells)

    def mirrored(index, size):
        return -index if index < 0 else 2 * size - 2 - index if index >= size else index

    for row in range(rows):
        for col in range(cols):
            near = sorted(
                cells[mirrored(row + down, rows), mirrored(col + across, cols)]
                for down in (-1, 0, 1)
                for across in (-1, 0, 1)
            )
            mean, deviation = np.mean(near), np.std(near)
            if mean <= 0:
                continue
            spread = deviation / mean
            weights = [1.0 if rank == 4 else 0.0 for rank in range(9)]
            if spread > 0:
                weights = [np.exp(-((rank - 4) ** 2) / (2 * spread**2)) for rank in range(9)]
            out[row, col] = np.dot(near, weights) / np.sum(weights)
    return out
