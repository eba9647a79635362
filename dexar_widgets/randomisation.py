"""A model that forgets what it learned, from the last layer down to the first.

Weights are drawn anew on a copy of the model: unembedding, decoder blocks, what lies between tower and decoder, vision
tower, each on top of those before.

Source: Adebayo et al. (NeurIPS 2018), the cascading randomisation. Differs: all blocks of the decoder at once; new
weights have the old ones' deviation, so that the copy stays finite; vectors (norms and biases) are shuffled. Where the
unembedding is tied to the embeddings, those change with it.
"""

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from dexar_widgets.vlm import VLM

__all__ = ["STAGES", "randomised"]

STAGES = ("unembedding", "decoder", "projector", "vision")
"""In the order in which they are drawn anew, each on top of those before."""


def randomised(vlm: "VLM", *, seed: int = 0) -> Iterator[tuple[str, "VLM"]]:
    """The model after each stage, on one copy that goes on changing; the model itself stays as it is."""
    model = copy.deepcopy(vlm.model)
    changed = replace(vlm, model=model)
    anatomy, generator = changed.anatomy, torch.Generator().manual_seed(seed)
    vision, decoder = set(anatomy.vision_tower.parameters()), set()
    own = () if anatomy.own is None else anatomy.own.blocks
    for block in (*anatomy.blocks, *own, *(() if anatomy.encoder is None else anatomy.encoder.blocks)):
        decoder |= set(block.parameters())
    head = set(anatomy.unembedding.parameters())
    rest = set(model.parameters()) - vision - decoder - head
    for stage, weights in zip(STAGES, (head, decoder, rest, vision), strict=True):
        for weight in model.parameters():  # in the model's order: a set has none
            if weight in weights:
                _draw(weight, generator)
        yield stage, changed


def _draw(weight: nn.Parameter, generator: torch.Generator) -> None:
    with torch.no_grad():
        if weight.ndim > 1:
            new = torch.randn(weight.shape, generator=generator) * float(weight.std())
        else:
            new = weight[torch.randperm(len(weight), generator=generator).to(weight.device)]
        weight.copy_(new)
