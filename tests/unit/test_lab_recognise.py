"""A picture that is no lab scene is noticed."""

import numpy as np
import pytest
from PIL import Image

from dexar_widgets.evaluation.corruptions import Corrupted, corrupt
from dexar_widgets.evaluation.samples import Given, Sample
from dexar_widgets.lab import is_lab_scene, recognise, scene

RANDOM = np.random.default_rng(0)
BLOBS = Image.fromarray(RANDOM.integers(0, 256, (6, 6, 3), np.uint8)).resize((300, 200), Image.Resampling.BICUBIC)


@pytest.mark.slow
def test_nearly_all_lab_scenes_are_recognised_at_every_size(monkeypatch) -> None:
    monkeypatch.setattr(recognise, "_key", lambda _: object())  # by their looks alone
    known = [is_lab_scene(scene(seed, size=(96, 192, 384)[seed % 3]).image) for seed in range(60)]
    assert np.mean(known) > 0.95  # 993 of 1,000 when it was measured


def test_what_this_process_drew_is_known_whatever_it_looks_like_now() -> None:
    one = scene(7, size=96).image
    (sample,) = (Corrupted(Given([Sample("one", one)]), "gaussian_noise", 5).load("one/gaussian_noise-5"),)
    assert is_lab_scene(sample.image)
    assert not is_lab_scene(corrupt(one, "gaussian_noise", 5, seed=1, sample="one"))


@pytest.mark.parametrize(
    "picture",
    [
        np.full((200, 300, 3), 255, np.uint8),
        np.full((200, 300, 3), 0, np.uint8),
        np.full((99, 99, 3), 128, np.uint8),
        np.full((99, 99, 3), (150, 200, 240), np.uint8),
        RANDOM.integers(0, 256, (300, 300, 3), np.uint8),
        np.asarray(BLOBS),
    ],
    ids=["white", "black", "gray", "light blue", "noise", "blobs"],
)
def test_other_pictures_are_not(picture: np.ndarray) -> None:
    assert not is_lab_scene(picture)
    assert not is_lab_scene(Image.fromarray(picture))
