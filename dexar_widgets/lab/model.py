"""Fresh embedded models: configuration, initialisation and processor. Real transformers classes, small numbers."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from transformers import (
    BartConfig,
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    Florence2Config,
    Florence2ForConditionalGeneration,
    Florence2Processor,
    Florence2VisionConfig,
    GemmaConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    MistralConfig,
    PaliGemmaConfig,
    PaliGemmaForConditionalGeneration,
    PaliGemmaProcessor,
    PreTrainedTokenizerFast,
    SiglipImageProcessorPil,
    SiglipVisionConfig,
)

from dexar_widgets.lab.recipes import Recipe
from dexar_widgets.lab.templates import GRID, PATCH
from dexar_widgets.lab.tokens import build_tokenizer
from dexar_widgets.lab.world import MODEL_SIZE

__all__ = ["CHAT_TEMPLATE", "IMAGE_MEAN", "IMAGE_STD", "build", "llava_processor"]

IMAGE_MEAN = 0.5
IMAGE_STD = 0.25

CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}USER: "
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>\n{% endif %}{% endfor %}"
    "{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}"
    "{% else %} ASSISTANT: "
    "{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}"
    "{{ eos_token }}"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %} ASSISTANT:{% endif %}"
)

_WIDTH = 128
_DECODER: dict[str, Any] = {
    "hidden_size": _WIDTH,
    "intermediate_size": 256,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
}
_TOWER: dict[str, Any] = {
    "hidden_size": _WIDTH,
    "intermediate_size": 384,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "image_size": MODEL_SIZE,
    "patch_size": PATCH,
    "hidden_act": "gelu",
}


def build(recipe: Recipe) -> tuple[Any, Any]:
    """A fresh model of the recipe's family, of 1 to 2 million parameters, and its processor."""
    tokenizer = build_tokenizer()
    model, processor = _BUILDERS[recipe.family](tokenizer, recipe.seed)
    _initialise(model)
    settings = model.generation_config
    settings.bos_token_id, settings.eos_token_id = tokenizer.bos_token_id, tokenizer.eos_token_id
    settings.pad_token_id = tokenizer.pad_token_id
    return model, processor


def _special(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def _image_id(tokenizer: PreTrainedTokenizerFast) -> int:
    return int(tokenizer.get_vocab()["<image>"])


def _llava(tokenizer: PreTrainedTokenizerFast, seed: int) -> tuple[LlavaForConditionalGeneration, LlavaProcessor]:
    """CLIP tower with 12 × 12 patches, Llama decoder."""
    return _llava_type(tokenizer, seed, LlamaConfig(**_DECODER, **_special(tokenizer)))


def _bakllava(tokenizer: PreTrainedTokenizerFast, seed: int) -> tuple[LlavaForConditionalGeneration, LlavaProcessor]:
    """The same with a Mistral decoder, whose key and value heads serve two query heads each."""
    text = MistralConfig(**_DECODER, **_special(tokenizer), num_key_value_heads=2, sliding_window=None)
    return _llava_type(tokenizer, seed, text)


def _llava_type(
    tokenizer: PreTrainedTokenizerFast, seed: int, text: LlamaConfig | MistralConfig
) -> tuple[LlavaForConditionalGeneration, LlavaProcessor]:
    torch.manual_seed(seed)
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**_TOWER, projection_dim=_WIDTH),
        text_config=text,
        image_token_index=_image_id(tokenizer),
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        image_seq_length=GRID**2,
        tie_word_embeddings=True,
    )
    return LlavaForConditionalGeneration(config), llava_processor(tokenizer)


def llava_processor(tokenizer: PreTrainedTokenizerFast) -> LlavaProcessor:
    """The processor of a LLaVA-type model of the lab."""
    side = {"height": MODEL_SIZE, "width": MODEL_SIZE}
    return LlavaProcessor(
        image_processor=CLIPImageProcessorPil(**_images(), do_center_crop=False, crop_size=side),
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    )


def _images() -> dict[str, Any]:
    return {
        "size": {"height": MODEL_SIZE, "width": MODEL_SIZE},
        "resample": 3,  # bicubic
        "image_mean": [IMAGE_MEAN] * 3,
        "image_std": [IMAGE_STD] * 3,
    }


def _paligemma(
    tokenizer: PreTrainedTokenizerFast, seed: int
) -> tuple[PaliGemmaForConditionalGeneration, PaliGemmaProcessor]:
    """SigLIP tower, Gemma decoder with one key and value head, a prefix that sees itself in both directions."""
    images: Any = SiglipImageProcessorPil(**_images())
    images.image_seq_length = GRID**2
    processor = PaliGemmaProcessor(images, tokenizer)  # adds its location tokens to the tokenizer
    torch.manual_seed(seed)
    config = PaliGemmaConfig(
        vision_config=SiglipVisionConfig(**_TOWER, vision_use_head=False),
        text_config=GemmaConfig(**_DECODER, **_special(tokenizer), num_key_value_heads=1, head_dim=_WIDTH // 4),
        image_token_index=_image_id(tokenizer),
        projection_dim=_WIDTH,
        hidden_size=_WIDTH,
        vocab_size=len(tokenizer),
        tie_word_embeddings=True,
    )
    return PaliGemmaForConditionalGeneration(config), processor


def _florence2(
    tokenizer: PreTrainedTokenizerFast, seed: int
) -> tuple[Florence2ForConditionalGeneration, Florence2Processor]:
    """DaViT tower of two stages, BART encoder and decoder."""
    images: Any = CLIPImageProcessorPil(**_images(), do_center_crop=False)
    images.image_seq_length = 1 + GRID**2
    torch.manual_seed(seed)
    special = _special(tokenizer)
    config = Florence2Config(
        vision_config=Florence2VisionConfig(
            depths=(1, 2), patch_size=(7, 3), patch_stride=(4, 2), patch_padding=(3, 1), patch_prenorm=(False, True),
            embed_dim=(64, _WIDTH), num_heads=(2, 4), num_groups=(2, 4), window_size=GRID, mlp_ratio=3.0,
            projection_dim=_WIDTH, drop_path_rate=0.0,
        ),
        text_config=BartConfig(
            **special, d_model=_WIDTH, encoder_layers=2, decoder_layers=4, encoder_attention_heads=4,
            decoder_attention_heads=4, encoder_ffn_dim=256, decoder_ffn_dim=256, max_position_embeddings=512,
            dropout=0.0, attention_dropout=0.0, activation_dropout=0.0, tie_word_embeddings=True,
            decoder_start_token_id=special["eos_token_id"], forced_eos_token_id=None,
        ),
        image_token_id=_image_id(tokenizer),
        tie_word_embeddings=True,
    )  # fmt: skip
    model = Florence2ForConditionalGeneration(config)
    model.generation_config.decoder_start_token_id = special["eos_token_id"]
    model.generation_config.forced_eos_token_id = None
    return model, Florence2Processor(images, tokenizer)


_BUILDERS: dict[str, Callable[[PreTrainedTokenizerFast, int], tuple[Any, Any]]] = {
    "llava": _llava,
    "bakllava": _bakllava,
    "paligemma": _paligemma,
    "florence2": _florence2,
}


def _initialise(model: nn.Module) -> None:
    """Weights of variance 1 / fan-in, residual branches halved: the library's 0.02 is for far wider models."""
    for name, weight in model.named_parameters():
        if "position_embedding" in name or "row_embeddings" in name or "column_embeddings" in name:
            nn.init.normal_(weight, std=0.3)
        elif "embed_positions" in name or "embed_tokens" in name or name == "model.language_model.shared.weight":
            nn.init.normal_(weight, std=0.06)
        elif weight.dim() >= 2:
            nn.init.normal_(weight, std=weight[0].numel() ** -0.5)
        if name.endswith(("o_proj.weight", "down_proj.weight", "out_proj.weight", "fc2.weight", "attn.proj.weight")):
            weight.data.mul_(0.5)
