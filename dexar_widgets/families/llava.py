"""LLaVA-1.5 and BakLLaVA: a CLIP or SigLIP tower, a two-layer projector, a Llama or Mistral decoder.

The image's features replace a run of placeholder tokens anywhere in the prompt; the decoder reads
them by self-attention. A checkpoint whose text model is Mistral is BakLLaVA.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from tokenizers import pre_tokenizers
from torch import Tensor
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlamaTokenizer,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    MistralConfig,
    SiglipImageProcessorPil,
    SiglipVisionConfig,
)

from dexar_widgets.families import Anatomy, Prompt
from dexar_widgets.families._grids import image_layout, patch_grid, patch_rows_cols, token_pieces
from dexar_widgets.families._tiny import BYTES, random_model, vocabulary
from dexar_widgets.families._verification import check_fields, check_type
from dexar_widgets.types import TokenLayout

MODEL_TYPES = ("llava",)
CHECKPOINTS = ("llava-hf/llava-1.5-7b-hf", "llava-hf/bakLlava-v1-hf")
REDIRECTS: Mapping[str, str] = {}
DEFAULT_PROMPT = "USER: <image>\nClassify the image. ASSISTANT:"

_WITH_CLASS_TOKEN = ("clip_vision_model",)
_WITHOUT_CLASS_TOKEN = ("siglip_vision_model",)


def verify(config: Any) -> None:
    """Raise `ValueError` for any configuration field whose value was not verified."""
    vision, text = config.vision_config, config.text_config
    check_type(vision, where="vision_config.model_type", verified=(*_WITH_CLASS_TOKEN, *_WITHOUT_CLASS_TOKEN))
    check_type(text, where="text_config.model_type", verified=("llama", "mistral"))
    check_fields(
        config,
        where="config",
        verified={"vision_feature_select_strategy": ("default", "full")},
        harmless=(
            "vision_config", "text_config", "image_token_index", "image_seq_length", "projector_hidden_act",
            "multimodal_projector_bias", "vision_feature_layer",
        ),
    )  # fmt: skip
    check_fields(vision, where="vision_config", verified={}, harmless=("image_size", "patch_size", "vision_use_head"))
    check_fields(text, where="text_config", verified={}, harmless=("sliding_window",))
    if vision.model_type in _WITHOUT_CLASS_TOKEN and config.vision_feature_select_strategy == "default":
        raise ValueError(
            "config.vision_feature_select_strategy is 'default', which drops the first feature, but a SigLIP tower has "
            "no class token: a patch would be missing from the grid. Verified with SigLIP is 'full'."
        )
    patch_rows_cols(vision)


def repair(processor: Any, config: Any) -> None:
    """Complete the fields that processors saved before transformers 4.47 lack, or raise `ValueError`."""
    vision, strategy = config.vision_config, config.vision_feature_select_strategy
    class_tokens = int(_has_class_token(config))
    if processor.patch_size is None:
        processor.patch_size = vision.patch_size
    if processor.vision_feature_select_strategy is None:
        processor.vision_feature_select_strategy = strategy
    if not processor.num_additional_image_tokens and class_tokens and strategy == "default":
        processor.num_additional_image_tokens = class_tokens
    for name, found, expected in (
        ("patch_size", processor.patch_size, vision.patch_size),
        ("vision_feature_select_strategy", processor.vision_feature_select_strategy, strategy),
        ("num_additional_image_tokens", processor.num_additional_image_tokens, class_tokens),
    ):
        if found != expected:
            raise ValueError(
                f"The processor's {name} is {found!r} but this model needs {expected!r}: the prompt would not hold one "
                f"image token per feature. Set it in processor_config.json, or with processor.{name} = {expected!r}."
            )
    if processor.image_token_id != config.image_token_id:
        raise ValueError(
            f"The processor's image token {processor.image_token!r} has id {processor.image_token_id} but the model "
            f"reads the image at id {config.image_token_id}; do model and processor belong together?"
        )


def prompt(processor: Any, prompt: str | None) -> Prompt:
    """The user's question in the chat template; verbatim if it already holds the image placeholder."""
    text = DEFAULT_PROMPT.replace("<image>", processor.image_token) if prompt is None else prompt
    placeholders = text.count(processor.image_token)
    if not text.replace(processor.image_token, "").strip():
        raise ValueError("The prompt is empty; ask a question, or leave the prompt out for the family's default.")
    if placeholders > 1:
        raise ValueError(f"The prompt holds {placeholders} image placeholders {processor.image_token!r}; expected one.")
    if placeholders == 0:
        text = _chat(processor, text)
    return Prompt(_with_one_bos(processor, text))


def anatomy(model: Any) -> Anatomy:
    """Where things are in a LLaVA model: the decoder's self-attention is explained."""
    config, decoder = model.config, model.model.language_model
    attentions = tuple(layer.self_attn for layer in decoder.layers)

    def patch_features(output: Any) -> Float[Tensor, "patch feature"]:
        layer = config.vision_feature_layer
        chosen = [output.hidden_states[index] for index in ([layer] if isinstance(layer, int) else layer)]
        return torch.cat(chosen, dim=-1)[0, int(_has_class_token(config)) :]

    return Anatomy(
        decoder=model.model,
        reader=decoder,
        blocks=tuple(decoder.layers),
        attentions=attentions,
        projections=tuple(attention.o_proj for attention in attentions),
        heads=config.text_config.num_attention_heads,
        final_norm=decoder.norm,
        unembedding=model.lm_head,
        softcap=None,
        vision_tower=model.model.vision_tower,
        patch_features=patch_features,
        windows=(getattr(config.text_config, "sliding_window", None),) * len(attentions),
    )


def layout(model: Any, processor: Any, inputs: Mapping[str, Tensor], size: tuple[int, int]) -> TokenLayout:
    """What stands at each position of the prompt; with strategy 'full' a CLIP class token is pooled (no cell)."""
    config = model.config
    ids = inputs["input_ids"][0].cpu().numpy()
    return image_layout(
        processor.tokenizer,
        ids,
        image_id=config.image_token_id,
        grid=patch_grid(config.vision_config, processor.image_processor, inputs["pixel_values"], size),
        system=_template_tokens(processor, ids, config.image_token_id),
        pooled=int(_has_class_token(config) and config.vision_feature_select_strategy == "full"),
    )


def tiny(
    *,
    seed: int = 0,
    text: Literal["llama", "mistral"] = "llama",
    vision: Literal["clip", "siglip"] = "clip",
    layers: int = 3,
    sliding_window: int | None = 24,
) -> tuple[LlavaForConditionalGeneration, LlavaProcessor]:
    """A model with random weights and a 4×4 grid; ``text="mistral"`` has grouped KV heads and a sliding window.

    SigLIP has no class token and keeps every feature (strategy 'full').
    """
    tokens = ["<unk>", "<s>", "</s>", *BYTES]
    vocab, merges, words = vocabulary(tokens, pre_tokenizers.Metaspace(), size=180)
    tokenizer: Any = LlamaTokenizer(
        vocab=vocab,
        merges=merges,
        add_bos_token=True,
        pad_token="<pad>",
        extra_special_tokens={"image_token": "<image>"},
    )
    sizes: dict[str, Any] = {
        "vocab_size": -(-len(tokenizer) // 64) * 64, "hidden_size": 32, "intermediate_size": 48,
        "num_hidden_layers": layers, "num_attention_heads": 4, "max_position_embeddings": 512,
        "initializer_range": 0.2, "pad_token_id": tokenizer.pad_token_id,
    }  # fmt: skip
    tower: dict[str, Any] = dict.fromkeys(("num_hidden_layers", "num_attention_heads"), 2)
    tower |= {"hidden_size": 24, "intermediate_size": 32, "image_size": 32, "patch_size": 8}
    grouped: dict[str, Any] = {"num_key_value_heads": 2, "sliding_window": sliding_window}
    config = LlavaConfig(
        text_config=LlamaConfig(**sizes) if text == "llama" else MistralConfig(**sizes, **grouped),
        vision_config=CLIPVisionConfig(**tower, projection_dim=24) if vision == "clip" else SiglipVisionConfig(**tower),
        image_token_index=tokenizer.image_token_id,
        image_seq_length=16,
        vision_feature_select_strategy="default" if vision == "clip" else "full",
        vision_feature_layer=-2,
    )
    generation = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": tokenizer.pad_token_id}
    model = random_model(LlavaForConditionalGeneration, config, seed=seed, words=words, generation=generation)
    return model, _tiny_processor(tokenizer, config)


def _tiny_processor(tokenizer: Any, config: Any) -> LlavaProcessor:
    square = {"height": 32, "width": 32}
    if _has_class_token(config):
        images: Any = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=square)
    else:
        images = SiglipImageProcessorPil(size=square)
    return LlavaProcessor(
        images,
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy=config.vision_feature_select_strategy,
        num_additional_image_tokens=int(_has_class_token(config)),
        chat_template=_TINY_TEMPLATE,
    )


# As in llava-hf's repositories: images first, then text; the tokenizer adds <s>.
_TINY_TEMPLATE = (
    "{% for message in messages %}{{ message['role'].upper() + ': ' }}"
    "{% for content in message['content'] %}{% if content['type'] == 'image' %}{{ '<image>\n' }}{% endif %}{% endfor %}"
    "{% for content in message['content'] %}{% if content['type'] == 'text' %}{{ content['text'] + ' ' }}{% endif %}"
    "{% endfor %}{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)


def _has_class_token(config: Any) -> bool:
    return config.vision_config.model_type in _WITH_CLASS_TOKEN


def _chat(processor: Any, text: str) -> str:
    """The chat template around one image and a text; the training form of LLaVA-1.5 where there is no template."""
    if not (processor.chat_template or processor.tokenizer.chat_template):
        return f"USER: {processor.image_token}\n{text} ASSISTANT:"
    content = [{"type": "image"}, {"type": "text", "text": text}]
    rendered = str(processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True))
    if rendered.count(processor.image_token) != 1 or text not in rendered:
        raise ValueError(
            f"The processor's chat template gave {rendered!r}; expected the text and one {processor.image_token!r}. "
            "Put the placeholder into the prompt to bypass the template."
        )
    return rendered


def _with_one_bos(processor: Any, text: str) -> str:
    """The text such that the tokenised prompt begins with BOS once, if the tokenizer or the template begins with it."""
    tokenizer = processor.tokenizer
    bos = tokenizer.bos_token
    if bos is None:
        return text
    added = tokenizer("a").input_ids[:1] == [tokenizer.bos_token_id]
    if added:
        return text.removeprefix(bos)
    return text if text.startswith(bos) or not _chat(processor, "a").startswith(bos) else bos + text


def _template_tokens(processor: Any, ids: Int[np.ndarray, " token"], image_id: int) -> Bool[np.ndarray, " token"]:
    """True for the tokens of system prompt and roles: what the template puts before and after the user's words."""
    tokenizer = processor.tokenizer
    unread = {*tokenizer.all_special_ids, image_id}
    pieces = token_pieces(tokenizer, ids.tolist(), image_id=image_id)
    texts = ["" if token in unread else piece for token, piece in zip(ids.tolist(), pieces, strict=True)]
    text = "".join(texts)
    words = "\x00"  # stands for the user's words
    frame = re.sub("|".join(map(re.escape, tokenizer.all_special_tokens)), "", _chat(processor, words))
    before, after = (part.strip() for part in frame.split(words))
    start = text.find(before) + len(before) if before in text else 0
    stop = len(text.rstrip().removesuffix(after).rstrip())
    ends = np.cumsum([len(one) for one in texts])
    begins = np.r_[0, ends[:-1]]
    return np.asarray((ends <= start) | (begins >= stop))
