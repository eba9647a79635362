"""What a pass can also give: attention probabilities, each layer's words, the norms of the image's patches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int
from torch import Tensor

from dexar_widgets import jobs
from dexar_widgets.engine.unembedding import ROWS, logits_of
from dexar_widgets.families import Anatomy
from dexar_widgets.types import Lens, TokenLayout

if TYPE_CHECKING:
    from dexar_widgets.vlm import VLM

__all__ = ["AttentionRows", "patch_norm_of", "read_lens"]

_TOP = 5


@dataclass(eq=False)
class AttentionRows:
    """Keeps the scores of the explained rows (scaled and soft-capped) as each layer calls its attention function."""

    rows: Int[np.ndarray, " step"]
    scores: list[Tensor] = field(default_factory=list)

    def keep(self, _layer: int, query: Tensor, key: Tensor, _value: Tensor, options: Mapping[str, Any]) -> None:
        """Take one layer's queries and keys, as handed to its attention function."""
        scaling, softcap = options.get("scaling"), options.get("softcap")
        wanted = query[0][:, torch.as_tensor(self.rows, device=query.device)].float()
        grouped = wanted.unflatten(0, (key.shape[1], -1))
        scores = torch.einsum("kgtd,knd->tkgn", grouped, key[0].float()).flatten(1, 2)
        scores = scores * (query.shape[-1] ** -0.5 if scaling is None else scaling)
        self.scores.append((scores if softcap is None else softcap * torch.tanh(scores / softcap)).cpu())

    def probabilities(
        self, allowed: Bool[np.ndarray, "step layer token"]
    ) -> Float32[np.ndarray, "step layer head token"]:
        """Attention as the model computed it, over the keys that its mask allows."""
        rows, layers, tokens = allowed.shape
        found = np.empty((rows, layers, self.scores[0].shape[1], tokens), np.float32)
        for layer, scores in enumerate(self.scores):
            forbidden = torch.as_tensor(~allowed[:, layer])[:, None]
            found[:, layer] = scores.masked_fill(forbidden, -torch.inf).softmax(-1).numpy()
        return found


def read_lens(
    vlm: "VLM", anatomy: Anatomy, normed: Sequence[Float[Tensor, "step hidden"]], targets: Int[Tensor, " step"]
) -> Lens:
    """Unembed each layer's normed rows: the target's logit and rank, and the layer's first words."""
    logit, rank, top = [], [], []
    for layer, rows in enumerate(normed):
        jobs.progress(layer, len(normed), f"reading each layer's words: layer {layer + 1} of {len(normed)}")
        for few, wanted in zip(rows.split(ROWS), targets.to(rows.device).split(ROWS), strict=True):
            logits = logits_of(anatomy, few)
            own = logits.gather(-1, wanted.to(logits.device)[:, None])
            logit.append(own[:, 0].cpu())
            rank.append((logits > own).sum(-1).cpu())
            top.append(logits.topk(_TOP).indices.cpu())
    shape = (len(normed), len(targets))
    ids = torch.cat(top).unflatten(0, shape).transpose(0, 1).numpy()
    texts = {int(word): _text(vlm.tokenizer, int(word)) for word in np.unique(ids)}
    return Lens(
        logit=torch.cat(logit).unflatten(0, shape).T.numpy(),
        rank=torch.cat(rank).unflatten(0, shape).T.numpy(),
        top_ids=ids,
        top_words=tuple(tuple(tuple(texts[int(word)] for word in layer) for layer in step) for step in ids),
    )


def patch_norm_of(layout: TokenLayout, norms: Float[Tensor, " patch"]) -> Float32[np.ndarray, " token"]:
    """The patches' norms at the tokens that show them; NaN elsewhere."""
    shown = np.flatnonzero(layout.cells[:, 0] >= 0)
    if len(shown) != len(norms):
        raise ValueError(f"The vision tower gave {len(norms)} patch features but the layout has {len(shown)} cells.")
    found = np.full(len(layout), np.nan, np.float32)
    found[shown] = norms.cpu().numpy()
    return found


def _text(tokenizer: Any, word: int) -> str:
    text = str(tokenizer.decode([word]))
    return text.strip() or text
