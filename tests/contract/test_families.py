"""What every family promises: where the image is in the prompt and in the picture, and which inputs it refuses."""

import cases
import numpy as np
import pytest
import torch
from PIL import Image

from dexar_widgets import plugins, vlm

SIZES = [(60, 40), (40, 60), (37, 53), (32, 32), (90, 31)]
FAMILIES = plugins.names("families")


@pytest.fixture(params=cases.VARIANTS)
def handle(request):
    return cases.shared(request.param)


@pytest.fixture(params=FAMILIES)
def family(request):
    return plugins.get("families", request.param)


def picture(size, seed=0):
    width, height = size
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def encoded(handle, prompt=None, size=(60, 40), image=None):
    text = handle.family.prompt(handle.processor, prompt).text
    inputs = handle.processor(images=image or picture(size), text=text, return_tensors="pt")
    return inputs, handle.family.layout(handle.model, handle.processor, inputs, size)


def image_features(model, pixels):
    """The features that replace the image tokens, in their order, whatever the family calls them."""
    with torch.no_grad():
        features = model.get_image_features(pixel_values=pixels).pooler_output
    return torch.cat(list(features)) if isinstance(features, (list, tuple)) else features[0]


# ---- where the image is ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_a_white_block_in_a_cells_part_of_the_picture_is_seen_by_that_cells_patch(handle, size):
    _, layout = encoded(handle, size=size)
    (grid,) = layout.grids
    left, top, right, bottom = grid.box
    width, height = (right - left) / grid.cols, (bottom - top) / grid.rows
    for row, col in [(0, 0), (1, 3), (3, 2), (grid.rows - 1, grid.cols - 1)]:
        pixels = np.zeros((size[1], size[0], 3), np.uint8)
        y, x = top + (row + 0.5) * height, left + (col + 0.5) * width
        pixels[round(y - height / 4) : round(y + height / 4) + 1, round(x - width / 4) : round(x + width / 4) + 1] = 255
        inputs, _ = encoded(handle, size=size, image=Image.fromarray(pixels))
        light = inputs["pixel_values"][0].mean(0)
        patches = light.reshape(grid.rows, light.shape[0] // grid.rows, grid.cols, light.shape[1] // grid.cols)
        assert divmod(int(patches.mean((1, 3)).argmax()), grid.cols) == (row, col)


def test_the_image_token_of_a_cell_carries_the_feature_of_that_cells_patch(handle):
    inputs, layout = encoded(handle)
    (grid,) = layout.grids
    pixels = inputs["pixel_values"]
    side = pixels.shape[-1] // grid.cols
    at = np.flatnonzero(layout.is_image)
    for row, col in [(0, 0), (1, 3), (3, 2)]:
        changed = pixels.clone()
        changed[..., row * side : (row + 1) * side, col * side : (col + 1) * side] += 5
        moved = (image_features(handle.model, changed) - image_features(handle.model, pixels)).norm(dim=-1)
        moved[layout.cells[at, 0] < 0] = 0  # a pooled feature moves with every patch
        assert layout.cells[at[int(moved.argmax())]].tolist() == [0, row, col]


def test_the_image_tokens_are_where_the_models_image_id_is(handle):
    inputs, layout = encoded(handle)
    ids = inputs["input_ids"][0].numpy()
    assert np.array_equal(layout.ids, ids)
    assert np.array_equal(layout.is_image, ids == handle.model.config.image_token_id)
    assert len(image_features(handle.model, inputs["pixel_values"])) == layout.is_image.sum()


def test_patch_features_are_those_the_projector_reads(handle):
    inputs, layout = encoded(handle)
    (grid,) = layout.grids
    tower, projector, heard = handle.anatomy.vision_tower, handle.model.model.multi_modal_projector, []
    hooks = [
        tower.register_forward_hook(lambda module, args, output: heard.append(handle.anatomy.patch_features(output))),
        projector.register_forward_pre_hook(lambda module, args: heard.append(args[0][0])),
    ]
    try:
        image_features(handle.model, inputs["pixel_values"])
    finally:
        [hook.remove() for hook in hooks]
    found, read = heard
    assert found.shape[0] == grid.rows * grid.cols
    if read.dim() == 3:  # feature, row, col
        cells = [read[:, row, col] for row in range(grid.rows) for col in range(grid.cols)]
        assert torch.equal(found, torch.stack(cells))
    else:
        assert torch.equal(found, read)


def test_pieces_join_to_the_prompt_and_every_token_has_a_kind(handle):
    _, layout = encoded(handle, "What is it?")
    text = "".join(piece for piece, kind in zip(layout.pieces, layout.kinds, strict=True) if kind == "prompt")
    assert text.strip().replace(" ", "") == "Whatisit?"
    special = set(handle.tokenizer.all_special_ids) - {handle.model.config.image_token_id}
    assert [kind == "special" for kind in layout.kinds] == [int(token) in special for token in layout.ids]


def test_a_grid_that_does_not_match_the_pixels_is_named(handle):
    inputs, _ = encoded(handle)
    inputs["pixel_values"] = inputs["pixel_values"][..., :24, :24]
    with pytest.raises(ValueError, match=r"24×24|geometry"):
        handle.family.layout(handle.model, handle.processor, inputs, (60, 40))


def test_a_missing_image_token_is_named(handle):
    inputs, layout = encoded(handle)
    keep = np.delete(np.arange(len(layout)), np.flatnonzero(layout.is_image)[0])
    inputs["input_ids"] = inputs["input_ids"][:, keep]
    with pytest.raises(ValueError, match="image tokens but the model gives 4×4 cells"):
        handle.family.layout(handle.model, handle.processor, inputs, (60, 40))


# ---- the decoder -----------------------------------------------------------------------------------------------


def test_final_norm_and_unembedding_of_the_last_block_are_the_models_logits(handle):
    inputs, _ = encoded(handle)
    anatomy, heard = handle.anatomy, []
    hook = anatomy.blocks[-1].register_forward_hook(lambda module, args, output: heard.append(output))
    extra = {"decoder_input_ids": torch.tensor([[2, 0, 7]])} if anatomy.cross_attention else {}
    try:
        with torch.no_grad():
            expected = handle.model(**inputs, **extra).logits
    finally:
        hook.remove()
    hidden = heard[0][0] if isinstance(heard[0], tuple) else heard[0]
    with torch.no_grad():
        logits = anatomy.unembedding(anatomy.final_norm(hidden))
    cap = anatomy.softcap
    assert torch.allclose(logits if cap is None else cap * torch.tanh(logits / cap), expected, atol=1e-5)


def test_there_is_one_of_each_part_per_layer(handle):
    anatomy = handle.anatomy
    layers = len(anatomy.blocks)
    assert len(anatomy.attentions) == len(anatomy.projections) == layers
    assert len(anatomy.windows) in {0, layers}
    for block, attention, projection in zip(anatomy.blocks, anatomy.attentions, anatomy.projections, strict=True):
        assert attention in list(block.modules())
        assert projection in list(attention.modules())
        assert projection.in_features % anatomy.heads == 0


# ---- prompts ---------------------------------------------------------------------------------------------------


def test_no_prompt_is_the_papers_prompt(handle):
    family, processor = handle.family, handle.processor
    assert family.prompt(processor, None) == family.prompt(processor, family.DEFAULT_PROMPT)
    assert family.DEFAULT_PROMPT in {"USER: <image>\nClassify the image. ASSISTANT:", "Cap.", "<DETAILED_CAPTION>"}
    assert not family.prompt(processor, None).notices


@pytest.mark.parametrize("prompt", ["", "  \n", "<image>", "<image>\n"])
def test_an_empty_prompt_is_refused(handle, prompt):
    with pytest.raises(ValueError, match="prompt is empty"):
        handle.family.prompt(handle.processor, prompt)


def test_two_image_placeholders_are_refused(handle):
    with pytest.raises(ValueError, match="2 image placeholders '<image>'; expected one"):
        handle.family.prompt(handle.processor, "<image> and <image>")


# ---- configurations --------------------------------------------------------------------------------------------


def changed(config, **fields):
    for name, value in fields.items():
        object.__setattr__(config, name, value)
    return config


@pytest.mark.parametrize("part", ["config", "vision_config", "text_config"])
def test_an_unverified_field_is_named_with_its_value(family, part):
    model, _ = family.tiny()
    target = model.config if part == "config" else getattr(model.config, part)
    changed(target, attention_sinks=3)
    with pytest.raises(ValueError, match=rf"{part}\.attention_sinks is 3.*entry point group 'dexar_widgets.families'"):
        family.verify(model.config)


@pytest.mark.parametrize("part", ["vision_config", "text_config"])
def test_an_unverified_part_is_named_with_what_is_verified(family, part):
    model, _ = family.tiny()
    changed(getattr(model.config, part), model_type="qwen9")
    with pytest.raises(ValueError, match=rf"{part}\.model_type is 'qwen9'; verified are '.*To support it"):
        family.verify(model.config)


def test_the_tiny_model_itself_is_verified(handle):
    handle.family.verify(handle.model.config)
    handle.family.repair(handle.processor, handle.model.config)


def test_another_models_processor_is_refused(family):
    model, processor = family.tiny()
    processor.image_token_id += 1
    with pytest.raises(ValueError, match=r"id \d+.*model"):
        family.repair(processor, model.config)


# ---- tiny models and files -------------------------------------------------------------------------------------


def test_a_seed_gives_the_same_tiny_model_and_leaves_the_callers_random_numbers_alone(family):
    torch.manual_seed(5)
    first = dict(family.tiny(seed=1)[0].named_parameters())
    drawn = torch.rand(3)
    torch.manual_seed(5)
    again, other = (dict(family.tiny(seed=seed)[0].named_parameters()) for seed in (1, 2))
    assert torch.equal(drawn, torch.rand(3))
    assert all(torch.equal(weight, again[name]) for name, weight in first.items())
    assert not all(torch.equal(weight, other[name]) for name, weight in first.items())


def test_a_folder_gives_the_same_ids_and_logits_as_the_pair_it_was_saved_from(handle, tmp_path):
    handle.model.save_pretrained(tmp_path)
    handle.processor.save_pretrained(tmp_path)
    loaded = vlm.load(tmp_path)
    prompts = [None, "What is it?", "<image>\nA red cup"]
    for prompt in prompts:
        before, layout = encoded(handle, prompt)
        after, again = encoded(loaded, prompt)
        assert all(torch.equal(before[name], after[name]) for name in before)
        assert (layout.kinds, layout.pieces, layout.grids) == (again.kinds, again.pieces, again.grids)
        extra = {"decoder_input_ids": torch.tensor([[2, 0, 7]])} if handle.anatomy.cross_attention else {}
        with torch.no_grad():
            assert torch.equal(handle.model(**before, **extra).logits, loaded.model(**after, **extra).logits)
    assert loaded.family is handle.family
    assert loaded.name == str(tmp_path)
