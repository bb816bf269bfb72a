"""Means with their uncertainty: a standard error, and a bootstrap interval that assumes no shape of distribution [1].

[1] Efron, Bootstrap methods: another look at the jackknife, Annals of Statistics 7 (1979). scipy.stats.bootstrap,
percentile interval.
"""

import math

import numpy as np
from scipy.stats import bootstrap


def mean_and_stderr(values):
    """The mean of float64 (n,) and the standard error of that mean.

    Returns:
      {"mean": float or None, "stderr": float or None}: None where n is too small (0 for the mean, 1 for its error).
    """
    values = np.asarray(values, np.float64)
    n = len(values)
    return {
        "mean": float(values.mean()) if n else None,
        "stderr": float(values.std(ddof=1) / math.sqrt(n)) if n > 1 else None,
    }


def mean_and_ci95(values, seed=0, resamples=10_000):
    """The mean of paired differences with its 95 % bootstrap interval.

    Args:
      values: float64 (n,), one difference an image.
      seed: the resampling's seed; same values and seed, same interval.
      resamples: how many bootstrap means to draw.

    Returns:
      {"mean": float, "ci95": [low, high]}, or None when n is 0. The interval is None when n is 1, which cannot tell.
    """
    values = np.asarray(values, np.float64)
    n = len(values)
    if n == 0:
        return None
    if n == 1:
        return {"mean": float(values[0]), "ci95": None}
    batch = max(1, 2**20 // n)  # bounds the memory at 2^20 draws, whatever n is
    drawn = bootstrap((values,), np.mean, n_resamples=resamples, batch=batch, method="percentile", rng=seed)
    low, high = drawn.confidence_interval
    return {"mean": float(values.mean()), "ci95": [float(low), float(high)]}


def as_texts(figure, form):
    """What `mean_and_ci95` gives as two texts, the mean and "low to high"; a dash for what is not known.

    Args:
      figure: {"mean", "ci95"} or None.
      form: of each number, "{:+.2f}" for instance.
    """
    if figure is None:
        return "–", "–"
    interval = figure["ci95"]
    return form.format(figure["mean"]), " to ".join(form.format(bound) for bound in interval) if interval else "–"
