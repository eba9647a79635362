import pytest
from PIL import Image, ImageSequence

from tests.browser import social

MOST_BYTES = {social.SOCIAL: 300_000, social.ANIMATION: 2_000_000}
MOST_MILLISECONDS = 12_000


@pytest.mark.slow
def test_picture_and_animation_are_made_small_and_short_enough(chromium, tmp_path):
    file = social.page_in(tmp_path)
    social.social(chromium, file, tmp_path / social.SOCIAL)
    social.animation(chromium, file, tmp_path / social.ANIMATION)
    for name, most in MOST_BYTES.items():
        assert (tmp_path / name).stat().st_size <= most
    assert Image.open(tmp_path / social.SOCIAL).size == social.SOCIAL_SIZE
    film = Image.open(tmp_path / social.ANIMATION)
    assert film.width == social.WIDTH
    shown = []
    for frame in ImageSequence.Iterator(film):
        frame.load()  # its duration is known then
        shown.append((frame.info["duration"], frame.tobytes()))
    assert sum(duration for duration, _ in shown) <= MOST_MILLISECONDS
    assert len({pixels for _, pixels in shown}) > 20  # it moves


@pytest.mark.parametrize("name", MOST_BYTES)
def test_what_readme_shows_is_there(name):
    kept = social.KEPT / name
    assert kept.stat().st_size <= MOST_BYTES[name]
    if name == social.SOCIAL:
        assert Image.open(kept).size == social.SOCIAL_SIZE
