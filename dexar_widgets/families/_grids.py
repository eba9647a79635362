"""From a processor's geometry and a prompt's ids to a `TokenLayout`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dexar_widgets.families._verification import HOW_TO_ADD
from dexar_widgets.types import Box, Grid, Kind, TokenLayout
from dexar_widgets.words import Pieces

__all__ = ["covered_box", "image_layout", "patch_grid", "patch_rows_cols", "token_pieces"]

Size = tuple[int, int]


def token_pieces(tokenizer: Any, ids: Sequence[int], *, image_id: int) -> tuple[str, ...]:
    """The text of each token as it reads in context: the pieces join to the whole text."""
    reader, image = Pieces(tokenizer), tokenizer.convert_ids_to_tokens([image_id])[0]
    return tuple(image if token == image_id else reader.add(token) for token in ids)


def patch_rows_cols(vision: Any) -> tuple[int, int]:
    """Rows and columns of a vision transformer's patches, from its configuration."""
    image, patch = vision.image_size, vision.patch_size
    if not isinstance(image, int) or not isinstance(patch, int):
        raise ValueError(
            f"vision_config.image_size is {image!r} and patch_size {patch!r}; verified are square ones. {HOW_TO_ADD}"
        )
    return image // patch, image // patch


def patch_grid(vision: Any, image_processor: Any, pixels: Float[Tensor, "1 3 height width"], size: Size) -> Grid:
    """The grid of a vision transformer on a processed image; ``size`` is the original's (width, height)."""
    rows, cols = patch_rows_cols(vision)
    patch = vision.patch_size
    height, width = pixels.shape[-2:]
    if (height // patch, width // patch) != (rows, cols):
        raise ValueError(
            f"The processor gave {width}×{height} pixels, {height // patch}×{width // patch} patches, but the vision "
            f"tower expects a {rows}×{cols} grid; is the processor of another checkpoint?"
        )
    seen = (cols * patch, rows * patch)  # a rest that fills no patch is not seen
    return Grid(rows, cols, covered_box(image_processor, size, processed=(width, height), seen=seen), size)


def covered_box(image_processor: Any, size: Size, *, processed: Size, seen: Size) -> Box:
    """The part of the original image that the grid covers, in its pixels (beyond it where a processor pads).

    All sizes are (width, height): the original's, the pixel values', and the part of those the grid sees.
    """
    (left, top, right, bottom), expected = _frame(image_processor, size)
    if expected != processed:
        raise ValueError(
            f"{type(image_processor).__name__} gave {processed[0]}×{processed[1]} pixels for a {size[0]}×{size[1]} "
            f"image; its resize and crop settings say {expected[0]}×{expected[1]}. Its geometry is not known, so maps "
            "could not be placed on the image."
        )
    scale_x, scale_y = (right - left) / processed[0], (bottom - top) / processed[1]
    return (left, top, left + seen[0] * scale_x, top + seen[1] * scale_y)


def _frame(image_processor: Any, size: Size) -> tuple[Box, Size]:
    """The processed image's frame in pixels of the original, and the processed size."""
    width, height = size
    left, top = 0.0, 0.0
    if getattr(image_processor, "do_pad", False):
        side = max(width, height)
        left, top = -((side - width) // 2), -((side - height) // 2)
        width = height = side
    scale_x = scale_y = 1.0
    if image_processor.do_resize:
        resized = _resized((width, height), image_processor.size)
        scale_x, scale_y = width / resized[0], height / resized[1]
        width, height = resized
    if getattr(image_processor, "do_center_crop", False):
        crop = image_processor.crop_size
        left += (width - crop["width"]) // 2 * scale_x
        top += (height - crop["height"]) // 2 * scale_y
        width, height = crop["width"], crop["height"]
    return (left, top, left + width * scale_x, top + height * scale_y), (width, height)


def _resized(size: Size, target: Any) -> Size:
    """The size after resizing to (height, width), or so that the shortest edge has a given length."""
    names = dict(target)
    if names.get("height") and names.get("width"):
        return int(names["width"]), int(names["height"])
    if names.get("shortest_edge") and not names.get("longest_edge"):
        short, edge = min(size), int(names["shortest_edge"])
        # Truncated, as transformers' get_resize_output_image_size does.
        width, height = (edge if side == short else int(edge * side / short) for side in size)
        return width, height
    raise ValueError(f"The image processor resizes to {names}; known are height and width, or shortest_edge alone.")


def image_layout(
    tokenizer: Any,
    ids: Int[np.ndarray, " token"],
    *,
    image_id: int,
    grid: Grid,
    system: Bool[np.ndarray, " token"] | None = None,
    pooled: int = 0,
) -> TokenLayout:
    """The layout of a prompt with one image: its cells in row-major order at the ids that equal ``image_id``.

    The first ``pooled`` image tokens show no cell. Blank text is template, not the user's words.
    """
    at = np.flatnonzero(ids == image_id)
    expected = grid.rows * grid.cols + pooled
    if len(at) != expected:
        raise ValueError(
            f"The prompt holds {len(at)} image tokens but the model gives {grid.rows}×{grid.cols} cells and {pooled} "
            f"pooled: {expected}; do the processor's patch size and number of additional tokens match the model?"
        )
    cells = np.full((len(ids), 3), -1)
    cells[at[pooled:]] = np.stack(
        [np.zeros(expected - pooled, int), *divmod(np.arange(expected - pooled), grid.cols)], 1
    )
    pieces = token_pieces(tokenizer, ids.tolist(), image_id=image_id)
    special = set(tokenizer.all_special_ids)
    kinds: list[Kind] = []
    for index, token in enumerate(ids.tolist()):
        if token == image_id:
            kinds.append("image")
        elif token in special:
            kinds.append("special")
        else:
            template = (system is not None and bool(system[index])) or not pieces[index].strip()
            kinds.append("system" if template else "prompt")
    return TokenLayout(ids, pieces, tuple(kinds), cells, (grid,))
