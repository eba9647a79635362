"""Configurations as published checkpoints have them: accepted, and with the right grid on a photograph.

The dictionaries are modelled on the repositories' config.json, with the fields that older versions wrote.
"""

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForImageTextToText,
    CLIPImageProcessorPil,
    Florence2Config,
    LlavaConfig,
    LlavaImageProcessorPil,
    PaliGemmaConfig,
    SiglipImageProcessorPil,
)

from dexar_widgets.families import florence2, llava, paligemma
from dexar_widgets.families._grids import covered_box, patch_rows_cols

VICUNA = {"_name_or_path": "lmsys/vicuna-7b-v1.5", "architectures": ["LlamaForCausalLM"], "model_type": "llama"}
CLIP = {
    "hidden_size": 1024, "image_size": 336, "intermediate_size": 4096, "model_type": "clip_vision_model",
    "num_attention_heads": 16, "num_hidden_layers": 24, "patch_size": 14, "projection_dim": 768, "vocab_size": 32000,
}  # fmt: skip
LLAVA = {
    "architectures": ["LlavaForConditionalGeneration"], "ignore_index": -100, "image_token_index": 32000,
    "model_type": "llava", "pad_token_id": 32001, "projector_hidden_act": "gelu", "tie_word_embeddings": False,
    "text_config": VICUNA | {"max_position_embeddings": 4096, "rms_norm_eps": 1e-05, "torch_dtype": "float16",
    "vocab_size": 32064},
    "torch_dtype": "float16", "transformers_version": "4.36.0.dev0", "vision_config": CLIP,
    "vision_feature_layer": -2,
    "vision_feature_select_strategy": "default", "vocab_size": 32064,
}  # fmt: skip
BAKLLAVA = LLAVA | {
    "text_config": {
        "_name_or_path": "mistralai/Mistral-7B-v0.1", "architectures": ["MistralForCausalLM"],
        "intermediate_size": 14336,
        "max_position_embeddings": 32768, "model_type": "mistral", "num_key_value_heads": 8, "rms_norm_eps": 1e-05,
        "sliding_window": 4096, "torch_dtype": "float16", "vocab_size": 32064,
    }
}  # fmt: skip
SIGLIP = {
    "hidden_size": 1152, "intermediate_size": 4304, "model_type": "siglip_vision_model", "num_attention_heads": 16,
    "num_hidden_layers": 27, "num_image_tokens": 256, "patch_size": 14, "projection_dim": 2048,
    "projector_hidden_act": "gelu_fast", "torch_dtype": "float32", "vision_use_head": False,
}  # fmt: skip
PALIGEMMA = {
    "_vocab_size": 257152, "architectures": ["PaliGemmaForConditionalGeneration"], "bos_token_id": 2,
    "eos_token_id": 1,
    "hidden_size": 2048, "ignore_index": -100, "image_token_index": 257152, "model_type": "paligemma",
    "pad_token_id": 0,
    "projection_dim": 2048, "torch_dtype": "float32", "transformers_version": "4.41.0.dev0", "vision_config": SIGLIP,
    "text_config": {
        "hidden_size": 2048, "intermediate_size": 16384, "model_type": "gemma", "num_attention_heads": 8,
        "num_hidden_layers": 18, "num_image_tokens": 256, "num_key_value_heads": 1, "torch_dtype": "float32",
        "vocab_size": 257216,
    },
}  # fmt: skip
PALIGEMMA_2 = PALIGEMMA | {
    "text_config": {
        "architectures": ["Gemma2ForCausalLM"], "attn_logit_softcapping": 50.0, "cache_implementation": "hybrid",
        "eos_token_id": [1, 107], "final_logit_softcapping": 30.0, "head_dim": 256, "hidden_act": "gelu_pytorch_tanh",
        "hidden_activation": "gelu_pytorch_tanh", "hidden_size": 2304, "intermediate_size": 9216,
        "model_type": "gemma2",
        "num_attention_heads": 8, "num_hidden_layers": 26, "num_image_tokens": 256, "num_key_value_heads": 4,
        "query_pre_attn_scalar": 256, "sliding_window": 4096, "torch_dtype": "bfloat16", "vocab_size": 257216,
    }
}  # fmt: skip
FLORENCE = {
    "architectures": ["Florence2ForConditionalGeneration"], "bos_token_id": 0, "dtype": "float16", "eos_token_id": 2,
    "ignore_index": -100, "image_token_id": 51289, "is_encoder_decoder": True, "model_type": "florence2",
    "pad_token_id": 1,
    "projection_dim": 768,
    "text_config": {
        "activation_dropout": 0.1, "activation_function": "gelu", "add_bias_logits": False,
        "add_final_layer_norm": False,
        "attention_dropout": 0.1, "classif_dropout": 0.1, "classifier_dropout": 0.0, "d_model": 768,
        "decoder_attention_heads": 12, "decoder_ffn_dim": 3072, "decoder_layerdrop": 0.0, "decoder_layers": 6,
        "decoder_start_token_id": 2, "dropout": 0.1, "early_stopping": True, "encoder_attention_heads": 12,
        "encoder_ffn_dim": 3072, "encoder_layerdrop": 0.0, "encoder_layers": 6, "forced_bos_token_id": 0,
        "forced_eos_token_id": 2, "gradient_checkpointing": False, "init_std": 0.02, "max_position_embeddings": 1024,
        "model_type": "bart", "no_repeat_ngram_size": 3, "normalize_before": False, "num_beams": 3,
        "num_hidden_layers": 6, "scale_embedding": False, "use_cache": True, "vocab_size": 51328,
    },
    "vision_config": {
        "activation_function": "gelu", "depths": [1, 1, 9, 1], "dim_embed": [128, 256, 512, 1024],
        "drop_path_rate": 0.1,
        "embed_dim": [128, 256, 512, 1024], "enable_checkpoint": False,
        "image_feature_source": ["spatial_avg_pool", "temporal_avg_pool"],
        "image_pos_embed": {"max_pos_embeddings": 50, "type": "learned_abs_2d"}, "max_pos_embeddings": 50,
        "max_temporal_embeddings": 100, "mlp_ratio": 4.0, "model_type": "florence_vision",
        "num_groups": [4, 8, 16, 32],
        "num_heads": [4, 8, 16, 32], "patch_padding": [3, 1, 1, 1], "patch_prenorm": [False, True, True, True],
        "patch_size": [7, 3, 3, 3], "patch_stride": [4, 2, 2, 2], "projection_dim": 768, "qkv_bias": True,
        "visual_temporal_embedding": {"max_temporal_embeddings": 100, "type": "COSINE"}, "window_size": 12,
    },
}  # fmt: skip

CHECKPOINTS = {
    "llava-1.5-7b": (llava, LlavaConfig, LLAVA),
    "bakLlava-v1": (llava, LlavaConfig, BAKLLAVA),
    "paligemma-3b-pt-224": (paligemma, PaliGemmaConfig, PALIGEMMA),
    "paligemma2-3b-pt-224": (paligemma, PaliGemmaConfig, PALIGEMMA_2),
    "Florence-2-base": (florence2, Florence2Config, FLORENCE),
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_published_configuration_is_verified(name):
    family, kind, published = CHECKPOINTS[name]
    family.verify(kind.from_dict(published))


def test_the_grids_of_the_published_checkpoints_are_24_24_16_and_24_on_a_side():
    assert patch_rows_cols(LlavaConfig.from_dict(LLAVA).vision_config) == (24, 24)
    assert patch_rows_cols(PaliGemmaConfig.from_dict(PALIGEMMA).vision_config) == (16, 16)
    assert florence2._grid_size(Florence2Config.from_dict(FLORENCE), (768, 768)) == (24, 24)


CROPPING = CLIPImageProcessorPil(size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336})
SQUASHING = SiglipImageProcessorPil(size={"height": 224, "width": 224})
UNCROPPED = CLIPImageProcessorPil(size={"height": 768, "width": 768}, do_center_crop=False)
PADDING = LlavaImageProcessorPil(size={"height": 336, "width": 336}, do_pad=True, do_center_crop=False)
CROP_ONLY = CLIPImageProcessorPil(do_resize=False, crop_size={"height": 336, "width": 336})


@pytest.mark.parametrize(
    ("processor", "side", "size", "box"),
    [
        # The shorter side becomes 336, the longer 448; 56 of those 448 are cut off at either end: 80 of 640.
        (CROPPING, 336, (640, 480), (80, 0, 560, 480)),
        (CROPPING, 336, (480, 640), (0, 80, 480, 560)),
        (SQUASHING, 224, (640, 480), (0, 0, 640, 480)),
        (UNCROPPED, 768, (640, 480), (0, 0, 640, 480)),
        # Padded to a square first: 80 rows above and below the picture.
        (PADDING, 336, (640, 480), (0, -80, 640, 560)),
        # No resize: a crop larger than the picture pads it, 48 and 128 of them; odd rests fall to the right.
        (CROP_ONLY, 336, (240, 81), (-48, -128, 288, 208)),
    ],
)
def test_the_grid_covers_the_part_of_the_picture_that_the_processor_keeps(processor, side, size, box):
    assert covered_box(processor, size, processed=(side, side), seen=(side, side)) == pytest.approx(box)
    width, height = size
    pixels = processor(np.zeros((height, width, 3), np.uint8), return_tensors="np")["pixel_values"]
    assert pixels.shape == (1, 3, side, side)


def test_a_rest_that_fills_no_patch_is_left_out_of_the_box():
    # SigLIP 384/14: 27 patches of 14 see 378 of 384 pixels, which is 630 of 640 and 472.5 of 480.
    processor = SiglipImageProcessorPil(size={"height": 384, "width": 384})
    box = covered_box(processor, (640, 480), processed=(384, 384), seen=(378, 378))
    assert box == pytest.approx((0, 0, 630, 472.5))


def test_a_processor_of_unknown_geometry_is_named():
    processor = SiglipImageProcessorPil(size={"height": 384, "width": 384})
    with pytest.raises(ValueError, match="SiglipImageProcessorPil gave 100×100 pixels for a 640×480 image"):
        covered_box(processor, (640, 480), processed=(100, 100), seen=(100, 100))
    processor.size = {"longest_edge": 384}
    with pytest.raises(ValueError, match=r"longest_edge.*known are height and width, or shortest_edge alone"):
        covered_box(processor, (640, 480), processed=(384, 288), seen=(384, 288))


@pytest.mark.parametrize(
    ("name", "layers", "heads", "words", "softcap", "window"),
    [
        ("llava-1.5-7b", 32, 32, 32064, None, None),
        ("bakLlava-v1", 32, 32, 32064, None, 4096),
        ("paligemma-3b-pt-224", 18, 8, 257216, None, None),
        ("paligemma2-3b-pt-224", 26, 8, 257216, 30.0, 4096),
        ("Florence-2-base", 6, 12, 51328, None, None),
    ],
)
def test_the_anatomy_of_a_published_model_is_found_in_its_full_shape(name, layers, heads, words, softcap, window):
    family, kind, published = CHECKPOINTS[name]
    with torch.device("meta"):  # shapes without weights
        model = AutoModelForImageTextToText.from_config(kind.from_dict(published))
    anatomy = family.anatomy(model)
    assert (len(anatomy.blocks), anatomy.heads, anatomy.softcap) == (layers, heads, softcap)
    assert anatomy.unembedding.out_features == words
    assert anatomy.cross_attention == (family is florence2)
    assert set(anatomy.windows[::2]) <= {window}
    assert all(projection.in_features % heads == 0 for projection in anatomy.projections)
