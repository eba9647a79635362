"""Model families: one file each, holding everything the project knows about it.

A family is a plain module that has the names of `Family`; `plugins` finds it by scanning this
folder (third parties: entry point group ``dexar_widgets.families``). Nothing outside the file
may know a module path, a special id or a grid of the family.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dexar_widgets.types import TokenLayout

__all__ = ["Anatomy", "Family", "Prompt", "Stack", "SublayerKind", "identity", "last_hidden_state"]


def identity(hidden: torch.Tensor) -> torch.Tensor:
    """The final norm of a post-norm decoder."""
    return hidden


def last_hidden_state(output: Any) -> torch.Tensor:
    """One feature per patch, from a vision tower that gives exactly those."""
    return torch.as_tensor(getattr(output, "last_hidden_state", output)).flatten(0, 1)


SublayerKind = Literal["encoder", "self", "cross"]
"""Attention among the encoder's tokens, among the decoder's, or from the decoder to the encoder's output."""


@dataclass(frozen=True)
class Stack:
    """Blocks one above the other, each with an attention module and its output projection."""

    blocks: tuple[nn.Module, ...]
    attentions: tuple[nn.Module, ...]
    projections: tuple[nn.Module, ...]


@dataclass(frozen=True)
class Anatomy:
    """Where the engine finds what it needs inside one loaded model (all tuples: one entry per layer)."""

    decoder: nn.Module
    """The module to call for hidden states (``model.model``); its inputs come from `prepare_inputs_for_generation`."""
    reader: nn.Module
    """The stack in which the image's tokens stand among the text's; it takes both, merged, as ``inputs_embeds``."""
    blocks: tuple[nn.Module, ...]
    """Decoder blocks; a block's output, or the first element of it, is the hidden state."""
    attentions: tuple[nn.Module, ...]
    """The attention modules whose rows are explained: self-attention, or cross-attention."""
    projections: tuple[nn.Module, ...]
    """Their output projections: the input is the concatenated head outputs."""
    heads: int
    final_norm: Callable[[Float[Tensor, "... hidden"]], Float[Tensor, "... hidden"]]
    """Applied once before the unembedding; the identity for post-norm decoders."""
    unembedding: nn.Module
    """The linear map from normed hidden states to logits."""
    softcap: float | None
    """Final logit soft-capping: logit = cap · tanh(logit / cap)."""
    vision_tower: nn.Module
    """The module whose output holds one feature per patch (patch norms are read there)."""
    patch_features: Callable[[Any], Float[Tensor, "patch feature"]] = last_hidden_state
    """From the vision tower's output to one feature per cell, in the order of the image tokens (no class token)."""
    windows: tuple[int | None, ...] = ()
    """Sliding window of each layer: row i sees keys i − window < j ≤ i. None sees all; () is None everywhere."""
    prefix: bool = False
    """True where the prompt's positions see one another both ways, also beyond a layer's window."""
    cross_attention: bool = False
    """True where the image is read through cross-attention to an encoder."""
    encoder: Stack | None = None
    """Under cross-attention: the encoder whose output is read."""
    own: Stack | None = None
    """Under cross-attention: the decoder's blocks with their self-attention."""

    @property
    def visual_blocks(self) -> tuple[nn.Module, ...]:
        """The blocks that the image's tokens pass through."""
        return self.blocks if self.encoder is None else self.encoder.blocks

    def sublayers(self) -> list[tuple[SublayerKind, nn.Module, nn.Module]]:
        """Every attention between the merged input and the logits: its kind, its module and its output projection."""
        explained: SublayerKind = "cross" if self.cross_attention else "self"
        found = [(explained, *pair) for pair in zip(self.attentions, self.projections, strict=True)]
        if not self.cross_attention:
            return found
        if self.encoder is None or self.own is None:
            raise ValueError("The family's anatomy names neither encoder= nor own=, which this method passes through.")
        below: list[tuple[SublayerKind, Stack]] = [("encoder", self.encoder), ("self", self.own)]
        return [
            *((kind, *pair) for kind, of in below for pair in zip(of.attentions, of.projections, strict=True)),
            *found,
        ]


@dataclass(frozen=True)
class Prompt:
    """The text handed to the processor, and sentences the user should read about it."""

    text: str
    notices: tuple[str, ...] = ()


class Family(Protocol):
    """What a family module provides."""

    MODEL_TYPES: tuple[str, ...]
    """Values of ``config.model_type``."""
    CHECKPOINTS: tuple[str, ...]
    """Hub names this family was written for; the first is the paper's."""
    REDIRECTS: Mapping[str, str]
    """Hub names whose weights live elsewhere in native form, with that name."""
    DEFAULT_PROMPT: str
    """The paper's prompt (appendix B)."""

    def verify(self, config: Any) -> None:
        """Raise `ValueError` for any configuration field whose value was not verified."""

    def repair(self, processor: Any, config: Any) -> None:
        """Complete what older processor configurations lack, or raise `ValueError`."""

    def prompt(self, processor: Any, prompt: str | None) -> Prompt:
        """The processor's text for a user's prompt; None is `DEFAULT_PROMPT`."""

    def anatomy(self, model: Any) -> Anatomy:
        """Where things are in this model."""

    def layout(self, model: Any, processor: Any, inputs: Mapping[str, Tensor], size: tuple[int, int]) -> TokenLayout:
        """What stands at each key position of the prompt; ``size`` is the original image's (width, height)."""

    def tiny(self, *, seed: int = 0) -> tuple[Any, Any]:
        """A model and processor built from configuration: random weights, no download, CPU seconds."""
