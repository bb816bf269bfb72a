"""Nats per image of a photo's center, the same to 1e-4 nats for any batch size.

Likelihoods run in float32 outside autocast, without TF32, in eval mode; sub-pixels are summed in float64. With several
processes (torch.distributed initialised) each scores its share, each image once without padding; all get all figures.
"""

import contextlib
import time

import numpy as np
import torch

from data_prep.errors import InputError
from data_prep.progress import Progress
from inpaint.inference import device_of, evaluating, on
from inpaint.masks import seen
from inpaint.shares import all_gathered, gather, my_share


def score(model, photos, indices, captions, batch_size=64, progress=False, label="nats", observe=None):
    """The negative log-likelihood of each photo's center, of its unknown pixels alone, on the model's device.

    Args:
      model: an Inpainter.
      photos: a `Photos` split.
      indices: int64 (n,), which images.
      captions: n strings, or None to score without.
      batch_size: images at once; moves an image's nats by less than 1e-4.
      progress: whether to show a bar on stderr.
      label: the bar's text.
      observe: called with each batch's (positions (b,), log_prob float32 (b, 3, h, w)) of this process's share.

    Returns:
      (float64 (n,) nats per image in the order of `indices`, images per second of log_prob over all processes).
    """
    mine = my_share(len(indices))
    nats = np.zeros(len(mine))
    clock = Clock(model)
    bar = Progress(len(mine), unit="img", label=label, shown=progress, leave=False)
    with bar, evaluating(model):
        for part, log_prob in log_probs(model, photos, indices, captions, mine, batch_size, clock):
            nats[np.searchsorted(mine, part)] = -log_prob.cpu().double().sum(dim=(1, 2, 3)).numpy()
            if observe:
                observe(part, log_prob)
            bar.update(len(part))
    return gather(mine, nats, len(indices)), sum(all_gathered(clock.rate()))


def check_finite(figures, photos, indices, checkpoint, what="nats"):
    """Refuse NaN or infinite figures of images, which would spoil every mean.

    Args:
      figures: float64 (n,), nats for instance.
      photos: the `Photos` split that they are of.
      indices: int64 (n,), the images of the split; one may be there several times, with several captions.
      checkpoint: the checkpoint's name for messages.
      what: name of the figures for messages.

    Raises:
      InputError: a figure is not finite; names the checkpoint and the first such image.
    """
    bad = np.flatnonzero(~np.isfinite(figures))
    if len(bad):
        image = photos.name_of(indices[bad[0]])
        count = f"{len(np.unique(indices[bad]))} of {len(np.unique(indices))} images are not finite"
        raise InputError(f"{checkpoint}: not fit for use: its {what} of {image}: {figures[bad[0]]}; {count}")


def log_probs(model, photos, indices, captions, positions, batch_size, clock):
    """Score photos batch by batch; iterate inside `evaluating(model)`.

    Args:
      model, photos, indices, captions: as `score` takes them.
      positions: which of `indices` to score.
      batch_size: images at once.
      clock: a `Clock` that times log_prob.

    Yields:
      (positions (b,), log_prob float32 (b, 3, h, w) on the model's device).
    """
    device = device_of(model)
    for start in range(0, len(positions), batch_size):
        part = positions[start : start + batch_size]
        border, center, known = on(device, *seen(photos, indices[part]))
        texts = None if captions is None else [captions[position] for position in part]
        with clock.timing(len(part)):
            log_prob = model.log_prob(border, center, texts, known=known)  # (b, 3, h, w)
        yield part, log_prob


class Clock:
    """Images per second of the timed blocks. The first is a warm-up and counts only if there is no other."""

    def __init__(self, model):
        self.cuda = device_of(model).type == "cuda"
        self.blocks = []

    @contextlib.contextmanager
    def timing(self, images):
        start = self._now()
        yield
        self.blocks.append((images, self._now() - start))

    def rate(self):
        counted = self.blocks[1:] or self.blocks
        seconds = sum(spent for _, spent in counted)
        return sum(images for images, _ in counted) / seconds if seconds else 0.0

    def _now(self):
        if self.cuda:
            torch.cuda.synchronize()
        return time.perf_counter()
