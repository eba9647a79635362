"""Florence-2: a DaViT tower, a projector, a BART encoder and decoder.

Image features and prompt go through the encoder together; the decoder reads the encoder's output
by cross-attention, which is what is explained (appendix D of the paper). The first image feature
is the mean over the grid: it belongs to the image but to no cell.
"""

from collections.abc import Mapping
from typing import Any

from jaxtyping import Float
from tokenizers import pre_tokenizers
from torch import Tensor
from transformers import (
    BartConfig,
    BartTokenizer,
    CLIPImageProcessorPil,
    Florence2Config,
    Florence2ForConditionalGeneration,
    Florence2Processor,
    Florence2VisionConfig,
)

from dexar_widgets.families import Anatomy, Prompt, Stack, identity
from dexar_widgets.families._grids import covered_box, image_layout
from dexar_widgets.families._tiny import random_model, vocabulary
from dexar_widgets.families._verification import check_fields, check_type
from dexar_widgets.types import Grid, TokenLayout

MODEL_TYPES = ("florence2",)
CHECKPOINTS = ("microsoft/Florence-2-base", "florence-community/Florence-2-base", "florence-community/Florence-2-large")
REDIRECTS: Mapping[str, str] = {
    f"microsoft/Florence-2-{size}": f"florence-community/Florence-2-{size}"
    for size in ("base", "base-ft", "large", "large-ft")
}
DEFAULT_PROMPT = "<DETAILED_CAPTION>"

_POOLED = 1


def verify(config: Any) -> None:
    """Raise `ValueError` for any configuration field whose value was not verified."""
    vision, text = config.vision_config, config.text_config
    # Converted checkpoints keep fields of the original, "davit" and the projector's settings among them.
    check_type(vision, where="vision_config.model_type", verified=("florence_vision", "davit"))
    check_type(text, where="text_config.model_type", verified=("bart",))
    check_fields(config, where="config", verified={}, harmless=("vision_config", "text_config", "image_token_id"))
    check_fields(
        vision,
        where="vision_config",
        verified={"image_feature_source": ("spatial_avg_pool", "temporal_avg_pool")},
        harmless=(
            "depths", "dim_embed", "drop_path_rate", "embed_dim", "enable_checkpoint", "image_pos_embed", "in_channels",
            "max_pos_embeddings", "max_temporal_embeddings", "mlp_ratio", "num_groups", "num_heads", "patch_padding",
            "patch_prenorm", "patch_size", "patch_stride", "qkv_bias", "visual_temporal_embedding", "window_size",
        ),
    )  # fmt: skip
    check_fields(
        text,
        where="text_config",
        verified={"add_bias_logits": (False,), "add_final_layer_norm": (False,), "normalize_before": (False,)},
        harmless=(
            "classif_dropout", "classifier_dropout", "d_model", "decoder_attention_heads", "decoder_ffn_dim",
            "decoder_layerdrop", "decoder_layers", "dropout", "encoder_attention_heads", "encoder_ffn_dim",
            "encoder_layerdrop", "encoder_layers", "gradient_checkpointing", "init_std", "is_decoder",
            "normalize_embedding", "scale_embedding",
        ),
    )  # fmt: skip


def repair(processor: Any, config: Any) -> None:
    """Raise `ValueError` if the processor's image tokens are not those of the model."""
    size = processor.image_processor.size
    rows, cols = _grid_size(config, (size["height"], size["width"]))
    expected = rows * cols + _POOLED
    if processor.num_image_tokens != expected or processor.image_token_id != config.image_token_id:
        raise ValueError(
            f"The processor writes {processor.num_image_tokens} image tokens of id {processor.image_token_id} but the "
            f"model reads {rows}×{cols} + {_POOLED} = {expected} of id {config.image_token_id}; is it another's?"
        )


def prompt(processor: Any, prompt: str | None) -> Prompt:
    """A task token, which the processor expands; free text passes with a notice.

    The processor itself puts the image, ``<s>`` and ``</s>`` around the text, so a prompt that holds them already
    is stripped of them: the model reads exactly what was given.
    """
    text = (DEFAULT_PROMPT if prompt is None else prompt).strip()
    placeholder, tokenizer = processor.image_token, processor.tokenizer
    if text.count(placeholder) > 1:
        raise ValueError(
            f"The prompt holds {text.count(placeholder)} image placeholders {placeholder!r}; expected one."
        )
    if placeholder in text and not text.startswith(placeholder):
        raise ValueError(f"Florence-2 reads the image before any text; put {placeholder!r} first, or leave it out.")
    text = text.removeprefix(placeholder).removeprefix(tokenizer.bos_token).removesuffix(tokenizer.eos_token).strip()
    tasks = ", ".join((*processor.task_prompts_without_inputs, *processor.task_prompts_with_input))
    if not text:
        raise ValueError(
            f"The prompt is empty; give a task token ({tasks}), or leave the prompt out for {DEFAULT_PROMPT}."
        )
    for task in processor.task_prompts_without_inputs:
        if task in text and text != task:
            raise ValueError(f"The task token {task} takes no other text, but the prompt is {text!r}.")
    for task in processor.task_prompts_with_input:
        if text == task:
            raise ValueError(f"The task token {task} needs text behind it, as in {task + 'a red cup'!r}.")
    if any(task in text for task in (*processor.task_prompts_without_inputs, *processor.task_prompts_with_input)):
        return Prompt(text)
    notice = f"Florence-2 was trained on task tokens, not on free text like {text!r}; it knows {tasks}."
    return Prompt(text, (notice,))


def anatomy(model: Any) -> Anatomy:
    """Where things are in a Florence-2 model: the decoder's cross-attention is explained."""
    encoder, decoder = model.model.language_model.encoder, model.model.language_model.decoder
    attentions = tuple(layer.encoder_attn for layer in decoder.layers)
    return Anatomy(
        decoder=model.model,
        reader=encoder,
        blocks=tuple(decoder.layers),
        attentions=attentions,
        projections=tuple(attention.out_proj for attention in attentions),
        heads=model.config.text_config.decoder_attention_heads,
        final_norm=identity,  # post-norm: each block ends with its layer norm
        unembedding=model.lm_head,
        softcap=None,
        vision_tower=model.model.vision_tower,
        patch_features=_patch_features,
        cross_attention=True,
        encoder=_stack(encoder),
        own=_stack(decoder),
    )


def _stack(module: Any) -> Stack:
    attentions = tuple(layer.self_attn for layer in module.layers)
    return Stack(tuple(module.layers), attentions, tuple(attention.out_proj for attention in attentions))


def layout(model: Any, processor: Any, inputs: Mapping[str, Tensor], size: tuple[int, int]) -> TokenLayout:
    """What stands at each position of the encoder's output: the pooled feature, the grid, ``<s>``, text, ``</s>``."""
    height, width = inputs["pixel_values"].shape[-2:]
    rows, cols = _grid_size(model.config, (height, width))
    box = covered_box(processor.image_processor, size, processed=(width, height), seen=(width, height))
    ids = inputs["input_ids"][0].cpu().numpy()
    grid = Grid(rows, cols, box, size)
    return image_layout(processor.tokenizer, ids, image_id=model.config.image_token_id, grid=grid, pooled=_POOLED)


def tiny(*, seed: int = 0, layers: int = 3) -> tuple[Florence2ForConditionalGeneration, Florence2Processor]:
    """A model with random weights, a 4×4 grid and a pooled feature; it decodes with three beams, as real ones do."""
    vocab, merges, words = vocabulary(
        ["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        pre_tokenizers.ByteLevel(add_prefix_space=False),
        size=400,
        alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer: Any = BartTokenizer(vocab=vocab, merges=merges, extra_special_tokens={"image_token": "<image>"})
    images: Any = CLIPImageProcessorPil(size={"height": 32, "width": 32}, do_center_crop=False)
    images.image_seq_length = 16 + _POOLED
    config = Florence2Config(
        vision_config=Florence2VisionConfig(
            depths=(1, 1), patch_size=(7, 3), patch_stride=(4, 2), patch_padding=(3, 1), patch_prenorm=(False, True),
            embed_dim=(16, 32), num_heads=(2, 4), num_groups=(2, 4), window_size=4, projection_dim=32,
        ),
        text_config=BartConfig(
            vocab_size=-(-len(tokenizer) // 64) * 64, d_model=32, encoder_layers=2, decoder_layers=layers,
            encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=48, decoder_ffn_dim=48, init_std=0.2,
            max_position_embeddings=512,
        ),
        image_token_id=tokenizer.image_token_id,
    )  # fmt: skip
    generation = {
        "bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2, "forced_bos_token_id": 0,
        "forced_eos_token_id": 2, "num_beams": 3, "no_repeat_ngram_size": 3, "early_stopping": True,
    }  # fmt: skip
    model = random_model(Florence2ForConditionalGeneration, config, seed=seed, words=words, generation=generation)
    return model, Florence2Processor(images, tokenizer)


def _patch_features(output: Any) -> Float[Tensor, "patch feature"]:
    features: Tensor = output.last_hidden_state[0].flatten(1).T  # of (feature, row, col), in row-major order
    return features


def _grid_size(config: Any, size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns after the tower's convolutions on an image of this (height, width)."""
    vision = config.vision_config
    for kernel, stride, padding in zip(vision.patch_size, vision.patch_stride, vision.patch_padding, strict=True):
        size = ((size[0] + 2 * padding - kernel) // stride + 1, (size[1] + 2 * padding - kernel) // stride + 1)
    return size
