"""Checking a model's configuration: every field is verified, harmless, or an error that names it."""

from collections.abc import Collection, Mapping
from typing import Any

from transformers import GenerationConfig, PreTrainedConfig

__all__ = ["HARMLESS", "HOW_TO_ADD", "check_fields", "check_type"]

HOW_TO_ADD = (
    "To support it, add one file to dexar_widgets/families/ (or register a module under the entry point group "
    "'dexar_widgets.families') and let the contract tests check it."
)

# Fields of every configuration, generation settings that older checkpoints keep beside them, and sizes,
# initialisation, dropout (off in evaluation mode), activations and positions, which the model's own forward applies.
HARMLESS = (
    set(PreTrainedConfig().to_dict())
    | set(GenerationConfig().to_dict())
    | set(
        "activation_dropout activation_function add_cross_attention "
        "attention_bias attention_dropout attn_implementation auto_map bad_words_ids cross_attention_hidden_size "
        "experts_implementation finetuning_task head_dim hidden_act hidden_activation hidden_size ignore_index "
        "initializer_factor initializer_range intermediate_size layer_norm_eps max_position_embeddings mlp_bias "
        "num_attention_heads num_channels num_hidden_layers num_image_tokens num_key_value_heads pretraining_tp prefix "
        "projection_dim pruned_heads quantization_config rms_norm_eps rope_parameters rope_scaling rope_theta "
        "sep_token_id task_specific_params tf_legacy_loss tie_encoder_decoder tie_word_embeddings tokenizer_class "
        "torch_dtype torchscript use_bfloat16 use_cache vocab_size".split()
    )
)


def check_type(config: Any, *, where: str, verified: Collection[str]) -> None:
    """Raise `ValueError` unless ``config.model_type`` is one of ``verified``."""
    if config is None or config.model_type not in verified:
        found = None if config is None else config.model_type
        raise ValueError(f"{where} is {found!r}; verified are {', '.join(map(repr, verified))}. {HOW_TO_ADD}")


def check_fields(
    config: Any, *, where: str, verified: Mapping[str, Collection[Any]], harmless: Collection[str] = ()
) -> None:
    """Raise `ValueError` at the first field that is neither harmless by name nor of a verified value.

    Each entry of a list has to be verified. A field that this version of transformers knows, at its default, is what
    the contract tests ran with.
    """
    defaults = type(config)().to_dict()
    for name, value in config.to_dict().items():
        if name.startswith("_"):
            continue
        if name in verified:
            if not all(one in verified[name] for one in (value if isinstance(value, list) else [value])):
                accepted = ", ".join(map(repr, verified[name]))
                raise ValueError(
                    f"{where}.{name} is {value!r}, which was not verified (verified: {accepted}); the explanation "
                    f"could be silently wrong. {HOW_TO_ADD}"
                )
        elif name not in HARMLESS and name not in harmless and (name not in defaults or defaults[name] != value):
            raise ValueError(
                f"{where}.{name} is {value!r}: this field was not verified; the explanation could be silently wrong. "
                f"Remove it if it does not change what the model computes. {HOW_TO_ADD}"
            )
