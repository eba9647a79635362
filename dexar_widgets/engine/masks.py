"""Which keys a row may read: the rules that the models' attention masks follow."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int

from dexar_widgets.engine.requests import Request
from dexar_widgets.families import Anatomy

__all__ = ["not_padding", "visible", "visible_by_layer"]


def not_padding(request: Request, tokens: int) -> Bool[np.ndarray, " token"]:
    """True for every key but padding; what follows the prompt never is."""
    seen = np.ones(tokens, bool)
    mask = request.inputs["attention_mask"][0].bool().cpu().numpy()
    seen[: len(mask)] = mask
    return seen


def visible(
    request: Request, rows: Int[np.ndarray, " row"], tokens: int, *, window: int | None, prefix: bool
) -> Bool[np.ndarray, "row token"]:
    """The keys that rows of the decoder's self-attention see: neither the future nor what left the window.

    ``prefix``: the prompt's rows see all of the prompt, also beyond the window.
    """
    back = rows[:, None] - np.arange(tokens)
    inside = (back >= 0) & (back < (window or tokens))
    if prefix:
        prompt = request.prompt_ids.shape[1]
        inside |= (rows < prompt)[:, None] & (np.arange(tokens) < prompt)
    return inside


def visible_by_layer(
    anatomy: Anatomy, request: Request, rows: Int[np.ndarray, " row"], tokens: int
) -> Bool[np.ndarray, "row layer token"]:
    """The keys that rows see in each layer of the attention that is explained."""
    layers = len(anatomy.blocks)
    if anatomy.cross_attention:
        return np.broadcast_to(not_padding(request, tokens), (len(rows), layers, tokens)).copy()
    windows: Sequence[int | None] = anatomy.windows or (None,) * layers
    known = {
        window: visible(request, rows, tokens, window=window, prefix=anatomy.prefix) & not_padding(request, tokens)
        for window in set(windows)
    }
    return np.stack([known[window] for window in windows], 1)
