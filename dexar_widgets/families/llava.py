"""LLaVA-1.5 and BakLLaVA: a CLIP or SigLIP tower, a two-layer projector, a Llama or Mistral decoder.

The image's features replace a run of placeholder tokens anywhere in the prompt; the decoder reads
them by self-attention. A checkpoint whose text model is Mistral is BakLLaVA.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool
from tokenizers import pre_tokenizers
from torch import Tensor
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    GenerationConfig,
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
from dexar_widgets.families._grids import covered_box, image_layout, token_pieces
from dexar_widgets.families._tiny import byte_tokens, learned, only_words, seeded, word_by_word
from dexar_widgets.families._verification import HOW_TO_ADD, check_fields, check_type
from dexar_widgets.types import Grid, TokenLayout

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
            "config.vision_feature_select_strategy is 'default', which drops the first feature, but a SigLIP tower has no "
            "class token: a patch would be missing from the grid. Verified with SigLIP is 'full'."
        )
    _grid_size(config)


def repair(processor: Any, config: Any) -> None:
    """Complete the fields that processors saved before transformers 4.47 lack, or raise `ValueError`."""
    vision, strategy = config.vision_config, config.vision_feature_select_strategy
    class_tokens = int(vision.model_type in _WITH_CLASS_TOKEN)
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
            f"The processor's image token {processor.image_token!r} has id {processor.image_token_id} but the model reads "
            f"the image at id {config.image_token_id}; do model and processor belong together?"
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
        softcap=None,
        vision_tower=model.model.vision_tower,
        patch_features=lambda output: _patch_features(model.config, output),
        windows=(getattr(model.config.text_config, "sliding_window", None),) * len(attentions),
    )


def _patch_features(config: Any, output: Any) -> Tensor:
    """The features the projector reads, less the class token; the last layer's where several are joined."""
    chosen = config.vision_feature_layer
    features: Tensor = output.hidden_states[chosen if isinstance(chosen, int) else chosen[-1]][0]
    return features[1:] if config.vision_config.model_type in _WITH_CLASS_TOKEN else features


def layout(model: Any, processor: Any, inputs: Mapping[str, Tensor], size: tuple[int, int]) -> TokenLayout:
    """What stands at each position of the prompt; with strategy 'full' a CLIP class token is pooled (no cell)."""
    config = model.config
    rows, cols = _grid_size(config)
    patch = config.vision_config.patch_size
    height, width = inputs["pixel_values"].shape[-2:]
    if (height // patch, width // patch) != (rows, cols):
        raise ValueError(
            f"The processor gave {width}×{height} pixels, {height // patch}×{width // patch} patches, but the vision tower "
            f"expects a {rows}×{cols} grid; is the processor of another checkpoint?"
        )
    seen = (cols * patch, rows * patch)
    box = covered_box(processor.image_processor, size, processed=(width, height), seen=seen)
    class_token = config.vision_config.model_type in _WITH_CLASS_TOKEN
    ids = inputs["input_ids"][0].cpu().numpy()
    return image_layout(
        processor.tokenizer,
        ids,
        image_id=config.image_token_id,
        grid=Grid(rows, cols, box, size),
        system=_template_tokens(processor, ids, config.image_token_id),
        pooled=int(class_token and config.vision_feature_select_strategy == "full"),
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
    tokenizer, pieces = _tiny_tokenizer()
    sizes = {
        "vocab_size": -(-len(tokenizer) // 64) * 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": layers,
        "num_attention_heads": 4, "max_position_embeddings": 512, "initializer_range": 0.2, "pad_token_id": tokenizer.pad_token_id,
    }  # fmt: skip
    tower = {
        "hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32,
        "patch_size": 8,
    }  # fmt: skip
    strategy: Literal["default", "full"] = "default" if vision == "clip" else "full"
    config = LlavaConfig(
        text_config=LlamaConfig(**sizes)
        if text == "llama"
        else MistralConfig(**sizes, num_key_value_heads=2, sliding_window=sliding_window),
        vision_config=CLIPVisionConfig(**tower, projection_dim=24) if vision == "clip" else SiglipVisionConfig(**tower),
        image_token_index=tokenizer.image_token_id,
        image_seq_length=16,
        vision_feature_select_strategy=strategy,
        vision_feature_layer=-2,
    )
    with seeded(seed):
        model = LlavaForConditionalGeneration(config).eval()
    only_words(model, pieces, first=tokenizer.convert_tokens_to_ids(pieces[0]))
    model.generation_config = GenerationConfig(bos_token_id=1, eos_token_id=2, pad_token_id=tokenizer.pad_token_id)
    images = (
        CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
        if vision == "clip"
        else SiglipImageProcessorPil(size={"height": 32, "width": 32})
    )
    processor = LlavaProcessor(
        images,
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy=strategy,
        num_additional_image_tokens=int(vision == "clip"),
        chat_template=_TINY_TEMPLATE,
    )
    return model, processor


# As in llava-hf's repositories: images first, then text; the tokenizer adds <s>.
_TINY_TEMPLATE = (
    "{% for message in messages %}{{ message['role'].upper() + ': ' }}"
    "{% for content in message['content'] %}{% if content['type'] == 'image' %}{{ '<image>\n' }}{% endif %}{% endfor %}"
    "{% for content in message['content'] %}{% if content['type'] == 'text' %}{{ content['text'] + ' ' }}{% endif %}"
    "{% endfor %}{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)


def _tiny_tokenizer() -> tuple[LlamaTokenizer, list[str]]:
    pieces, merges = learned(word_by_word(pre_tokenizers.Metaspace()), size=180)
    tokens = ["<unk>", "<s>", "</s>", *byte_tokens()]
    tokenizer = LlamaTokenizer(
        vocab={token: index for index, token in enumerate([*tokens, *pieces])},
        merges=merges,
        add_bos_token=True,
        pad_token="<pad>",
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


def _chat(processor: Any, text: str) -> str:
    """The chat template around one image and a text; the training form of LLaVA-1.5 where there is no template."""
    if not (processor.chat_template or processor.tokenizer.chat_template):
        return f"USER: {processor.image_token}\n{text} ASSISTANT:"
    content = [{"type": "image"}, {"type": "text", "text": text}]
    rendered = str(processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True))
    if rendered.count(processor.image_token) != 1 or text not in rendered:
        raise ValueError(
            f"The processor's chat template gave {rendered!r}; expected the text and one {processor.image_token!r}. Put "
            "the placeholder into the prompt to bypass the template."
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


def _template_tokens(processor: Any, ids: Any, image_id: int) -> Bool[np.ndarray, " token"]:
    """True for the tokens of system prompt and roles: what the template puts before and after the user's words."""
    pieces = token_pieces(processor.tokenizer, ids.tolist(), image_id=image_id)
    special = {*processor.tokenizer.all_special_ids, image_id}
    text = "".join("" if token in special else piece for token, piece in zip(ids.tolist(), pieces, strict=True))
    mark = "\x00"
    skeleton = re.sub("|".join(map(re.escape, processor.tokenizer.all_special_tokens)), "", _chat(processor, mark))
    before, after = (re.escape(part.strip()) for part in skeleton.split(mark))
    first = re.search(before, text) if before else None
    last = re.search(rf"\s*{after}\s*$", text) if after else None
    start, stop = first.end() if first else 0, last.start() if last else len(text)
    ends = np.cumsum([0 if token in special else len(piece) for token, piece in zip(ids.tolist(), pieces, strict=True)])
    begins = np.r_[0, ends[:-1]]
    return (ends <= start) | (begins >= stop)
