"""Which names of models are the paper's four, as the hub, folders, the lab and the paper spell them."""

import pytest

from dexar_widgets.evaluation.published import FAMILIES, FOLDER, family_of, published
from dexar_widgets.vlm import models

NAMES = {
    "llava": (
        "llava-hf/llava-1.5-7b-hf",
        "llava-hf/llava-1.5-13b-hf",
        "liuhaotian/llava-v1.5-7b",
        "./checkpoints/llava-1.5-7b-hf/",
        "my_llava_1.5_lora",
        "lab/llava",
    ),
    "bakllava": ("llava-hf/bakLlava-v1-hf", "SkunkworksAI/BakLLaVA-1", "lab/bakllava"),
    "paligemma": (
        "google/paligemma-3b-pt-224",
        "google/paligemma-3b-mix-224",
        "google/paligemma-3b-ft-vqav2-448-jax",
        "paligemma-224",
        "lab/paligemma",
    ),
    "florence2": (
        "microsoft/Florence-2-base",
        "microsoft/Florence-2-large-ft",
        "florence-community/Florence-2-base",
        "lab/florence2",
    ),
    None: (
        "./mine",
        "llava-hf/other",
        "lab/analytic",
        "lab/water-boat",
        "llava-hf/llava-v1.6-mistral-7b-hf",
        "llava-hf/llama3-llava-next-8b-hf",
        "llava-hf/llava-onevision-qwen2-0.5b-ov-hf",
        "lmms-lab/LLaVA-OneVision-1.5-8B-Instruct",
        "llava-hf/llava-interleave-qwen-7b-hf",
        "llava-hf/vip-llava-7b-hf",
        "LanguageBind/Video-LLaVA-7B-hf",
        "microsoft/llava-med-v1.5-mistral-7b",
        "bczhou/TinyLLaVA-1.5B",
        "google/paligemma2-3b-pt-224",
        "google/paligemma-2-3b-pt-224",
        "vidore/colpaligemma-3b-pt-448-base",
        "microsoft/Florence-base",
    ),
}


@pytest.mark.parametrize(("family", "name"), [(family, name) for family in NAMES for name in NAMES[family]])
def test_a_name_is_of_its_family_and_kin_and_successors_are_of_none(family, name):
    assert family_of(name) == family


def test_every_name_of_the_papers_tables_is_of_a_family():
    for file in FOLDER.glob("*.csv"):
        assert set(published(file.name.partition("_")[0])["family"]) <= set(FAMILIES), file.name


def test_the_checkpoints_that_the_families_name_are_the_papers():
    of_the_hub = {name: family for name, family in models().items() if not name.startswith("lab/")}
    found = {family: {family_of(name) for name in of_the_hub if of_the_hub[name] == family} for family in FAMILIES}
    assert found["florence2"] == {"florence2"}
    assert {"llava", "bakllava"} <= found["llava"]
    assert "paligemma" in found["paligemma"]
