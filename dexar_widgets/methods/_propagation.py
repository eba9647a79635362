"""From a row of the last layer down to the image, one attention at a time: rollout, CheferCAM and IIA share it.

A relevance matrix over all tokens is never formed. The row that predicts a word is a vector over the decoder's tokens,
and each attention, taken from the top, moves part of it: r ← r + r·M (R ← R + M·R of the matrix form, read row by
row). Decoder and encoder count as one set of tokens, so that cross-attention is attention from one part of it to the
other: its M moves relevance from the decoder's vector to the encoder's, and nothing has to be said about it apart.
"""

from collections.abc import Iterable

import torch
from jaxtyping import Float, Float32
from torch import Tensor

from dexar_widgets.families import SublayerKind

__all__ = ["propagate", "starts"]


def propagate(
    start: Float[Tensor, "step row"],
    maps: Iterable[tuple[SublayerKind, Float32[Tensor, "_row _token"]]],
    *,
    normalise: bool,
) -> Float[Tensor, "step token"]:
    """What reaches the tokens among which the image stands: the encoder's, or the decoder's own.

    Parameters
    ----------
    start
        A weight per row of the decoder.
    maps
        The attention, or whatever stands for it, of each sublayer, from the top down.
    normalise
        Rows of M + I are scaled to sum 1, as rollout has it.
    """
    decoder = start.float()
    encoder: Tensor | None = None
    for kind, matrix in maps:
        if kind == "encoder":
            assert encoder is not None, "cross-attention lies above every encoder's attention"
            encoder, moved = _through(encoder, matrix, normalise=normalise)
            encoder = encoder + moved
        else:
            decoder, moved = _through(decoder, matrix, normalise=normalise)
            if kind == "self":
                decoder = decoder + moved
            else:
                encoder = moved if encoder is None else encoder + moved
    return decoder if encoder is None else encoder


def _through(
    vector: Float[Tensor, "step row"], matrix: Float32[Tensor, "row token"], *, normalise: bool
) -> tuple[Float[Tensor, "step row"], Float[Tensor, "step token"]]:
    """What stays where it is, and what moves."""
    if normalise:
        vector = vector / (1 + matrix.sum(-1)).to(vector)
    return vector, vector @ matrix.to(vector)


def starts(rows: Tensor, count: int) -> Float[Tensor, "step row"]:
    """One start per row: that row alone."""
    return torch.eye(count, device=rows.device)[rows]
