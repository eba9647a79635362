"""Files of every awkward kind, made here by hand; the expected pixels are worked out by hand."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dexar_widgets.images import open_image

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def png(width: int, height: int, depth: int, colour: int, rows: bytes, extra: bytes = b"") -> bytes:
    """A PNG written by hand: ``rows`` are the filter byte and samples of each row."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def row(*colours: tuple[int, ...]) -> np.ndarray:
    return np.array([colours], np.uint8)


# What is read


def test_an_rgb_png_is_read_as_it_is_and_named_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "two.png"
    path.write_bytes(png(2, 1, 8, 2, b"\0" + bytes([*RED, *BLUE])))
    opened = open_image(path)
    assert opened.image.dtype == np.uint8
    np.testing.assert_array_equal(opened.image, row(RED, BLUE))
    assert (opened.source, opened.notices) == (str(path), ())


@pytest.mark.parametrize("how", ["text", "bytes", "file", "pillow"])
def test_every_way_to_give_the_same_file_gives_the_same_pixels(tmp_path: Path, how: str) -> None:
    content = png(2, 1, 8, 2, b"\0" + bytes([*RED, *BLUE]))
    path = tmp_path / "two.png"
    path.write_bytes(content)
    source = {"text": str(path), "bytes": content, "file": io.BytesIO(content), "pillow": Image.open(path)}[how]
    np.testing.assert_array_equal(open_image(source).image, row(RED, BLUE))


def test_a_greyscale_png_repeats_its_value_in_three_channels() -> None:
    np.testing.assert_array_equal(open_image(png(2, 1, 8, 0, b"\0\x07\xff")).image, row((7, 7, 7), WHITE))


def test_a_palette_png_shows_the_colours_of_its_palette() -> None:
    palette = bytes([*RED, *GREEN])
    chunk = struct.pack(">I", 6) + b"PLTE" + palette + struct.pack(">I", zlib.crc32(b"PLTE" + palette))
    opened = open_image(png(2, 1, 8, 3, b"\0\x01\x00", chunk))
    np.testing.assert_array_equal(opened.image, row(GREEN, RED))


def test_a_transparent_palette_entry_is_laid_on_white() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([*RED, *GREEN])
    image.putdata([0, 1])
    opened = open_image(encoded(image, "PNG", transparency=0))
    np.testing.assert_array_equal(opened.image, row(WHITE, GREEN))
    assert opened.notices == ("Transparent parts were laid on white.",)


def test_half_transparent_red_on_white_is_pink() -> None:
    opened = open_image(png(2, 1, 8, 6, b"\0" + bytes([*RED, 51, *RED, 255])))
    # 51/255 = 1/5 of red (255, 0, 0) and 4/5 of white: (255, 204, 204)
    np.testing.assert_array_equal(opened.image, row((255, 204, 204), RED))
    assert len(opened.notices) == 1


def test_an_alpha_channel_that_hides_nothing_is_not_worth_a_notice() -> None:
    assert open_image(png(1, 1, 8, 6, b"\0" + bytes([*RED, 255]))).notices == ()


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    opened = open_image(png(3, 1, 16, 0, b"\0" + struct.pack(">HHH", 0, 32896, 65535)))
    # 32896 / 65535 · 255 = 128
    np.testing.assert_array_equal(opened.image[0, :, 0], [0, 128, 255])
    assert "16-bit" in opened.notices[0]


def test_sixteen_bit_colour_keeps_its_proportions() -> None:
    opened = open_image(png(1, 1, 16, 2, b"\0" + struct.pack(">HHH", 65535, 32896, 0)))
    np.testing.assert_array_equal(opened.image, row((255, 128, 0)))


def test_a_sixteen_bit_tiff_is_scaled() -> None:
    image = Image.fromarray(np.array([[0, 257, 65535]], np.uint16))
    np.testing.assert_array_equal(open_image(encoded(image, "TIFF")).image[0, :, 0], [0, 1, 255])


def test_a_cmyk_jpeg_becomes_rgb_and_says_that_its_profile_was_not_used() -> None:
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # no cyan, full magenta and yellow: red
    opened = open_image(encoded(image, "JPEG", quality=100))
    assert np.abs(opened.image.astype(int) - RED).max() <= 3
    assert "CMYK" in opened.notices[0]


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [(1, [[1, 2, 3]]), (2, [[3, 2, 1]]), (3, [[3, 2, 1]]), (6, [[1], [2], [3]]), (8, [[3], [2], [1]])],
)
def test_an_exif_rotation_is_applied(orientation: int, expected: list[list[int]]) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(np.array([[1, 2, 3]], np.uint8))
    np.testing.assert_array_equal(open_image(encoded(image, "PNG", exif=exif)).image[..., 0], expected)


def test_damaged_exif_data_do_not_cost_the_picture() -> None:
    content = encoded(Image.new("RGB", (16, 16), RED), "JPEG", exif=b"Exif\0\0" + b"\xff" * 40)
    assert open_image(content).image.shape == (16, 16, 3)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_of_an_animation_the_first_frame_is_used_and_that_is_said(kind: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in (RED, GREEN, BLUE)]
    options: dict[str, object] = {"lossless": True} if kind == "WEBP" else {}
    opened = open_image(encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options))
    assert (opened.image == np.array(RED, np.uint8)).all()
    assert opened.notices == ("Only the first of 3 frames is used.",)


def test_of_a_tiff_the_first_page_is_used() -> None:
    pages = [Image.new("RGB", (4, 4), colour) for colour in (RED, GREEN)]
    opened = open_image(encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:]))
    assert (opened.image == np.array(RED, np.uint8)).all()
    assert opened.notices == ("Only the first of 2 pages is used.",)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (20000, 10), (10, 20000)])
def test_extreme_shapes_are_opened(width: int, height: int) -> None:
    content = encoded(Image.new("RGB", (width, height), RED), "PNG")
    assert open_image(content).image.shape == (height, width, 3)


# Arrays


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.array([[[9, 8, 7]]], np.uint8), (9, 8, 7)),
        (np.array([[[0.0, 0.5, 1.0]]], np.float64), (0, 128, 255)),
        (np.array([[[0.0, 0.5, 1.0]]], np.float16), (0, 128, 255)),
        (np.array([[[0, 32896, 65535]]], np.uint16), (0, 128, 255)),
        (np.array([[[3, 2, 1]]], np.int64), (3, 2, 1)),
        (np.array([[True]]), WHITE),
        (np.array([[[5]]], np.uint8), (5, 5, 5)),
        (np.array([[[1.0, 0.0, 0.0, 0.2]]]), (255, 204, 204)),
    ],
)
def test_arrays_are_read_by_their_dtype(array: np.ndarray, expected: tuple[int, int, int]) -> None:
    np.testing.assert_array_equal(open_image(array).image, row(expected))


def test_the_result_shares_no_memory_with_the_callers_array() -> None:
    array = np.zeros((2, 2, 3), np.uint8)
    opened = open_image(array)
    opened.image[0, 0] = 9
    assert not array.any()


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((3, 8, 9), np.uint8), r"transpose\(1, 2, 0\)"),
        (np.zeros((8, 9, 2), np.uint8), "expected"),
        (np.zeros((0, 9, 3), np.uint8), "no pixels"),
        (np.zeros(4, np.uint8), "expected"),
        (np.array([[0.0, 200.0]]), r"200; expected floats in \[0, 1\]"),
        (np.array([[-0.5, 1.0]]), "-0.5"),
        (np.array([[np.nan, 1.0]]), "NaN"),
        (np.array([[0, 256]]), "256"),
        (np.array([["a"]]), "dtype"),
    ],
)
def test_arrays_that_cannot_be_an_image_say_why(array: np.ndarray, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        open_image(array)


# What is refused


def test_a_missing_file_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"No image at 'nowhere/cat\.png'"):
        open_image("nowhere/cat.png")


def test_a_folder_an_address_and_a_null_character_are_refused(tmp_path: Path) -> None:
    for source, words in (
        (tmp_path, "folder"),
        ("https://example.org/cat.png", "web address"),
        ("a\0b.png", "null character"),
    ):
        with pytest.raises(ValueError, match=words):
            open_image(source)


def test_a_file_opened_as_text_is_refused() -> None:
    with pytest.raises(ValueError, match="binary mode"):
        open_image(io.StringIO("text"))


@pytest.mark.parametrize("content", [b"", b"This is a letter, no picture.", b"\x89PNG\r\n\x1a\n"])
def test_what_is_empty_or_no_image_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "letter.png"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"letter\.png"):
        open_image(path)
    with pytest.raises(ValueError, match="bytes"):
        open_image(content)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_truncated_file_is_refused_or_whole_never_half(kind: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    content = encoded(Image.fromarray(noise), kind)
    with pytest.raises(ValueError, match=r"damaged or truncated|not an image"):
        open_image(content[: int(share * len(content))])


def test_a_decompression_bomb_is_refused_before_it_is_decoded() -> None:
    bomb = png(60000, 60000, 8, 0, b"")  # 3.6 thousand million pixels in 67 bytes
    with pytest.raises(ValueError, match="decompression bomb"):
        open_image(bomb)


def test_the_smaller_limit_at_which_pillow_only_warns_is_an_error_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(ValueError, match="limit of 10 pixels"):
        open_image(png(4, 4, 8, 0, (b"\0" + bytes(4)) * 4))


def test_a_vector_drawing_is_refused_because_an_external_program_would_draw_it() -> None:
    drawing = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
    with pytest.raises(ValueError, match="vector drawing"):
        open_image(drawing)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_damaged_bytes_of_every_kind_give_an_image_or_a_value_error() -> None:
    generator = np.random.default_rng(1)
    picture = Image.fromarray(generator.integers(0, 256, (24, 24, 3), np.uint8))
    for kind in ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "PPM"):
        content = encoded(picture, kind)
        for _ in range(40):
            damaged = bytearray(content)
            for position in generator.integers(0, len(content), 6):
                damaged[position] = generator.integers(0, 256)
            try:
                assert open_image(bytes(damaged)).image.dtype == np.uint8
            except ValueError as error:
                assert "\n" not in str(error)
