"""Means, their standard errors and bootstrap intervals."""

import numpy as np
import pytest

from inpaint.evaluation.statistics import gain_and_ci95, mean_and_ci95, mean_and_stderr


def test_standard_error_is_that_of_the_mean():
    figure = mean_and_stderr([1.0, 2.0, 3.0, 4.0])
    assert figure["mean"] == 2.5
    assert figure["stderr"] == pytest.approx(np.sqrt(5 / 3) / 2)


def test_what_too_few_images_cannot_tell_is_none():
    assert mean_and_stderr([]) == {"mean": None, "stderr": None}
    assert mean_and_stderr([7.0]) == {"mean": 7.0, "stderr": None}
    assert mean_and_ci95([]) is None
    assert mean_and_ci95([7.0]) == {"mean": 7.0, "ci95": None}
    assert mean_and_ci95(np.arange(19.0)) == {"mean": 9.0, "ci95": None}
    low, high = mean_and_ci95(np.arange(20.0))["ci95"]
    assert low < 9.5 < high
    three = np.arange(57.0).reshape(3, 19)
    assert gain_and_ci95([three])["ci95"] is None and gain_and_ci95([np.zeros((3, 0))]) is None
    assert gain_and_ci95([np.zeros((1, 0))]) is None


def test_figures_that_are_not_finite_have_no_interval():
    for odd in (np.nan, np.inf):
        values = np.append(np.arange(30.0), odd)
        assert mean_and_ci95(values)["ci95"] is None
        assert gain_and_ci95([np.stack([values] * 3)])["ci95"] is None


@pytest.mark.filterwarnings("error")
def test_equal_values_have_an_interval_of_no_length():
    assert mean_and_ci95([2.5] * 20) == {"mean": 2.5, "ci95": [2.5, 2.5]}
    assert gain_and_ci95([np.full((3, 20), 2.5)]) == {"mean": 2.5, "ci95": [2.5, 2.5], "of": "training, 3 seeds"}


@pytest.mark.filterwarnings("error")
def test_one_value_unlike_all_others_has_a_finite_interval():
    low, high = mean_and_ci95([0.0] * 29 + [1e9])["ci95"]
    assert 0 <= low <= 1e9 / 30 <= high < 1e9


def test_interval_agrees_with_the_normal_one_on_normal_data():
    values = np.random.default_rng(1).normal(3, 10, 400)
    low, high = mean_and_ci95(values, resamples=5000)["ci95"]
    half = 1.96 * values.std(ddof=1) / np.sqrt(len(values))
    assert low == pytest.approx(values.mean() - half, abs=0.08 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.08 * half)


@pytest.mark.parametrize(("n", "least"), [(20, 364), (100, 368)])
def test_interval_covers_the_true_mean_about_19_times_in_20(n, least):
    """Of 400 draws; of twenty exponential values percentiles cover some 355."""
    rng = np.random.default_rng(2)
    covered = 0
    for trial in range(400):
        low, high = mean_and_ci95(rng.exponential(5, n), seed=trial, resamples=400)["ci95"]
        covered += low <= 5 <= high
    assert least <= covered <= 393


def trainings(rng, seeds, images, sides):
    """Gains of a model that is worth nothing: seeds differ by 1 nat, images by 2, and each of each by 1."""
    gains = [rng.normal(size=(seeds, 1)) + rng.normal(size=(seeds, images)) for _ in range(sides)]
    gains[0] = gains[0] + 2 * rng.normal(size=images)
    return gains


@pytest.mark.parametrize(("seeds", "sides"), [(3, 1), (3, 2), (5, 1)])
def test_interval_over_three_seeds_covers_the_true_gain_about_19_times_in_20(seeds, sides):
    """Of 400 draws. An interval over images alone covers some 210 of them, and percentiles over both 330."""
    rng, covered, alone = np.random.default_rng(4), 0, 0
    for trial in range(400):
        gains = trainings(rng, seeds, 60, sides)
        low, high = gain_and_ci95(gains, trial)["ci95"]
        covered += low <= 0 <= high
        low, high = mean_and_ci95(sum(side.mean(axis=0) for side in gains), trial, resamples=200)["ci95"]
        alone += low <= 0 <= high
    assert 364 <= covered <= 395 and alone < 320


def test_interval_depends_on_values_and_seed_alone():
    values = np.random.default_rng(3).normal(size=50)
    assert mean_and_ci95(values, seed=4) == mean_and_ci95(values, seed=4)
    assert mean_and_ci95(values, seed=4) != mean_and_ci95(values, seed=5)


def test_many_images_are_resampled_in_bounded_memory():
    values = np.arange(300_000) % 7.0
    figure = mean_and_ci95(values, resamples=20)
    assert figure["ci95"][0] <= figure["mean"] <= figure["ci95"][1]
