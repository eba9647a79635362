"""How each family's model reads a packed batch: the only place where training knows a model's parts.

Each answers with the hidden states in front of the unembedding, aligned with `Batch.labels`.
"""

from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn
from torch.nn import functional

from dexar_widgets.lab.attention import Watch
from dexar_widgets.lab.batches import Batch
from dexar_widgets.lab.templates import Packer

__all__ = ["DecoderOnly", "EncoderDecoder", "Pass", "pass_of", "there"]

_BLOCKED = -3e4


class Pass(Protocol):
    """A model in training, seen as two functions."""

    vision: nn.Module
    width: int

    def features(self, pixels: Float[Tensor, "scene 3 height width"]) -> Float[Tensor, "scene patch feature"]:
        """What the vision tower hands to the projector."""
        ...

    def hidden(
        self, features: Float[Tensor, "scene patch feature"], batch: Batch, watch: Watch | None = None
    ) -> Float[Tensor, "answer word embedding"]:
        """The states that predict the next token of each answer row."""
        ...


def there(array: Shaped[np.ndarray, "..."], like: Tensor) -> Tensor:
    """A batch's array as a tensor on the device of another."""
    return torch.from_numpy(array).to(like.device)


def pass_of(model: Any, packer: Packer) -> Pass:
    """The pass of a model, by its architecture."""
    return EncoderDecoder(model, packer) if packer.template.encoder else DecoderOnly(model, packer)


class DecoderOnly:
    """LLaVA, BakLLaVA and PaliGemma: the image's tokens stand in front of the text."""

    def __init__(self, model: Any, packer: Packer) -> None:
        self._model = model.model
        self._packer = packer
        self._causal = not packer.template.both_ways
        self.vision = self._model.vision_tower
        self.width: int = model.config.vision_config.hidden_size

    def features(self, pixels: Float[Tensor, "scene 3 height width"]) -> Float[Tensor, "scene patch feature"]:
        """Patch features: without CLS as LLaVA drops it, normed as SigLIP's are in PaliGemma."""
        if self._causal:
            states: Tensor = self.vision(pixels, output_hidden_states=True).hidden_states[-1]
            return states[:, 1:]
        normed: Tensor = self.vision(pixels).last_hidden_state
        return normed

    def hidden(
        self, features: Float[Tensor, "scene patch feature"], batch: Batch, watch: Watch | None = None
    ) -> Float[Tensor, "answer word embedding"]:
        """The decoder's states on every row."""
        image = self._model.multi_modal_projector(features)
        words = self._model.get_input_embeddings()(there(batch.ids, features))
        embedded = _with_image(words, image, batch, self._packer)
        seen = self._model.language_model(
            inputs_embeds=embedded,
            attention_mask=self._mask(batch).to(features.device),
            position_ids=there(batch.positions, features) + int(not self._causal),  # PaliGemma counts from 1
            use_cache=False,
            shared_prefix=0 if batch.single else len(self._packer.prefix),
            watch=watch,
        )
        hidden: Tensor = seen.last_hidden_state
        return hidden

    def _mask(self, batch: Batch) -> Float[Tensor, "row 1 token token"]:
        seen = np.tri(batch.ids.shape[1], dtype=bool)[None]
        if not self._causal:
            seen = seen | (batch.prompt[:, :, None] & batch.prompt[:, None, :])
        return _additive(seen & _own(batch))


class EncoderDecoder:
    """Florence-2: an encoder reads image and questions, a decoder answers each question in a row of its own."""

    def __init__(self, model: Any, packer: Packer) -> None:
        self._model = model.model
        self._packer = packer
        self.vision = self._model.vision_tower
        self.width: int = model.config.vision_config.embed_dim[-1]

    def features(self, pixels: Float[Tensor, "scene 3 height width"]) -> Float[Tensor, "scene patch feature"]:
        """The grid of the last stage, row by row."""
        grid: Tensor = self.vision(pixels).last_hidden_state
        return grid.flatten(2).transpose(1, 2)

    def hidden(
        self, features: Float[Tensor, "scene patch feature"], batch: Batch, watch: Watch | None = None
    ) -> Float[Tensor, "answer word embedding"]:
        """The decoder's states on every answer; its attention to itself is not watched."""
        if watch is not None:
            raise NotImplementedError("Attention is watched in decoder-only models.")
        side = int(features.shape[1] ** 0.5)
        image = self._model.multi_modal_projector(features.transpose(1, 2).unflatten(2, (side, side)))
        encoder, decoder = self._model.language_model.encoder, self._model.language_model.decoder
        embedded = _with_image(encoder.embed_tokens(there(batch.ids, features)), image, batch, self._packer)
        read = encoder(
            inputs_embeds=embedded + self._shift(encoder, batch).to(embedded.dtype),
            attention_mask=_additive(_own(batch)).to(features.device),
            shared_prefix=0 if batch.single else len(self._packer.prefix),
        ).last_hidden_state
        row = there(batch.answer_row, features)
        readable = (batch.segment[batch.answer_row] == 0) | (
            batch.segment[batch.answer_row] == batch.answer_segment[:, None]
        )
        length = batch.answers.shape[1]
        said = decoder(
            input_ids=there(batch.answers, features),
            attention_mask=_additive(np.tri(length, dtype=bool)[None]).to(features.device).expand(len(row), -1, -1, -1),
            encoder_hidden_states=read[row],
            encoder_attention_mask=_additive(readable[:, None].repeat(length, 1)).to(features.device),
            use_cache=False,
        )
        hidden: Tensor = said.last_hidden_state
        return hidden

    @staticmethod
    def _shift(encoder: Any, batch: Batch) -> Float[Tensor, "row token embedding"]:
        """What turns the encoder's own position embeddings, which count along the row, into those of the segments."""
        table, offset = encoder.embed_positions.weight, encoder.embed_positions.offset
        right = functional.embedding(there(batch.positions, table) + offset, table)
        shift: Tensor = right - table[offset : offset + batch.ids.shape[1]]
        return shift


def _with_image(
    embedded: Float[Tensor, "row token embedding"],
    image: Float[Tensor, "scene patch embedding"],
    batch: Batch,
    packer: Packer,
) -> Float[Tensor, "row token embedding"]:
    first, after = packer.first_image, packer.first_image + image.shape[1]
    shown = image.to(embedded.dtype)[there(batch.scene, image)]
    return torch.cat([embedded[:, :first], shown, embedded[:, after:]], 1)


def _own(batch: Batch) -> Bool[np.ndarray, "row token token"]:
    """Which tokens belong together: a segment and the prefix; in rows of one segment the prefix sees it too."""
    query, key = batch.segment[:, :, None], batch.segment[:, None, :]
    together: Bool[np.ndarray, "row token token"] = (query == key) | (key == 0)
    if batch.single:
        together |= (query == 0) & (key > 0)
    return together


def _additive(seen: Bool[np.ndarray, "row query key"]) -> Float[Tensor, "row 1 query key"]:
    mask = torch.zeros(seen.shape, dtype=torch.bfloat16).masked_fill_(torch.from_numpy(~seen), _BLOCKED)
    return mask[:, None]
