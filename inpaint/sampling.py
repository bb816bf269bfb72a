"""Samples for borders, reproducible by seed, and the rows of a grid."""

import numpy as np
import torch

from data_prep.progress import Progress
from inpaint.grid import Row
from inpaint.inference import device_of, evaluating, on
from inpaint.masks import seen

AT_ONCE = 64  # samples drawn together, of one photo or of several


def draw_samples(model, border, captions, samples, seed, *, known=None, progress=False, as_alone=False, **options):
    """Draw several centers for each border.

    Args:
      model: an Inpainter in eval mode.
      border: uint8 (n, 3, H, W) on the model's device.
      captions: n strings, or None for a model without captions.
      samples: K, how many for each.
      seed: the same seed, borders, captions and masks give the same samples.
      known: bool (n, 1, H, W) as `Inpainter.sample` takes it; None for the whole hole.
      progress: show a bar on stderr, a step for each row of pixels that a causal decoder draws.
      as_alone: draw for each border what it would get in a call without the others.
      options: `temperature` and `dtype` of `Inpainter.sample`; float64 by default.

    Returns:
      uint8 (n, K, 3, h, w).
    """
    if as_alone and samples > AT_ONCE:
        sizes = [min(AT_ONCE, samples - start) for start in range(0, samples, AT_ONCE)]
    else:
        sizes = [samples]
    count = len(border) if as_alone else 1
    generators = [torch.Generator().manual_seed(seed) for _ in range(count)]  # on the CPU: the same on every device
    options = {"dtype": torch.float64, **options}

    def bar(rows):
        return Progress(len(rows), unit="row", label="drawing", leave=False, shown=progress).over(rows)

    def draw(size):  # the generators go on from one to the next
        masks = None if known is None else known.repeat_interleave(size, dim=0)  # (n size, 1, H, W)
        texts = None if captions is None else [caption for caption in captions for _ in range(size)]
        repeated = border.repeat_interleave(size, dim=0)  # (n size, 3, H, W)
        drawn = model.sample(repeated, texts, generator=generators, progress=bar, known=masks, **options)
        return drawn.unflatten(0, (-1, size))

    return torch.cat([draw(size) for size in sizes], dim=1)


def grid_rows(model, photos, indices, samples, seed, progress=False):
    """Let the model fill some photos of a split.

    Args:
      model: an Inpainter, on any device; its mode is restored.
      photos: a `Photos` split.
      indices: which of its images, one a row.
      samples: K, how many samples a row.
      seed: of the samples.
      progress: whether to show a bar on stderr.

    Returns:
      A list of `inpaint.grid.Row`, on the CPU.
    """
    device = device_of(model)
    border, center, known = seen(photos, indices)  # (n, 3, H, W), (n, 3, h, w), (n, 1, H, W) or None
    captions = photos.first_captions(indices)
    texts = captions if model.uses_captions else None
    given, masks = on(device, border, known)
    with evaluating(model):
        drawn = draw_samples(
            model, given, texts, samples, seed, known=masks, progress=progress
        ).cpu()  # (n, K, 3, h, w)
        mean = model.mean(given, texts, known=masks)  # (n, 3, h, w) or None
    means = [None] * len(border) if mean is None else mean.cpu()
    masks = [None] * len(border) if known is None else known
    return [Row(*parts) for parts in zip(border, drawn, means, center, captions, masks, strict=True)]


def some_indices(n, rows, seed):
    """Choose `rows` of n images by seed: int64, sorted, without repetition."""
    return np.sort(np.random.default_rng(seed).choice(n, size=min(rows, n), replace=False))
