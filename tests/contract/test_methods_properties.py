"""Known properties of methods, on the embedded model: trained weights, an answer that says a word twice."""

import numpy as np
import pytest

import dexar_widgets as dx
from dexar_widgets.methods import rise

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def lab():
    handle = dx.load()
    scene = dx.lab.scene(7, objects=["green square", "yellow football", "gray square"], prompt="What do you see?")
    e = dx.explain(handle, scene.image, scene.prompt, answer=scene.caption)
    words = [word.text.strip() for word in e.generation.words]
    assert words.count("square") == 2
    yield e  # with the model in memory
    del handle


def test_tams_maps_of_one_word_said_twice_are_equal_to_the_last_bit_before_its_causal_step(lab):
    first, second = (word.steps for word in lab.generation.words if word.text.strip() == "square")
    raw = dx.attribute(lab, method="tam", stage="raw")
    assert raw.maps[first[0]].tobytes() == raw.maps[second[0]].tobytes()
    assert raw.maps[first[0]].max() > 0
    full = dx.attribute(lab, method="tam")
    assert not np.array_equal(full.maps[first[0]], full.maps[second[0]])
    ours = dx.attribute(lab, method="dexar")
    assert not np.array_equal(ours.maps[first[0]], ours.maps[second[0]])


def test_integrated_gradients_come_nearer_to_completeness_with_more_steps(lab):
    errors = [
        dx.attribute(lab, method="integrated_gradients", n_steps=n, batch_size=16).notes["completeness_error"]
        for n in (4, 24, 96)
    ]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.15


def test_two_draws_of_rise_agree_the_better_the_more_masks(lab):
    step = lab.steps_of("green")[0]

    def apart(count):
        one, other = (
            dx.attribute(lab, method="rise", steps=step, n_masks=count, seed=seed, batch_size=32).maps
            for seed in (1, 2)
        )
        return np.abs(one - other).mean()

    few, many = apart(16), apart(256)
    assert many < few / 2  # 16 × as many masks: a quarter, by chance between a sixth and a half


def test_batches_change_nothing_but_last_digits(lab):
    one, other = (
        dx.attribute(lab, method="rise", n_masks=12, batch_size=size, score="log_probability").maps for size in (1, 12)
    )
    assert np.abs(one - other).max() < 1e-4 * np.abs(one).max()


def test_peak_memory_follows_the_batch(lab):
    small, large = (dx.attribute(lab, method="rise", n_masks=64, batch_size=size).cost.peak_bytes for size in (1, 64))
    if large is None:
        pytest.skip("this system does not tell a process's peak of memory")
    assert large > small


def test_rises_masks_show_as_much_as_they_should_and_are_shifted_by_less_than_a_square():
    options = rise.Options(shown=0.3, cells=4)
    drawn = rise.masks(range(400), 24, 40, options)
    assert drawn.shape == (400, 24, 40)
    assert drawn.min() >= 0 and drawn.max() <= 1 + 1e-6
    # each pixel by itself: no place is shown more often than another
    assert drawn.mean((1, 2)).mean() == pytest.approx(0.3, abs=0.02)
    assert np.abs(drawn.mean(0) - 0.3).max() < 0.12
    assert np.array_equal(rise.masks([7], 24, 40, options)[0], drawn[7])
    assert not np.array_equal(rise.masks([7], 24, 40, rise.Options(shown=0.3, cells=4, seed=1))[0], drawn[7])


def test_a_mask_of_rise_is_its_squares_enlarged_bilinearly_and_shifted(monkeypatch):
    class Chosen:
        """Squares (shown, hidden) over (hidden, hidden), shifted by one row and two columns."""

        def random(self, shape):
            assert shape == (1, 1, 2, 2)
            return np.array([[[[0.0, 0.9], [0.9, 0.9]]]])

        def __init__(self, shifts):
            self.shifts = iter(shifts)

        def integers(self, low, high):
            assert (low, high) == (0, 4)
            return next(self.shifts)

    monkeypatch.setattr(rise.np.random, "default_rng", lambda _: Chosen([1, 2]))
    (mask,) = rise.masks([0], 8, 8, rise.Options(cells=2))
    # 2 squares over 12 pixels: pixel i lies at (i + ½)/6 − ½ squares; the shown one falls off as 1 less that, by axis

    def falloff(shift):
        place = np.clip((np.arange(shift, shift + 8) + 0.5) / 6 - 0.5, 0, 1)
        return 1 - place

    assert mask == pytest.approx(falloff(1)[:, None] * falloff(2), abs=1e-6)
