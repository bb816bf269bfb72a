"""Means and intervals worked out by hand, and how the bootstrap draws. (users' files, G)"""

import math

import numpy as np
import pytest

from inpaint.evaluation import statistics
from inpaint.evaluation.statistics import as_texts, mean_and_ci95, mean_and_stderr


def test_two_values_have_a_standard_error_and_an_interval():
    assert mean_and_stderr([1.0, 4.0]) == {"mean": 2.5, "stderr": pytest.approx(math.sqrt(4.5 / 2))}
    assert mean_and_ci95([1.0, 4.0]) == {"mean": 2.5, "ci95": [1.0, 4.0]}  # a quarter of the means is 1, a quarter 4


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
    assert sum(rows for rows, _ in drawn) == 10_000 and {columns for _, columns in drawn} == {3000}
    assert max(rows * columns for rows, columns in drawn) <= 2**20


def test_an_interval_is_told_from_low_to_high_and_what_is_unknown_as_a_dash():
    assert as_texts({"mean": 1.0, "ci95": [-2.0, 3.0]}, "{:+.1f}") == ("+1.0", "-2.0 to +3.0")
    assert as_texts({"mean": 1.0, "ci95": None}, "{:.2f}") == ("1.00", "–") and as_texts(None, "{:.2f}") == ("–", "–")
