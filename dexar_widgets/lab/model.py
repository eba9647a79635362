"""Fresh embedded models: configuration, initialisation and processor. Real transformers classes, small numbers."""

import torch
from torch import nn
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from dexar_widgets.lab.recipes import Recipe
from dexar_widgets.lab.tokens import build_tokenizer
from dexar_widgets.lab.world import MODEL_SIZE

__all__ = ["IMAGE_MEAN", "IMAGE_STD", "PATCH", "build_llava"]

PATCH = 8
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


def build_llava(recipe: Recipe) -> tuple[LlavaForConditionalGeneration, LlavaProcessor]:
    """A LLaVA of 1.3 million parameters: CLIP tower with 12 × 12 patches, Llama decoder."""
    tokenizer = build_tokenizer()
    torch.manual_seed(recipe.seed)
    model = LlavaForConditionalGeneration(_llava_config(tokenizer))
    _initialise(model)
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    processor = LlavaProcessor(
        image_processor=_image_processor(),
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    )
    return model, processor


def _llava_config(tokenizer: PreTrainedTokenizerFast) -> LlavaConfig:
    vision = CLIPVisionConfig(
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=3,
        num_attention_heads=4,
        image_size=MODEL_SIZE,
        patch_size=PATCH,
        projection_dim=128,
        hidden_act="gelu",
    )
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=512,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=True,
    )
    return LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=int(tokenizer.get_vocab()["<image>"]),
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        image_seq_length=(MODEL_SIZE // PATCH) ** 2,
        tie_word_embeddings=True,
    )


def _image_processor() -> CLIPImageProcessorPil:
    side = {"height": MODEL_SIZE, "width": MODEL_SIZE}
    return CLIPImageProcessorPil(
        size=side, do_center_crop=False, crop_size=side, image_mean=[IMAGE_MEAN] * 3, image_std=[IMAGE_STD] * 3
    )


def _initialise(model: nn.Module) -> None:
    """Weights of variance 1 / fan-in, residual branches halved: the library's 0.02 is for far wider models."""
    for name, weight in model.named_parameters():
        if "position_embedding" in name:
            nn.init.normal_(weight, std=0.3)
        elif "embed_tokens" in name:
            nn.init.normal_(weight, std=0.06)
        elif weight.dim() >= 2:
            nn.init.normal_(weight, std=weight[0].numel() ** -0.5)
        if name.endswith(("o_proj.weight", "down_proj.weight", "out_proj.weight", "fc2.weight")):
            weight.data.mul_(0.5)
