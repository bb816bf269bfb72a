"""PSNR and SSIM of a point estimate of the center, over the center alone.

Counting the border too, which no model has to estimate, would raise every figure.
"""

import numpy as np


def psnr(estimate, center, unknown=None):
    """Peak signal-to-noise ratio of each image.

    Args:
      estimate: float (B, 3, h, w) in 0..255.
      center: uint8 (B, 3, h, w), the truth.
      unknown: bool (B, h, w), the pixels that count, at least one an image; None for all.

    Returns:
      float64 (B,) in dB; infinite if the two are equal.
    """
    from skimage.metrics import peak_signal_noise_ratio  # here: with scipy.stats, it takes a while to import

    pairs = _pairs(estimate, center)
    if unknown is not None:
        pairs = [(a[:, here], b[:, here]) for (a, b), here in zip(pairs, unknown, strict=True)]  # (3, pixels)
    with np.errstate(divide="ignore"):
        return np.array([peak_signal_noise_ratio(b, a, data_range=255) for a, b in pairs])


def ssim(estimate, center):
    """Mean structural similarity of each image over 7 x 7 windows (smaller where the center is smaller).

    Args:
      estimate: float (B, 3, h, w) in 0..255.
      center: uint8 (B, 3, h, w), the truth.

    Returns:
      float64 (B,), at most 1; NaN for a center under 3 pixels high or wide.
    """
    from skimage.metrics import structural_similarity

    h, w = center.shape[2:]
    window = min(7, h - (h + 1) % 2, w - (w + 1) % 2)  # odd, and inside the center
    if window < 3:
        return np.full(len(center), np.nan)
    options = {"channel_axis": 0, "data_range": 255, "win_size": window}
    return np.array([structural_similarity(a, b, **options) for a, b in _pairs(estimate, center)])


def _pairs(estimate, center):
    """Image by image, both as float64."""
    return zip(np.asarray(estimate, np.float64), np.asarray(center, np.float64), strict=True)
