"""A question as the model takes it, and how it is to be answered."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Int
from PIL import Image
from torch import Tensor

from dexar_widgets import jobs
from dexar_widgets.types import Example, TokenLayout

if TYPE_CHECKING:
    from dexar_widgets.vlm import VLM

__all__ = ["Decoding", "Request", "encode", "end_ids", "forced_start", "require_room", "setting"]

_LONGEST = 50
"""Longest side in units of the shortest: CLIP's processor enlarges 20000×10 to 672000×336 pixels, before it crops."""


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """How an answer is generated; None leaves a setting as the model's own generation configuration has it.

    ``seed`` is used where the model samples. ``include_end`` makes the end token a step.
    """

    max_new_tokens: int = 64
    do_sample: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    num_beams: int | None = None
    seed: int = 0
    include_end: bool = False

    def __post_init__(self) -> None:
        for name, least in (("max_new_tokens", 1), ("num_beams", 1), ("top_k", 0), ("temperature", 0), ("top_p", 0)):
            value = getattr(self, name)
            if value is not None and (value < least or (name == "top_p" and value > 1)):
                raise ValueError(f"{name} is {value}; expected at least {least}{' and at most 1' * (name == 'top_p')}.")

    def options(self) -> dict[str, Any]:
        """The settings that were given, as ``generate`` names them."""
        names = ("max_new_tokens", "do_sample", "temperature", "top_p", "top_k", "num_beams")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


@dataclass(frozen=True, eq=False)
class Request:
    """A processed image and question, on the model's device.

    ``layout`` describes the keys: the decoder's prompt, or the encoder's tokens under cross-attention.
    ``prompt_ids`` are the decoder's prompt. ``notices`` are sentences the user should read.
    """

    inputs: Mapping[str, Tensor]
    layout: TokenLayout
    prompt_ids: Int[Tensor, "1 prompt"]
    notices: tuple[str, ...] = ()


def encode(vlm: "VLM", example: Example) -> Request:
    """Turn an image and a question into the model's inputs.

    Raises
    ------
    ValueError
        If the prompt does not fit into the model's context window, or the image is a mere strip.
    """
    prompt = vlm.family.prompt(vlm.processor, example.prompt)
    height, width, _ = example.image.shape
    if max(height, width) > _LONGEST * min(height, width):
        raise ValueError(
            f"The image is {width}×{height} pixels, a strip that a model's square input would lose or blow up; "
            f"crop it to at most {_LONGEST}:1."
        )
    with jobs.holding(vlm.lock), torch.inference_mode(False):  # noqa: FBT003 (torch takes it by position)
        batch = vlm.processor(images=Image.fromarray(example.image), text=prompt.text, return_tensors="pt")
        inputs = dict(batch.to(vlm.device, vlm.model.dtype))
        inputs.pop("labels", None)  # PaliGemma's processor adds some for training
        layout = vlm.family.layout(vlm.model, vlm.processor, inputs, (width, height))
        require_room(vlm, len(layout), "The prompt")
        if vlm.model.config.is_encoder_decoder:
            start = setting(vlm, "decoder_start_token_id")
            prompt_ids = torch.tensor([[start]], device=vlm.device)
        else:
            prompt_ids = inputs["input_ids"]
    return Request(inputs, layout, prompt_ids, prompt.notices)


def require_room(vlm: "VLM", tokens: int, what: str) -> None:
    """Raise `ValueError` if so many tokens do not fit into the context window."""
    window = getattr(vlm.model.config.get_text_config(decoder=True), "max_position_embeddings", None)
    if window is not None and tokens > window:
        raise ValueError(
            f"{what} take {tokens} tokens but the context window of {type(vlm.model).__name__} holds {window}; shorten "
            "the prompt or the answer."
        )


def setting(vlm: "VLM", name: str) -> Any:
    """A setting of generation, from where ``generate`` takes it."""
    value = getattr(vlm.model.generation_config, name, None)
    return getattr(vlm.model.config.get_text_config(decoder=True), name, None) if value is None else value


def end_ids(vlm: "VLM") -> list[int]:
    """The tokens that end an answer."""
    ends = vlm.model.generation_config.eos_token_id
    return [] if ends is None else [ends] if isinstance(ends, int) else list(ends)


def forced_start(vlm: "VLM") -> list[int]:
    """The first generated token, where it is forced."""
    first = vlm.model.generation_config.forced_bos_token_id
    return [] if first is None else [first]
