"""Means and intervals worked out by hand, and how the bootstrap draws."""

import math

import numpy as np
import pytest

from inpaint.evaluation import statistics
from inpaint.evaluation.statistics import (
    as_texts,
    gain_and_ci95,
    in_words,
    mean_and_ci95,
    mean_and_stderr,
    resampled_means,
    subject,
    widened,
)


def test_two_values_have_a_standard_error_and_no_interval():
    assert mean_and_stderr([1.0, 4.0]) == {"mean": 2.5, "stderr": pytest.approx(math.sqrt(4.5 / 2))}
    assert mean_and_ci95([1.0, 4.0]) == {"mean": 2.5, "ci95": None}


def test_the_level_of_few_images_is_wider_as_student_s_t_is():
    """Of 20 values t is 2.093; times sqrt(20 / 19) that is 2.1474 of the normal distribution, 0.9682 of it inside."""
    assert widened(20) == pytest.approx(0.9682, abs=1e-4)
    assert widened(10_000) == pytest.approx(0.95, abs=1e-4)


def test_a_long_tail_pulls_the_interval_to_its_side():
    """BCa, unlike percentiles of a symmetric bootstrap, reaches further where the tail is."""
    low, high = mean_and_ci95([0.0] * 27 + [10.0] * 3)["ci95"]
    assert high - 1 > 1.2 * (1 - low)


def test_the_interval_over_seeds_by_hand():
    """Three seeds, whose images all gain 1, 2 and 6: the mean is 3, the variance of the seeds 7, the error sqrt(7 / 3),
    and t of two degrees of freedom 4.3027."""
    figure = gain_and_ci95([np.repeat([[1.0], [2.0], [6.0]], 30, axis=1)])
    half = 4.3027 * math.sqrt(7 / 3)
    assert figure["mean"] == 3 and figure["of"] == "training, 3 seeds"
    assert figure["ci95"] == pytest.approx([3 - half, 3 + half], rel=0.05)


def test_seeds_of_both_sides_and_images_add_up_by_hand():
    """Variances of the mean: 7 / 3 of the first side's seeds, 4 / 3 of the second's, 25 / 24 of the images, which are
    shared; degrees of freedom by Satterthwaite, of 2, 2 and 24."""
    images = np.array([5.0, -5.0] * 12 + [0.0])  # variance 24 * 25 / 24 = 25; of the mean, 1
    one, two = np.array([[1.0], [2.0], [6.0]]), np.array([[-2.0], [0.0], [2.0]])
    figure = gain_and_ci95([one + images, two + 0 * images])
    parts = [(7 / 3, 2), (4 / 3, 2), (1.0, 24)]
    total = sum(variance for variance, _ in parts)
    freedom = total**2 / sum(variance**2 / degrees for variance, degrees in parts)
    assert 5 < freedom < 6
    half = 2.5 * math.sqrt(total)  # t of 5.8 degrees of freedom: 2.57 for 5, 2.45 for 6
    assert figure["mean"] == 3
    assert figure["ci95"][1] - 3 == pytest.approx(half, rel=0.06) == 3 - figure["ci95"][0]


def test_resampled_seeds_and_images_have_the_spread_of_the_mean():
    seeds = np.repeat([[1.0], [2.0], [6.0]], 20, axis=1)
    means = resampled_means([seeds], 0, 20_000)
    assert means.mean() == pytest.approx(3, abs=0.05) and means.var() == pytest.approx(7 / 3, rel=0.05)
    plain = resampled_means([seeds], 0, 20_000, unbiased=False)
    assert plain.var() == pytest.approx(7 / 3 * 2 / 3, rel=0.05) and set(plain.round(9)) <= {
        round((a + b + c) / 3, 9) for a in (1, 2, 6) for b in (1, 2, 6) for c in (1, 2, 6)
    }
    images = np.repeat(np.arange(20.0)[None], 3, axis=0)
    assert resampled_means([images], 0, 20_000).var() == pytest.approx(35 / 20, rel=0.05)  # 20 * 21 / 12 = 35


def test_the_sides_of_a_gain_share_the_resampled_images():
    """What the images differ by in both sides is taken away from itself."""
    images = 100 * np.random.default_rng(0).normal(size=(1, 30))
    ours, theirs = np.array([[1.0], [2.0], [3.0]]) + images, np.array([[2.0], [3.0], [4.0]]) + images
    assert np.abs(resampled_means([theirs, -ours], 0) - 1).max() < 5
    low, high = gain_and_ci95([theirs, -ours])["ci95"]
    assert -4 < low < 1 < high < 6


@pytest.mark.parametrize(
    ("seeds", "words"),
    [
        ([1], "this checkpoint"),
        ([1, 1], "these checkpoints"),
        ([2], "these checkpoints"),
        ([3], "training, 3 seeds"),
        ([3, 2], "these checkpoints"),
        ([3, 4], "training, 3 and 4 seeds"),
    ],
)
def test_an_interval_is_of_training_from_three_seeds_a_side(seeds, words):
    assert subject(seeds) == words
    sides = [np.random.default_rng(0).normal(size=(count, 25)) for count in seeds]
    figure = gain_and_ci95(sides)
    assert figure["of"] == words
    over_images = mean_and_ci95(sum(side.mean(axis=0) for side in sides))
    assert (figure["ci95"] == over_images["ci95"]) == words.endswith(("checkpoint", "checkpoints"))
    assert figure["mean"] == pytest.approx(over_images["mean"])


def test_a_gain_in_words_says_of_what_it_is():
    figure = {"mean": 1.0, "ci95": [-2.0, 3.0], "of": "this checkpoint"}
    assert in_words(figure) == "+1.00 nats per image, 95 % interval [-2.00, +3.00], of this checkpoint"
    unknown = "+1.00 nats per image, 95 % interval unknown under 20 images, of this checkpoint"
    assert in_words(figure | {"ci95": None}) == unknown


def test_the_mean_is_that_of_the_values_not_of_the_resampled_means():
    values = np.random.default_rng(0).exponential(size=37)
    assert mean_and_ci95(values)["mean"] == values.mean()


def test_the_interval_leaves_out_a_fortieth_on_each_side():
    """Of 0 and 1 in equal parts, 100 of each, the mean's deviation is 1 / sqrt(800)."""
    low, high = mean_and_ci95([0.0, 1.0] * 100)["ci95"]
    assert (low, high) == (pytest.approx(0.5 - 1.96 / math.sqrt(800), abs=0.006), pytest.approx(1 - low, abs=0.012))


class Counting(np.random.Generator):
    """NumPy's generator, which tells how many numbers were drawn at once."""

    def __init__(self, real, drawn):
        super().__init__(real.bit_generator)
        self.drawn = drawn

    def integers(self, *bounds, size, **others):
        self.drawn.append(size)
        return super().integers(*bounds, size=size, **others)


def test_ten_thousand_means_are_drawn_in_bounded_memory(monkeypatch):
    drawn, real = [], np.random.default_rng
    monkeypatch.setattr(statistics.np.random, "default_rng", lambda seed: Counting(real(seed), drawn))
    mean_and_ci95(np.arange(3000.0))
    drawn = [size for size in drawn if size is not None]
    assert sum(rows for rows, _ in drawn) == 10_000 and {columns for _, columns in drawn} == {3000}
    assert max(rows * columns for rows, columns in drawn) <= 2**20


def test_an_interval_is_told_from_low_to_high_and_what_is_unknown_as_a_dash():
    assert as_texts({"mean": 1.0, "ci95": [-2.0, 3.0]}, "{:+.1f}") == ("+1.0", "-2.0 to +3.0")
    assert as_texts({"mean": 1.0, "ci95": None}, "{:.2f}") == ("1.00", "–") and as_texts(None, "{:.2f}") == ("–", "–")
