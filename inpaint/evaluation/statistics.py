"""Means with their uncertainty: standard errors, and 95 % intervals over images, or over trainings and images.

Over images: the BCa bootstrap [1], its level widened for few images as Student's t is [2]; percentiles alone are too
narrow. Over trainings that differ in their seed alone: seeds and images are resampled independently [3], which gives
the standard error, and Student's t its multiple, with Satterthwaite's degrees of freedom [4]. Three seeds have ten
resamples, too few for percentiles or BCa. benchmarks/interval_coverage.py measures how often each holds the truth.

[1] Efron, Better bootstrap confidence intervals, JASA 82 (1987): scipy.stats.bootstrap.
[2] Hesterberg, What teachers should know about the bootstrap, The American Statistician 69 (2015), section 4.
[3] Owen, The pigeonhole bootstrap, Annals of Applied Statistics 1 (2007).
[4] Satterthwaite, An approximate distribution of estimates of variance components, Biometrics Bulletin 2 (1946).
"""

import math
import warnings

import numpy as np
from scipy.special import ndtr, stdtrit

LEAST_IMAGES = 20  # with fewer there is no interval
LEAST_SEEDS = 3  # with fewer an interval is of these checkpoints
MOST_FOR_BCA = 10_000  # images; BCa takes their square, and is the percentile interval for so many
SEED_RESAMPLES = 2000  # give the standard error to 2 %


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


def ratio_values(sums, counts):
    """Values of images whose mean is the ratio of two means, and whose spread is the ratio's, to first order.

    Args:
      sums: float64 (n, ...), nats of each image for instance.
      counts: float64 (n, ...), what each sum is over, some of them 0.

    Returns:
      float64 (n, ...); NaN where all counts are 0.
    """
    with np.errstate(invalid="ignore"):
        mean = counts.mean(axis=0)
        ratio = sums.mean(axis=0) / mean
        return ratio + (sums - ratio * counts) / mean


def mean_and_ci95(values, seed=0, resamples=10_000):
    """The mean of paired differences with its 95 % bootstrap interval over images.

    Args:
      values: float64 (n,), one difference an image.
      seed: the resampling's seed; same values and seed, same interval.
      resamples: how many bootstrap means to draw.

    Returns:
      {"mean": float, "ci95": [low, high]}, or None when n is 0. The interval is None under LEAST_IMAGES, and for values
      that are not finite.
    """
    values = np.asarray(values, np.float64)
    n = len(values)
    if n == 0:
        return None
    mean = float(values.mean())
    if n < LEAST_IMAGES or not np.isfinite(values).all():
        return {"mean": mean, "ci95": None}
    from scipy.stats import bootstrap  # here: it takes longer to import than numpy and scipy.special together

    options = {"n_resamples": resamples, "confidence_level": widened(n), "rng": seed}
    options["batch"] = max(1, 2**20 // n)  # bounds the memory at 2^20 draws, whatever n is
    method = "BCa" if n <= MOST_FOR_BCA else "percentile"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a BCa that is not defined: NaN, for equal values
        low, high = bootstrap((values,), np.mean, method=method, **options).confidence_interval
    if not (math.isfinite(low) and math.isfinite(high)):
        low, high = bootstrap((values,), np.mean, method="percentile", **options).confidence_interval
    return {"mean": mean, "ci95": [float(low), float(high)]}


def widened(n):
    """The bootstrap's level that makes intervals of 95 % for n normal values [2]: 0.968 for 20, 0.950 for 1,000."""
    return 1 - 2 * ndtr(-math.sqrt(n / (n - 1)) * stdtrit(n - 1, 0.975))


def gain_and_ci95(sides, seed=0):
    """A gain of one or several trainings, or between two sides of them, with its 95 % interval.

    Args:
      sides: arrays float64 (S, n), one row a training, one column an image, the same images in all; the gain is the sum
        of their means. The sides' trainings are independent of one another; the sides share the images.
      seed: of the resampling.

    Returns:
      {"mean": float, "ci95": [low, high] or None, "of": str}, or None when n is 0. With LEAST_SEEDS trainings or more
      on each side the interval is one over seeds and images; with fewer it is over images alone, and `of` says of what.
    """
    sides = [np.asarray(side, np.float64) for side in sides]
    values = sum(side.mean(axis=0) for side in sides)  # (n,)
    of = subject([len(side) for side in sides])
    if min(map(len, sides)) < LEAST_SEEDS or len(values) < LEAST_IMAGES or not np.isfinite(values).all():
        figure = mean_and_ci95(values, seed)
        if figure and min(map(len, sides)) >= LEAST_SEEDS:
            figure["ci95"] = None
        return figure and {**figure, "of": of}
    mean, half = float(values.mean()), _half_width(sides, values, seed)
    return {"mean": mean, "ci95": [mean - half, mean + half], "of": of}


def subject(seeds):
    """What an interval is of, in words, given the number of trainings on each side."""
    if min(seeds) >= LEAST_SEEDS:
        return f"training, {' and '.join(map(str, seeds))} seeds"
    return "this checkpoint" if sum(seeds) == 1 else "these checkpoints"


def _half_width(sides, values, seed):
    """Half the length of the interval over seeds and images [3, 4]."""
    parts = [(side.mean(axis=1).var(ddof=1) / len(side), len(side) - 1) for side in sides]
    parts.append((values.var(ddof=1) / len(values), len(values) - 1))
    total = sum(variance for variance, _ in parts)
    if total == 0:
        return 0.0
    freedom = total**2 / sum(variance**2 / degrees for variance, degrees in parts)
    return float(stdtrit(freedom, 0.975) * resampled_means(sides, seed).std(ddof=1))


def resampled_means(sides, seed, resamples=SEED_RESAMPLES, unbiased=True):
    """Gains after resampling each side's seeds, and the images that the sides share: float64 (resamples,).

    Args:
      sides, seed: as `gain_and_ci95` takes them.
      unbiased: whether to stretch the weights, by sqrt(k / (k - 1)) for k seeds or images, so that their spread is that
        of the mean; of three resampled seeds it would be a third too small in its square.
    """
    rng, n = np.random.default_rng(seed), sides[0].shape[1]
    found, batch = [], max(1, 2**20 // n)
    for start in range(0, resamples, batch):
        count = min(batch, resamples - start)
        images = _weights(rng, count, n, unbiased)
        means = [_weights(rng, count, len(side), unbiased) * (images @ side.T) for side in sides]
        found.append(sum(mean.sum(axis=1) for mean in means))
    return np.concatenate(found)


def _weights(rng, count, k, unbiased):
    """Weights of k things, each row a resample: float64 (count, k), rows sum to 1."""
    drawn = rng.integers(k, size=(count, k)) + k * np.arange(count)[:, None]
    weights = np.bincount(drawn.ravel(), minlength=count * k).reshape(count, k) / k
    return 1 / k + (weights - 1 / k) * math.sqrt(k / (k - 1)) if unbiased else weights


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


def in_words(figure):
    """A gain with its interval, and what it is of, in a line."""
    unknown = f"unknown under {LEAST_IMAGES} images"
    interval = "[{:+.2f}, {:+.2f}]".format(*figure["ci95"]) if figure["ci95"] else unknown
    return f"{figure['mean']:+.2f} nats per image, 95 % interval {interval}, of {figure['of']}"
