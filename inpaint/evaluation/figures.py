"""Figures of a model on held-out photos, and what captions gain.

Each photo is scored with its captions, without one, and with other images'. A caption is worth a few nats at most while
photos differ by hundreds, so gains are paired by image. Figures of several trainings that differ in their seed alone
are put together here too.
"""

import dataclasses

import numpy as np

from inpaint import units
from inpaint.evaluation import image_quality, statistics
from inpaint.evaluation.caption_figures import CaptionOptions, Scorer, nats_by_caption
from inpaint.evaluation.rings import ring_sums
from inpaint.evaluation.scoring import check_finite
from inpaint.inference import device_of, evaluating, on
from inpaint.masks import seen, unknown_of
from inpaint.shares import gather, my_share
from models.likelihoods import LEVELS

ALL_CAPTIONS = CaptionOptions()
GAINS = ("none", "swapped", "unlike", "mixture")


@dataclasses.dataclass
class Evaluation:
    """The figures of every image. All arrays are in the order of `indices`; a missing figure is NaN.

    Attributes:
      channels: 1 for grey images, else 3.
      split_images: number of images in the whole split.
      indices: int64 (n,), the images of the split.
      options: the `CaptionOptions`.
      captions: for each image the list of its captions that are scored; empty for none.
      nats: float64 (n,), nats per image, mean over its captions (if it has some and the model takes captions).
      caption_nats: for each image float64 (number of its captions,), nats with each; empty if it was scored without.
      nats_none: float64 (n,), without a caption; equal to `nats` for images scored without one there, too.
      nats_swapped: float64 (n,), with captions of the images `lent`, mean over them; NaN if there are none.
      lent: for each image the list of the images whose captions were lent to it at random, one for each of its own.
      nats_unlike: float64 (n,), with the first caption of image `unlike`; NaN if that is -1.
      unlike: int64 (n,), the image whose caption is most unlike one's own among a few, -1 for none.
      nats_mixture: float64 (n,), minus the log of the mean probability over random captions of others; NaN for none.
      nats_at_once: float64 (n, len(AT_ONCE)), with so many of its captions at once; NaN for an image with fewer.
      floor: float64 (n,), the entropy of the Bernoulli targets.
      pixel_nats: float64 (h, w), nats of each pixel of the hole, scored as `nats`, mean over the images in which it is
        unknown.
      ring_nats: float64 (n, R), nats per unknown pixel of each ring of the hole, see rings.py.
      psnr, ssim: float64 (n,), of the mean with the first caption, the first over the unknown pixels; NaN for a decoder
        without a one-pass mean, and SSIM, which compares windows, under a mask.
      images_per_second: of log_prob, over all processes.
      truth: `Photos.truth`; None if it is unknown, under a mask, or if the model sees fewer than 256 levels.
      seed: of the captions lent and the bootstrap.
      levels: number of levels of a sub-pixel that the model sees; 256, or fewer if it quantizes.
      proper: whether `nats` is a likelihood of those levels (all but bernoulli on more than two).
      parts: the evaluations that this one is the mean of, see `mean_of`; empty for that of one checkpoint.
      masks: one of masks.KINDS.
      unknown: bool (n, h, w), the unknown pixels, to which alone all figures belong; None for the whole hole.
    """

    hole: tuple
    image_size: int
    channels: int
    split: str
    split_images: int
    data: str
    decoder: str
    likelihood: str
    uses_captions: bool
    levels: int
    proper: bool
    truth: dict | None
    seed: int
    options: CaptionOptions
    indices: np.ndarray
    captions: list
    nats: np.ndarray
    caption_nats: list
    nats_none: np.ndarray
    nats_swapped: np.ndarray
    lent: list
    nats_unlike: np.ndarray
    unlike: np.ndarray
    nats_mixture: np.ndarray
    nats_at_once: np.ndarray
    floor: np.ndarray
    pixel_nats: np.ndarray
    ring_nats: np.ndarray
    psnr: np.ndarray
    ssim: np.ndarray
    images_per_second: float
    parts: tuple = ()
    masks: str = "box"
    unknown: np.ndarray | None = None

    @property
    def trainings(self):
        """The evaluations of the single checkpoints, at least one."""
        return self.parts or (self,)

    @property
    def captioned(self):
        """bool (n,): whether an image of `nats` was scored with captions."""
        return np.array([self.uses_captions and bool(texts) for texts in self.captions], bool)

    @property
    def nats_first(self):
        """float64 (n,), with the first caption alone; NaN for images scored without one."""
        return np.array([nats[0] if len(nats) else np.nan for nats in self.caption_nats])

    @property
    def unknown_pixels(self):
        """float64 (n,): the number of each image's unknown pixels."""
        if self.unknown is None:
            return np.full(len(self.indices), float(self.hole[2] * self.hole[3]))
        return self.unknown.sum(axis=(1, 2), dtype=np.float64)

    @property
    def whole_nats(self):
        """float64 (n,): nats as they would be with the whole hole unknown. Their mean over the hole's pixels is the sum
        of all nats over the number of all unknown pixels, and their spread is that of this ratio."""
        if self.unknown is None:
            return self.nats
        return statistics.ratio_values(self.nats, self.unknown_pixels / (self.hole[2] * self.hole[3]))

    @property
    def rings(self):
        """float64 (n, R): values whose mean and spread are those of the nats per unknown pixel of a ring."""
        if self.unknown is None:
            return self.ring_nats
        counts = ring_sums(self.unknown, self.hole, self.image_size)
        return statistics.ratio_values(np.where(counts, self.ring_nats, 0) * counts, counts)

    def gain_over(self, what):
        """Nats that an image's captions save on average, for `what` of GAINS; `unlike` is over the first caption alone.

        Returns:
          float64 (m,), of the images that have captions and something to compare them with.
        """
        own = self.nats_first if what == "unlike" else self.nats
        return (getattr(self, f"nats_{what}") - own)[self.has_gain_over(what)]

    def has_at_once(self, column):
        """bool (n,): which images have so many captions, `column` of `nats_at_once`."""
        return self.captioned & np.isfinite(self.nats_at_once[:, column])

    def has_gain_over(self, what):
        """bool (n,): which images `gain_over` holds."""
        return self.captioned & np.isfinite(getattr(self, f"nats_{what}"))


AVERAGED = ("nats", "nats_none", "nats_swapped", "nats_unlike", "nats_mixture", "pixel_nats", "ring_nats")
AVERAGED += ("nats_at_once", "psnr", "ssim", "images_per_second")


def mean_of(evaluations):
    """The evaluation whose figures of each image are the means over checkpoints, all scored on the same images."""
    if len(evaluations) == 1:
        return evaluations[0]
    means = {name: np.mean([getattr(one, name) for one in evaluations], axis=0) for name in AVERAGED}
    means["caption_nats"] = [
        np.mean(nats, axis=0) for nats in zip(*(one.caption_nats for one in evaluations), strict=True)
    ]
    return dataclasses.replace(evaluations[0], **means, parts=tuple(evaluations))


def evaluate(
    model, photos, *, limit=None, seed=0, options=ALL_CAPTIONS, batch_size=64, progress=False, name="the model"
):
    """Score a split with each image's captions, with none and with other images'; PSNR and SSIM of the mean.

    With several processes (torch.distributed initialised) each scores its share and all return the same figures.

    Args:
      model: an Inpainter; runs on the device it is on.
      photos: a `Photos` split, not empty.
      limit: only the first so many images; None for all.
      seed: of the captions lent and the bootstrap.
      options: a `CaptionOptions`.
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
    scorer = Scorer(model, photos, indices, name, batch_size=batch_size, progress=progress)
    figures = nats_by_caption(scorer, options, seed)
    first = [(texts or [""])[0] for texts in figures["captions"]]
    floor, psnr, ssim = _pixel_figures(model, photos, indices, first, batch_size)
    check_finite(np.where(np.isneginf(psnr), psnr, 0.0), photos, indices, name, "mean's PSNR")
    return Evaluation(
        hole=tuple(photos.hole),
        image_size=photos.image_size,
        channels=photos.channels,
        split=photos.split,
        split_images=len(photos),
        data=str(photos.path),
        decoder=model.decoder,
        likelihood=model.likelihood_name,
        uses_captions=model.uses_captions,
        levels=model.likelihood.levels,
        proper=model.likelihood.proper,
        truth=photos.truth if model.likelihood.levels == LEVELS and photos.masks == "box" else None,
        seed=seed,
        options=options,
        indices=indices,
        floor=floor,
        psnr=psnr,
        ssim=ssim,
        images_per_second=scorer.images_per_second,
        masks=photos.masks,
        **figures,
    )


def _pixel_figures(model, photos, indices, captions, batch_size):
    """Bernoulli floor, and PSNR and SSIM of the mean: float64 (n,) each. NaN for a model without a mean; PSNR is minus
    infinity for a mean that is not finite."""
    mine = my_share(len(indices))
    figures = np.full((3, len(mine)), np.nan)
    device = device_of(model)
    with evaluating(model):
        for start in range(0, len(mine), batch_size):
            part = slice(start, start + batch_size)
            border, center, known = seen(photos, indices[mine[part]])
            unknown = unknown_of(photos, indices[mine[part]])  # (b, h, w) or None
            figures[0, part] = units.bernoulli_floor(center[:, : photos.channels], unknown)
            texts = [captions[position] for position in mine[part]] if model.uses_captions else None
            border, known = on(device, border, known)
            mean = model.mean(border, texts, known=known)  # (b, 3, h, w) or None
            if mean is None:
                continue
            sound = mean.isfinite().flatten(1).all(dim=1).cpu().numpy()  # (b,)
            mean = mean.cpu().nan_to_num(0, 0, 0)
            figures[1, part] = np.where(sound, image_quality.psnr(mean, center, unknown), -np.inf)
            if unknown is None:
                figures[2, part] = image_quality.ssim(mean, center)
    return [gather(mine, row, len(indices)) for row in figures]
