"""PaliGemma 1 and 2: a SigLIP tower, a linear projector, a Gemma or Gemma 2 decoder.

Image and prompt form a prefix that sees itself in both directions; the answer is causal. The
processor puts BOS behind the image and a newline behind the prompt. A checkpoint whose text model
is Gemma 2 is PaliGemma 2: sliding windows in every other layer, soft-capped logits.
"""

from collections.abc import Mapping
from typing import Any, Literal

from tokenizers import pre_tokenizers
from torch import Tensor
from transformers import (
    Gemma2Config,
    GemmaConfig,
    GemmaTokenizer,
    PaliGemmaConfig,
    PaliGemmaForConditionalGeneration,
    PaliGemmaProcessor,
    SiglipImageProcessorPil,
    SiglipVisionConfig,
)

from dexar_widgets.families import Anatomy, Prompt
from dexar_widgets.families._grids import image_layout, patch_grid, patch_rows_cols
from dexar_widgets.families._tiny import BYTES, random_model, vocabulary
from dexar_widgets.families._verification import check_fields, check_type
from dexar_widgets.types import TokenLayout

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
    patch_rows_cols(config.vision_config)


def repair(processor: Any, config: Any) -> None:
    """Raise `ValueError` if the processor's image tokens are not those of the model."""
    rows, cols = patch_rows_cols(config.vision_config)
    if processor.image_seq_length != rows * cols or processor.image_token_id != config.image_token_id:
        raise ValueError(
            f"The processor writes {processor.image_seq_length} image tokens of id {processor.image_token_id} but the "
            f"model reads {rows}×{cols} = {rows * cols} of id {config.image_token_id}; do they belong together?"
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
    text, decoder = model.config.text_config, model.model.language_model
    attentions = tuple(layer.self_attn for layer in decoder.layers)
    kinds = getattr(text, "layer_types", None) or ("full_attention",) * len(attentions)
    return Anatomy(
        decoder=model.model,
        reader=decoder,
        blocks=tuple(decoder.layers),
        attentions=attentions,
        projections=tuple(attention.o_proj for attention in attentions),
        heads=text.num_attention_heads,
        final_norm=decoder.norm,
        unembedding=model.lm_head,
        softcap=getattr(text, "final_logit_softcapping", None),
        vision_tower=model.model.vision_tower,
        windows=tuple(text.sliding_window if kind == "sliding_attention" else None for kind in kinds),
        prefix=True,
    )


def layout(model: Any, processor: Any, inputs: Mapping[str, Tensor], size: tuple[int, int]) -> TokenLayout:
    """What stands at each position of the prompt; the newline behind it is template."""
    grid = patch_grid(model.config.vision_config, processor.image_processor, inputs["pixel_values"], size)
    ids = inputs["input_ids"][0].cpu().numpy()
    return image_layout(processor.tokenizer, ids, image_id=model.config.image_token_id, grid=grid)


def tiny(
    *, seed: int = 0, version: Literal[1, 2] = 1, layers: int = 4, sliding_window: int = 16
) -> tuple[PaliGemmaForConditionalGeneration, PaliGemmaProcessor]:
    """A model with random weights and a 4×4 grid; version 2 has a window in every other layer and soft-caps."""
    tokens = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *BYTES]
    vocab, merges, words = vocabulary(tokens, pre_tokenizers.Metaspace(prepend_scheme="never"), size=180)
    tokenizer: Any = GemmaTokenizer(vocab=vocab, merges=merges, extra_special_tokens={"image_token": "<image>"})
    images: Any = SiglipImageProcessorPil(size={"height": 32, "width": 32})
    images.image_seq_length = 16
    processor = PaliGemmaProcessor(images, tokenizer)
    size = -(-len(tokenizer) // 64) * 64
    sizes: dict[str, Any] = {
        "vocab_size": size, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": layers,
        "num_attention_heads": 4, "head_dim": 8, "max_position_embeddings": 512, "initializer_range": 0.2,
    }  # fmt: skip
    second: dict[str, Any] = {"num_key_value_heads": 2, "query_pre_attn_scalar": 8, "sliding_window": sliding_window}
    config = PaliGemmaConfig(
        vision_config=SiglipVisionConfig(
            hidden_size=24, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=32,
            patch_size=8, vision_use_head=False,
        ),
        text_config=GemmaConfig(**sizes, num_key_value_heads=1) if version == 1 else Gemma2Config(**sizes, **second),
        image_token_index=tokenizer.image_token_id,
        projection_dim=32,
        hidden_size=32,
        vocab_size=size,
    )  # fmt: skip
    generation = {"bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0}
    model = random_model(PaliGemmaForConditionalGeneration, config, seed=seed, words=words, generation=generation)
    return model, processor
