"""Means, their standard errors and bootstrap intervals."""

import numpy as np
import pytest

from inpaint.evaluation.statistics import mean_and_ci95, mean_and_stderr


def test_standard_error_is_that_of_the_mean():
    figure = mean_and_stderr([1.0, 2.0, 3.0, 4.0])
    assert figure["mean"] == 2.5
    assert figure["stderr"] == pytest.approx(np.sqrt(5 / 3) / 2)


def test_what_too_few_images_cannot_tell_is_none():
    assert mean_and_stderr([]) == {"mean": None, "stderr": None}
    assert mean_and_stderr([7.0]) == {"mean": 7.0, "stderr": None}
    assert mean_and_ci95([]) is None
    assert mean_and_ci95([7.0]) == {"mean": 7.0, "ci95": None}


def test_interval_agrees_with_the_normal_one_on_normal_data():
    values = np.random.default_rng(1).normal(3, 10, 400)
    low, high = mean_and_ci95(values, resamples=5000)["ci95"]
    half = 1.96 * values.std(ddof=1) / np.sqrt(len(values))
    assert low == pytest.approx(values.mean() - half, abs=0.08 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.08 * half)


def test_interval_covers_the_true_mean_about_19_times_in_20():
    rng = np.random.default_rng(2)
    covered = 0
    for trial in range(200):
        low, high = mean_and_ci95(rng.exponential(5, 100), seed=trial, resamples=300)["ci95"]
        covered += low <= 5 <= high
    assert 175 <= covered <= 198


def test_interval_depends_on_values_and_seed_alone():
    values = np.random.default_rng(3).normal(size=50)
    assert mean_and_ci95(values, seed=4) == mean_and_ci95(values, seed=4)
    assert mean_and_ci95(values, seed=4) != mean_and_ci95(values, seed=5)


def test_many_images_are_resampled_in_bounded_memory():
    values = np.arange(300_000) % 7.0
    figure = mean_and_ci95(values, resamples=20)
    assert figure["ci95"][0] <= figure["mean"] <= figure["ci95"][1]
