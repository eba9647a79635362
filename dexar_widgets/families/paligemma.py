"""PaliGemma 1 and 2: a SigLIP tower, a linear projector, a Gemma or Gemma 2 decoder.

Image and prompt form a prefix that sees itself in both directions; the answer is causal. The
processor puts BOS behind the image and a newline behind the prompt. A checkpoint whose text model
is Gemma 2 is PaliGemma 2: sliding windows in every other layer, soft-capped logits.
"""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from tokenizers import pre_tokenizers
from torch import Tensor
from transformers import (
    Gemma2Config,
    GemmaConfig,
    GemmaTokenizer,
    GenerationConfig,
    PaliGemmaConfig,
    PaliGemmaForConditionalGeneration,
    PaliGemmaProcessor,
    SiglipImageProcessorPil,
    SiglipVisionConfig,
)

from dexar_widgets.families import Anatomy, Prompt
from dexar_widgets.families._grids import covered_box, image_layout
from dexar_widgets.families._tiny import byte_tokens, learned, only_words, seeded, word_by_word
from dexar_widgets.families._verification import HOW_TO_ADD, check_fields, check_type
from dexar_widgets.types import Grid, TokenLayout

MODEL_TYPES = ("paligemma",)
CHECKPOINTS = ("google/paligemma-3b-pt-224", "google/paligemma2-3b-pt-224")
REDIRECTS: Mapping[str, str] = {}
DEFAULT_PROMPT = "Cap."


def verify(config: Any) -> None:
    """Raise `ValueError` for any configuration field whose value was not verified."""
    vision, text = config.vision_config, config.text_config
    check_type(vision, where="vision_config.model_type", verified=("siglip_vision_model",))
    check_type(text, where="text_config.model_type", verified=("gemma", "gemma2"))
    check_fields(
        config,
        where="config",
        verified={},
        harmless=("vision_config", "text_config", "image_token_index", "projection_dim"),
    )
    check_fields(
        vision,
        where="vision_config",
        verified={},
        harmless=("image_size", "patch_size", "vision_use_head", "projector_hidden_act"),
    )
    verified: dict[str, tuple[Any, ...]] = {"use_bidirectional_attention": (True,)}
    harmless = ("query_pre_attn_scalar", "sliding_window", "attn_logit_softcapping", "final_logit_softcapping")
    if text.model_type == "gemma2":
        verified["layer_types"] = ("sliding_attention", "full_attention")
    check_fields(text, where="text_config", verified=verified, harmless=harmless)
    _grid_size(config)


def repair(processor: Any, config: Any) -> None:
    """Raise `ValueError` if the processor's image tokens are not those of the model."""
    rows, cols = _grid_size(config)
    if processor.image_seq_length != rows * cols or processor.image_token_id != config.image_token_id:
        raise ValueError(
            f"The processor writes {processor.image_seq_length} image tokens of id {processor.image_token_id} but the model "
            f"reads {rows}×{cols} = {rows * cols} of id {config.image_token_id}; do model and processor belong together?"
        )


def prompt(processor: Any, prompt: str | None) -> Prompt:
    """The user's text as it is, behind the image; verbatim if it already holds the image placeholder."""
    text = DEFAULT_PROMPT if prompt is None else prompt
    placeholder = processor.image_token
    if not text.replace(placeholder, "").strip():
        raise ValueError(
            "The prompt is empty; give a task such as 'caption en', or leave it out for the default 'Cap.'."
        )
    if text.count(placeholder) > 1:
        raise ValueError(
            f"The prompt holds {text.count(placeholder)} image placeholders {placeholder!r}; expected one."
        )
    return Prompt(text if placeholder in text else placeholder + text)


def anatomy(model: Any) -> Anatomy:
    """Where things are in a PaliGemma model: the decoder's self-attention is explained."""
    decoder = model.model.language_model
    attentions = tuple(layer.self_attn for layer in decoder.layers)
    return Anatomy(
        decoder=model.model,
        blocks=tuple(decoder.layers),
        attentions=attentions,
        projections=tuple(attention.o_proj for attention in attentions),
        heads=model.config.text_config.num_attention_heads,
        final_norm=decoder.norm,
        unembedding=model.lm_head,
        softcap=getattr(model.config.text_config, "final_logit_softcapping", None),
        vision_tower=model.model.vision_tower,
    )


def layout(model: Any, processor: Any, inputs: Mapping[str, Tensor], size: tuple[int, int]) -> TokenLayout:
    """What stands at each position of the prompt; the newline behind it is template."""
    rows, cols = _grid_size(model.config)
    patch = model.config.vision_config.patch_size
    height, width = inputs["pixel_values"].shape[-2:]
    if (height // patch, width // patch) != (rows, cols):
        raise ValueError(
            f"The processor gave {width}×{height} pixels, {height // patch}×{width // patch} patches, but the vision tower "
            f"expects a {rows}×{cols} grid; is the processor of another checkpoint?"
        )
    seen = (cols * patch, rows * patch)
    box = covered_box(processor.image_processor, size, processed=(width, height), seen=seen)
    ids = inputs["input_ids"][0].cpu().numpy()
    return image_layout(
        processor.tokenizer, ids, image_id=model.config.image_token_id, grid=Grid(rows, cols, box, size)
    )


def tiny(
    *, seed: int = 0, version: Literal[1, 2] = 1, layers: int = 4, sliding_window: int = 16
) -> tuple[PaliGemmaForConditionalGeneration, PaliGemmaProcessor]:
    """A model with random weights and a 4×4 grid; version 2 has a window in every other layer and soft-caps."""
    tokenizer, pieces = _tiny_tokenizer()
    images = SiglipImageProcessorPil(size={"height": 32, "width": 32})
    images.image_seq_length = 16
    processor = PaliGemmaProcessor(images, tokenizer)
    sizes = {
        "vocab_size": -(-len(tokenizer) // 64) * 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": layers,
        "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 8, "max_position_embeddings": 512,
        "initializer_range": 0.2,
    }  # fmt: skip
    text = (
        GemmaConfig(**sizes)
        if version == 1
        else Gemma2Config(**{**sizes, "num_key_value_heads": 2}, query_pre_attn_scalar=8, sliding_window=sliding_window)
    )
    tower = SiglipVisionConfig(
        hidden_size=24, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=32, patch_size=8,
        vision_use_head=False,
    )  # fmt: skip
    config = PaliGemmaConfig(
        vision_config=tower,
        text_config=text,
        image_token_index=tokenizer.image_token_id,
        projection_dim=32,
        hidden_size=32,
        vocab_size=sizes["vocab_size"],
    )
    with seeded(seed):
        model = PaliGemmaForConditionalGeneration(config).eval()
    with torch.no_grad():  # tied to the unembedding: at full size each answer would repeat its last token
        model.get_input_embeddings().weight *= 0.05
    only_words(model, pieces, first=tokenizer.convert_tokens_to_ids(pieces[0]))
    model.generation_config = GenerationConfig(bos_token_id=2, eos_token_id=1, pad_token_id=0)
    return model, processor


def _tiny_tokenizer() -> tuple[GemmaTokenizer, list[str]]:
    pieces, merges = learned(word_by_word(pre_tokenizers.Metaspace(prepend_scheme="never")), size=180)
    tokens = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *byte_tokens()]
    tokenizer = GemmaTokenizer(
        vocab={token: index for index, token in enumerate([*tokens, *pieces])},
        merges=merges,
        extra_special_tokens={"image_token": "<image>"},
    )
    return tokenizer, pieces


def _grid_size(config: Any) -> tuple[int, int]:
    image, patch = config.vision_config.image_size, config.vision_config.patch_size
    if not isinstance(image, int) or not isinstance(patch, int):
        raise ValueError(
            f"vision_config.image_size is {image!r} and patch_size {patch!r}; verified are square ones. {HOW_TO_ADD}"
        )
    return image // patch, image // patch
