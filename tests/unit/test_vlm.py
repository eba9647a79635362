"""Loading a model by name, folder or pair, and the sentence that says why one does not load."""

import json
import shutil

import pytest
import torch
from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor, LlamaConfig, LlamaForCausalLM
from transformers.utils.logging import is_progress_bar_enabled
from transformers.utils.quantization_config import QuantizationConfigMixin

from dexar_widgets import checkpoints, vlm
from dexar_widgets.families import florence2, llava


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder in the layout of a real checkpoint."""
    folder = tmp_path_factory.mktemp("llava")
    for part in llava.tiny():
        part.save_pretrained(folder)
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    """A copy to damage."""
    return shutil.copytree(saved, tmp_path / "copy")


@pytest.fixture
def hub(monkeypatch, saved):
    """A hub whose every repository holds the tiny LLaVA; gives the names that were asked for."""
    asked = []
    for kind in (AutoConfig, AutoProcessor, AutoModelForImageTextToText):
        real = kind.from_pretrained

        def fetch(name, *, _real=real, **options):
            if name != saved:  # not one of the library's own calls inside another
                asked.append((name, options["revision"], options["local_files_only"]))
            return _real(saved, **options)

        monkeypatch.setattr(kind, "from_pretrained", fetch)
    monkeypatch.setattr(vlm, "hub_is_reachable", lambda: True)
    return asked


# ---- what loads ------------------------------------------------------------------------------------------------


def test_a_folder_loads_with_what_an_explanation_records_about_it(saved):
    loaded = vlm.load(saved, dtype="bfloat16")
    recorded = loaded.provenance()
    assert not loaded.model.training
    assert (loaded.name, recorded["family"], recorded["dtype"]) == (str(saved), "llava", "bfloat16")
    assert (recorded["attention"], recorded["device"], recorded["quantization"]) == ("sdpa", "cpu", None)
    assert set(recorded["versions"]) == {"dexar_widgets", "torch", "transformers"}
    assert "llava, 0.1 M parameters, torch.bfloat16, cpu" in repr(loaded)
    assert not loaded.is_lab


def test_a_folder_of_the_older_layout_loads_and_writes_one_token_per_patch(folder):
    new = json.loads((folder / "processor_config.json").read_text())
    old = new["image_processor"] | {
        "processor_class": "LlavaProcessor",
        "feature_extractor_type": "CLIPFeatureExtractor",
    }
    old["image_processor_type"] = "CLIPImageProcessor"
    (folder / "preprocessor_config.json").write_text(json.dumps(old))
    for name in ("processor_config.json", "chat_template.jinja"):
        (folder / name).unlink()
    tokens = json.loads((folder / "tokenizer_config.json").read_text())
    del tokens["image_token"]
    (folder / "tokenizer_config.json").write_text(json.dumps(tokens))
    loaded = vlm.load(folder)
    image = Image.new("RGB", (60, 40))
    text = loaded.family.prompt(loaded.processor, "What is it?").text
    inputs = loaded.processor(images=image, text=text, return_tensors="pt")
    assert text == "USER: <image>\nWhat is it? ASSISTANT:"
    assert (inputs["input_ids"] == loaded.model.config.image_token_id).sum() == 16
    assert len(loaded.family.layout(loaded.model, loaded.processor, inputs, (60, 40)).grids) == 1


def test_a_pair_is_used_as_it_is_and_left_as_it_was():
    model, processor = llava.tiny()
    model.train()
    processor.num_additional_image_tokens = 0  # as an older processor file gives it
    loaded = vlm.load((model, processor))
    assert loaded.model is model
    assert model.training
    assert (processor.num_additional_image_tokens, loaded.processor.num_additional_image_tokens) == (0, 1)
    assert loaded.anatomy is loaded.anatomy


@pytest.mark.parametrize("name", ["llava-hf/llava-1.5-7b-hf", "llava-hf/bakLlava-v1-hf"])
def test_a_hub_name_is_asked_of_the_hub(hub, name):
    loaded = vlm.load(name, revision="abc")
    assert (loaded.name, loaded.revision) == (name, "abc")
    assert hub == [(name, "abc", False)] * 3


def test_without_a_connection_only_the_cache_is_asked(hub, monkeypatch):
    monkeypatch.setattr(vlm, "hub_is_reachable", lambda: False)
    vlm.load("llava-hf/llava-1.5-7b-hf")
    assert {local_only for _, _, local_only in hub} == {True}


def test_microsofts_florence_is_redirected_to_the_native_copy_and_said_so(monkeypatch, caplog, tmp_path):
    for part in florence2.tiny():
        part.save_pretrained(tmp_path)
    place = checkpoints.locate("microsoft/Florence-2-base")
    assert (place.source, place.on_hub) == ("florence-community/Florence-2-base", True)
    local = checkpoints.Checkpoint(str(tmp_path), place.name, notices=place.notices)
    monkeypatch.setattr(vlm, "locate", lambda name: local)
    loaded = vlm.load("microsoft/Florence-2-base")
    assert loaded.name == "florence-community/Florence-2-base"
    assert (
        "microsoft/Florence-2-base needs code of its own; loaded florence-community/Florence-2-base"
        in loaded.notices[0]
    )
    assert loaded.notices[0] in caplog.text


def test_an_embedded_model_is_a_folder_of_the_package(saved, tmp_path, monkeypatch):
    shutil.copytree(saved, tmp_path / "small")
    monkeypatch.setattr(checkpoints, "LAB", tmp_path)
    for name in ("lab/small", tmp_path / "small"):
        loaded = vlm.load(name)
        assert (loaded.name, loaded.is_lab) == ("lab/small", True)
    assert next(iter(vlm.models())) == "lab/small"
    assert is_progress_bar_enabled()
    with pytest.raises(ValueError, match="no embedded model 'lab/large'; shipped are: lab/small"):
        vlm.load("lab/large")


def test_the_papers_four_models_are_listed_with_their_family():
    known = vlm.models()
    assert known["llava-hf/llava-1.5-7b-hf"] == known["llava-hf/bakLlava-v1-hf"] == "llava"
    assert known["google/paligemma-3b-pt-224"] == "paligemma"
    assert known["microsoft/Florence-2-base"] == "florence2"


@pytest.mark.parametrize(("stored", "asked", "expected"), [
    ("float16", None, torch.float32), ("float16", "auto", torch.float16), ("bfloat16", None, torch.bfloat16),
    ("float32", torch.float64, torch.float64), ("float32", "float16", torch.float16),
])  # fmt: skip
def test_the_dtype_is_the_checkpoints_but_not_float16_on_a_cpu(tmp_path, stored, asked, expected):
    model, processor = llava.tiny()
    model.to(getattr(torch, stored)).save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    assert vlm.load(tmp_path, dtype=asked).model.dtype == expected


def test_layers_may_be_offloaded_to_disk_and_inputs_still_go_to_the_cpu(saved, tmp_path):
    whole = vlm.load(saved)
    parts = dict.fromkeys(
        ("model.vision_tower", "model.multi_modal_projector", "model.language_model.layers.0", "lm_head"), "cpu"
    )
    parts |= dict.fromkeys(("model.language_model.layers.1", "model.language_model.layers.2"), "disk")
    parts |= {"model.language_model.embed_tokens": "disk", "model.language_model.norm": "cpu"}
    parts |= {"model.language_model.rotary_emb": "cpu"}
    split = vlm.load(saved, device_map=parts, offload_folder=tmp_path)
    assert split.device == torch.device("cpu")
    inputs = {"input_ids": torch.tensor([[1, 300, 301]]), "attention_mask": torch.ones(1, 3, dtype=torch.long)}
    ids = [one.model.generate(**inputs, max_new_tokens=5, do_sample=False).tolist() for one in (whole, split)]
    assert ids[0] == ids[1]


@pytest.mark.parametrize(("method", "tested"), [("quanto", True), ("bitsandbytes", False)])
def test_a_quantiser_that_was_not_tested_is_marked(method, tested):
    model, processor = llava.tiny()
    model.config.quantization_config = QuantizationConfigMixin(quant_method=method)
    loaded = vlm.load((model, processor))
    assert loaded.provenance()["quantization"] == method
    marked = f"The weights are quantised by {method}, which the engine was not tested with (tested: quanto)."
    assert loaded.notices == (() if tested else (marked,))


# ---- what does not load ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cause", "message"),
    [
        (GatedRepoError, "accept its terms at https://huggingface.co/google/paligemma-3b-pt-224, log in with `hf auth"),
        (RepositoryNotFoundError, "neither a folder here nor a model on the Hugging Face hub"),
        (LocalEntryNotFoundError, "not on this machine and the Hugging Face hub cannot be reached"),
    ],
)
def test_why_the_hub_did_not_give_a_model_is_said_in_a_sentence(monkeypatch, cause, message):
    def refuse(*_, **__):
        try:
            raise cause.__new__(cause)
        except cause as error:  # transformers wraps what the hub raises
            raise OSError("You are trying to access a repo.\nMake sure to have access to it.") from error

    monkeypatch.setattr(vlm, "hub_is_reachable", lambda: True)
    monkeypatch.setattr(AutoConfig, "from_pretrained", refuse)
    with pytest.raises(ValueError, match="google/paligemma-3b-pt-224") as caught:
        vlm.load("google/paligemma-3b-pt-224")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_tests_themselves_reach_no_hub():
    assert not checkpoints.hub_is_reachable()


def test_offline_a_name_that_is_not_cached_gives_a_sentence(monkeypatch):
    monkeypatch.setattr(vlm, "hub_is_reachable", lambda: False)
    with pytest.raises(ValueError, match=r"somebody/some-model is not on this machine .* dx\.load\(\)\.$"):
        vlm.load("somebody/some-model")


@pytest.mark.parametrize("name", ["./nowhere", "/no/such/folder", "llava", "a/b/c"])
def test_neither_a_folder_nor_a_name_is_said(name):
    with pytest.raises(ValueError, match="is neither a folder here nor a name on the hub"):
        vlm.load(name)


@pytest.mark.parametrize(
    ("removed", "named"),
    [
        ("config.json", "config.json"),
        ("processor_config.json", "processor_config.json or preprocessor_config.json"),
        ("tokenizer.json", "tokenizer.json or tokenizer.model or vocab.json"),
        ("model.safetensors", "model.safetensors or model.safetensors.index.json"),
    ],
)
def test_a_missing_file_is_named(folder, removed, named):
    (folder / removed).unlink()
    with pytest.raises(ValueError, match=f"copy' has no {named}"):
        vlm.load(folder)


def test_a_missing_shard_is_named(folder):
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {"lm_head.weight": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match=r"has no model-00001-of-00002.safetensors \(1 of 1 missing\)"):
        vlm.load(folder)


def test_a_truncated_weight_file_is_named_by_its_folder(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(ValueError, match="copy: a weight file is damaged or cut short"):
        vlm.load(folder)


def test_a_broken_configuration_file_is_named(folder):
    (folder / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"copy could not be loaded: .*config\.json"):
        vlm.load(folder)


def test_a_broken_tokenizer_file_is_said(folder):
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(ValueError, match=r"copy: one of its \.json files is damaged"):
        vlm.load(folder)


def test_weights_of_another_size_than_the_configuration_says_are_refused(folder):
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["hidden_size"] = 64
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"do not have the sizes that config\.json says"):
        vlm.load(folder)


def test_weights_that_the_files_lack_are_not_replaced_by_random_ones(folder):
    weights = load_file(folder / "model.safetensors")
    del weights[next(name for name in weights if name.endswith("lm_head.weight"))]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"the files lack 1 weights \(lm_head\.weight"):
        vlm.load(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_named(folder, value):
    weights = load_file(folder / "model.safetensors")
    name = next(name for name in weights if name.endswith("mlp.up_proj.weight"))
    weights[name][3, 4] = value
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"mlp\.up_proj\.weight holds NaN or infinity"):
        vlm.load(folder)


def test_a_text_only_model_is_said_to_be_one(tmp_path):
    _, processor = llava.tiny()
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    LlamaForCausalLM(LlamaConfig(vocab_size=32, **sizes)).save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    with pytest.raises(
        ValueError, match=r"'llama' is a text-only model .*Supported model types are florence2, llava, pal"
    ):
        vlm.load(tmp_path)


@pytest.mark.parametrize("kind", ["blip-2", "no_such_type"])
def test_another_type_is_answered_with_what_is_supported_and_how_to_add_it(folder, kind):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": kind}))
    with pytest.raises(ValueError, match=r"Supported model types are .*entry point group 'dexar_widgets.families'"):
        vlm.load(folder)


def test_an_unverified_field_in_the_file_is_named(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"attention_sinks": 4}))
    with pytest.raises(ValueError, match=r"config\.attention_sinks is 4: this field was not verified"):
        vlm.load(folder)


def test_what_is_no_pair_of_model_and_processor_is_said():
    model, processor = llava.tiny()
    with pytest.raises(ValueError, match=r"Expected a name, a folder or a pair .* got a LlavaForConditionalGeneration"):
        vlm.load(model)
    with pytest.raises(ValueError, match="the model is a LlavaProcessor"):
        vlm.load((processor, model))
    with pytest.raises(ValueError, match="LlavaModel has no language-model head"):
        vlm.load((model.model, processor))
    with pytest.raises(ValueError, match="processor is a LlamaTokenizer; expected one with an image processor"):
        vlm.load((model, processor.tokenizer))
    with pytest.raises(ValueError, match="pair is used as it is"):
        vlm.load((model, processor), device="cpu")


def test_an_unknown_dtype_is_answered_with_the_known_ones(saved):
    with pytest.raises(ValueError, match="dtype is 'float12'; expected 'float32'"):
        vlm.load(saved, dtype="float12")


@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_a_device_that_is_not_there_is_named(saved, device):
    with pytest.raises(ValueError, match=f"device is '{device}', which cannot be used here: "):
        vlm.load(saved, device=device)
