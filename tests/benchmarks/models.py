"""Models of real sizes with random weights, and a question to them: no download, no processor."""

import numpy as np
import torch
from transformers import (
    BartConfig,
    CLIPVisionConfig,
    Florence2Config,
    Florence2ForConditionalGeneration,
    Florence2VisionConfig,
    GemmaConfig,
    GenerationConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    MistralConfig,
    PaliGemmaConfig,
    PaliGemmaForConditionalGeneration,
    SiglipVisionConfig,
)

from dexar_widgets import engine, plugins, vlm
from dexar_widgets.types import Grid, TokenLayout

TEXT = 23  # text tokens of a prompt
_SMALL_TOWER = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "patch_size": 14,
}  # fmt: skip
_CLIP_LARGE = {
    "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
    "patch_size": 14, "projection_dim": 768,
}  # fmt: skip


def _llava(text, *, side, tower):
    config = LlavaConfig(
        text_config=text, vision_config=CLIPVisionConfig(image_size=14 * side, **tower), image_token_index=32000
    )
    return "llava", LlavaForConditionalGeneration, config


def _medium(*, side=24, layers=16):
    """270 million parameters: hidden 1024, 16 layers, 16 heads."""
    text = LlamaConfig(
        vocab_size=32064, hidden_size=1024, intermediate_size=2816, num_hidden_layers=layers, num_attention_heads=16,
        max_position_embeddings=4096,
    )  # fmt: skip
    tower = {
        "hidden_size": 256,
        "intermediate_size": 512,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "patch_size": 14,
    }
    return _llava(text, side=side, tower=tower)


def _smoke(*, side=4, layers=2):
    text = LlamaConfig(
        vocab_size=32064, hidden_size=64, intermediate_size=128, num_hidden_layers=layers, num_attention_heads=4,
        max_position_embeddings=4096,
    )  # fmt: skip
    tower = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "patch_size": 14,
    }
    return _llava(text, side=side, tower=tower)


def _llava_7b(*, side=24, layers=32):
    return _llava(LlamaConfig(vocab_size=32064, num_hidden_layers=layers), side=side, tower=_CLIP_LARGE)


def _bakllava(*, side=24, layers=32):
    return _llava(MistralConfig(vocab_size=32064, num_hidden_layers=layers), side=side, tower=_CLIP_LARGE)


def _paligemma(*, side=16, layers=18):
    config = PaliGemmaConfig(
        text_config=GemmaConfig(
            vocab_size=257216, hidden_size=2048, intermediate_size=16384, num_hidden_layers=layers,
            num_attention_heads=8, num_key_value_heads=1, head_dim=256,
        ),
        vision_config=SiglipVisionConfig(
            hidden_size=1152, intermediate_size=4304, num_hidden_layers=27, num_attention_heads=16, patch_size=14,
            image_size=14 * side, vision_use_head=False, projection_dim=2048,
        ),
        image_token_index=257152,
        projection_dim=2048,
    )  # fmt: skip
    return "paligemma", PaliGemmaForConditionalGeneration, config


def _florence(*, side=24, layers=6):
    text = BartConfig(
        vocab_size=51328, d_model=768, encoder_layers=layers, decoder_layers=layers, encoder_attention_heads=12,
        decoder_attention_heads=12, encoder_ffn_dim=3072, decoder_ffn_dim=3072, max_position_embeddings=1024,
    )  # fmt: skip
    config = Florence2Config(
        text_config=text, vision_config=Florence2VisionConfig(projection_dim=768), image_token_id=51289
    )
    config.vision_config.image_size = 32 * side
    return "florence2", Florence2ForConditionalGeneration, config


SHAPES = {
    "270M LLaVA": _medium, "smoke": _smoke, "LLaVA-1.5-7B": _llava_7b, "BakLLaVA": _bakllava,
    "PaliGemma-3B": _paligemma, "Florence-2-base": _florence,
}  # fmt: skip


def build(shape, *, device, dtype, attention=None, **sizes):
    """A VLM of a shape, and a request to it. The tokenizer is the tiny model's: ids it lacks read as nothing."""
    family_name, kind, config = SHAPES[shape](**sizes)
    family = plugins.get("families", family_name)
    torch.manual_seed(0)
    with torch.device(device):
        previous = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        try:
            model = kind._from_config(config, attn_implementation=attention).eval()
        finally:
            torch.set_default_dtype(previous)
    _, processor = family.tiny()
    start = {"decoder_start_token_id": 2} if model.config.is_encoder_decoder else {}
    model.generation_config = GenerationConfig(pad_token_id=0, eos_token_id=None, num_beams=1, **start)
    handle = vlm.VLM(model, processor, family, shape)
    return handle, _request(handle, config)


def _request(handle, config):
    vision = config.vision_config
    pixels = vision.image_size
    side = pixels // (32 if config.is_encoder_decoder else vision.patch_size)
    image = handle.model.config.image_token_id
    pooled = int(config.is_encoder_decoder)
    words = np.arange(3, 3 + TEXT)
    before = 0 if config.model_type != "llava" else 4
    ids = np.r_[words[:before], np.full(pooled + side**2, image), words[before:]]
    cells = np.full((len(ids), 3), -1)
    cells[before + pooled : before + pooled + side**2] = np.stack(
        [np.zeros(side**2, int), *divmod(np.arange(side**2), side)], 1
    )
    kinds = tuple("image" if token == image else "prompt" for token in ids.tolist())
    layout = TokenLayout(
        ids, ("",) * len(ids), kinds, cells, (Grid(side, side, (0, 0, pixels, pixels), (pixels, pixels)),)
    )
    device = handle.device
    tokens = torch.as_tensor(ids, device=device)[None]
    inputs = {
        "input_ids": tokens,
        "attention_mask": torch.ones_like(tokens),
        "pixel_values": torch.randn(1, 3, pixels, pixels, device=device, dtype=handle.model.dtype),
    }
    if config.model_type == "paligemma":
        inputs["token_type_ids"] = torch.zeros_like(tokens)
    prompt = torch.tensor([[2]], device=device) if config.is_encoder_decoder else tokens
    return engine.Request(inputs, layout, prompt)
