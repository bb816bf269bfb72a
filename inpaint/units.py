"""Conversion of nats per image to the other units, and the floor of the Bernoulli cross-entropy.

`hole` is `(top, left, height, width)`; a hole of h x w pixels has 3 h w sub-pixels, of grey images h w.
"""

import math

import numpy as np


def counted(number: int, noun: str) -> str:
    """A number with its noun, such as "1 image" or "1,000 images"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def nats_per_pixel(nats, hole):
    """Nats per image -> nats per pixel of the hole, all three channels together."""
    return nats / (hole[2] * hole[3])


def bits_per_dim(nats, hole, channels=3):
    """Nats per image -> bits per sub-pixel of the hole. For proper likelihoods only."""
    return bits_per_subpixel(nats, hole[2] * hole[3], channels)


def bits_per_subpixel(nats, pixels, channels=3):
    """Nats of so many pixels -> bits per sub-pixel. For proper likelihoods only."""
    return nats / (channels * pixels * math.log(2))


def bernoulli_floor(center, unknown=None):
    """The least Bernoulli cross-entropy any model can reach: the entropy of the targets x/255 themselves.

    Args:
      center: uint8 (B, C, h, w), a CPU tensor or an array.
      unknown: bool (B, h, w), the pixels that count; None for all.

    Returns:
      float64 (B,): nats per image.
    """
    floor = bernoulli_floor_of_pixels(center)
    return (floor if unknown is None else floor * unknown).sum(axis=(1, 2))


def bernoulli_floor_of_pixels(center):
    """`bernoulli_floor` of each pixel: float64 (B, h, w), nats per pixel."""
    return _LEVEL_ENTROPY[np.asarray(center)].sum(axis=1)


def _level_entropy():
    """float64 (256,): the entropy in nats of a Bernoulli variable with mean x/255, for each level x."""
    p = np.arange(1, 255) / 255
    return np.concatenate([[0.0], -p * np.log(p) - (1 - p) * np.log(1 - p), [0.0]])


_LEVEL_ENTROPY = _level_entropy()
