"""Figures of a model on held-out photos, and what captions gain.

Each photo is scored three times: with its first caption, without one, and with another image's. A caption is worth tens
of nats while photos differ by hundreds, so gains are paired by image, with a bootstrap interval.
"""

import dataclasses

import numpy as np

from inpaint import units
from inpaint.evaluation import image_quality
from inpaint.evaluation.rings import PixelNats
from inpaint.evaluation.scoring import check_finite, score
from inpaint.evaluation.swap import swap
from inpaint.inference import device_of, evaluating
from inpaint.shares import gather, my_share
from models.likelihoods import LEVELS


@dataclasses.dataclass
class Evaluation:
    """The figures of every image. All arrays are in the order of `indices`; a missing figure is NaN.

    Attributes:
      channels: 1 for grey images, else 3.
      indices: int64 (n,), the images of the split.
      captions: the images' first captions, "" for none.
      nats: float64 (n,), nats per image with the image's caption (if it has one and the model takes captions).
      nats_none: float64 (n,), without a caption; equal to `nats` for images scored without one there, too.
      nats_swapped: float64 (n,), with the caption of image `swapped`; NaN if that is -1.
      swapped: int64 (n,), the image whose caption was swapped in, -1 for none.
      floor: float64 (n,), the entropy of the Bernoulli targets.
      pixel_nats: float64 (h, w), nats of each pixel of the hole, scored as `nats`, mean over images.
      ring_nats: float64 (n, R), nats per pixel of each ring of the hole, see rings.py.
      psnr, ssim: float64 (n,), of the mean; NaN for a decoder without a one-pass mean.
      images_per_second: of log_prob, over all processes.
      truth: `Photos.truth`; None if it is unknown, or if the model sees fewer than 256 levels.
      seed: of the swapped captions and the bootstrap.
      levels: number of levels of a sub-pixel that the model sees; 256, or fewer if it quantizes.
      proper: whether `nats` is a likelihood of those levels (all but bernoulli on more than two).
    """

    hole: tuple
    image_size: int
    channels: int
    split: str
    data: str
    decoder: str
    likelihood: str
    uses_captions: bool
    levels: int
    proper: bool
    truth: dict | None
    seed: int
    indices: np.ndarray
    captions: list
    nats: np.ndarray
    nats_none: np.ndarray
    nats_swapped: np.ndarray
    swapped: np.ndarray
    floor: np.ndarray
    pixel_nats: np.ndarray
    ring_nats: np.ndarray
    psnr: np.ndarray
    ssim: np.ndarray
    images_per_second: float

    @property
    def gain_over_none(self):
        """float64 (m,): nats that the caption of each captioned image saves against none."""
        return (self.nats_none - self.nats)[self.captioned]

    @property
    def gain_over_swapped(self):
        """float64 (m,): nats that the caption of each captioned image saves against another image's."""
        return (self.nats_swapped - self.nats)[self.captioned & (self.swapped >= 0)]

    @property
    def captioned(self):
        """bool (n,): whether an image of `nats` was scored with a caption."""
        return np.array([self.uses_captions and bool(caption) for caption in self.captions], bool)


def evaluate(model, photos, *, limit=None, seed=0, batch_size=64, progress=False, name="the model"):
    """Score a split with each image's caption, with none and with another image's; PSNR and SSIM of the mean.

    With several processes (torch.distributed initialised) each scores its share and all return the same figures.

    Args:
      model: an Inpainter; runs on the device it is on.
      photos: a `Photos` split, not empty.
      limit: only the first so many images; None for all.
      seed: of the swapped captions and the bootstrap.
      batch_size: images at once; moves an image's nats by less than 1e-4.
      progress: whether to show bars on stderr.
      name: the checkpoint, as the user calls it.

    Returns:
      An `Evaluation`.

    Raises:
      InputError: nats or the mean of an image are not finite.
    """
    n = len(photos) if limit is None else min(limit, len(photos))
    indices = np.arange(n)
    options = {"batch_size": batch_size, "progress": progress}
    all_captions = photos.first_captions(np.arange(len(photos)))
    captions = all_captions[:n]
    texts, by_pixel = captions if model.uses_captions else None, PixelNats(photos.hole, photos.image_size, n)
    nats, speed = score(model, photos, indices, texts, label="own caption", observe=by_pixel.add, **options)
    check_finite(nats, photos, indices, name)
    pixel_nats, ring_nats = by_pixel.gathered()
    nats_none, nats_swapped, swapped = _other_nats(model, photos, nats, all_captions, seed, name, options)
    floor, psnr, ssim = _pixel_figures(model, photos, indices, captions, batch_size)
    check_finite(np.where(np.isneginf(psnr), psnr, 0.0), photos, indices, name, "mean's PSNR")
    return Evaluation(
        hole=tuple(photos.hole),
        image_size=photos.image_size,
        channels=photos.channels,
        split=photos.split,
        data=str(photos.path),
        decoder=model.decoder,
        likelihood=model.likelihood_name,
        uses_captions=model.uses_captions,
        levels=model.likelihood.levels,
        proper=model.likelihood.proper,
        truth=photos.truth if model.likelihood.levels == LEVELS else None,
        seed=seed,
        indices=indices,
        captions=captions,
        nats=nats,
        nats_none=nats_none,
        nats_swapped=nats_swapped,
        swapped=swapped,
        floor=floor,
        pixel_nats=pixel_nats,
        ring_nats=ring_nats,
        psnr=psnr,
        ssim=ssim,
        images_per_second=speed,
    )


def _other_nats(model, photos, nats, captions, seed, name, options):
    """`nats_none`, `nats_swapped` and `swapped` of the first len(nats) images; `captions` are the whole split's."""
    n = len(nats)
    captioned = np.array([i for i in range(n) if model.uses_captions and captions[i]], np.int64)
    nats_none, nats_swapped, swapped = nats.copy(), np.full(n, np.nan), np.full(n, -1)
    if len(captioned):
        nothing = [""] * len(captioned)
        nats_none[captioned], _ = score(model, photos, captioned, nothing, label="no caption", **options)
        check_finite(nats_none[captioned], photos, captioned, name, "nats without a caption")
        swapped[captioned] = swap(captions, captioned, seed)
        lent = np.flatnonzero(swapped >= 0)
        others = [captions[i] for i in swapped[lent]]
        nats_swapped[lent], _ = score(model, photos, lent, others, label="swapped caption", **options)
        check_finite(nats_swapped[lent], photos, lent, name, "nats with another image's caption")
    return nats_none, nats_swapped, swapped


def _pixel_figures(model, photos, indices, captions, batch_size):
    """Bernoulli floor, and PSNR and SSIM of the mean: float64 (n,) each. NaN for a model without a mean; PSNR is minus
    infinity for a mean that is not finite."""
    mine = my_share(len(indices))
    figures = np.full((3, len(mine)), np.nan)
    device = device_of(model)
    with evaluating(model):
        for start in range(0, len(mine), batch_size):
            part = slice(start, start + batch_size)
            border, center = photos.images(indices[mine[part]])
            figures[0, part] = units.bernoulli_floor(center[:, : photos.channels])
            texts = [captions[position] for position in mine[part]] if model.uses_captions else None
            mean = model.mean(border.to(device), texts)  # (b, 3, h, w) or None
            if mean is None:
                continue
            sound = mean.isfinite().flatten(1).all(dim=1).cpu().numpy()  # (b,)
            mean = mean.cpu().nan_to_num(0, 0, 0)
            figures[1, part] = np.where(sound, image_quality.psnr(mean, center), -np.inf)
            figures[2, part] = image_quality.ssim(mean, center)
    return [gather(mine, row, len(indices)) for row in figures]
