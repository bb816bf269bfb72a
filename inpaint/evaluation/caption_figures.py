"""Nats of images with their captions, one by one and several at once, with none, and with captions of others.

The images are the clusters: an image with several captions counts once, with the mean of its captions' nats.
"""

import dataclasses

import numpy as np
from scipy.special import logsumexp

from inpaint.evaluation.lending import Captions, lend, some_of_others, unlike
from inpaint.evaluation.rings import PixelNats
from inpaint.evaluation.scoring import check_finite, score
from inpaint.masks import unknown_of

SCORED = ("all", "first")
AT_ONCE = (1, 2, 3, 5)  # captions of an image that are given at once


@dataclasses.dataclass(frozen=True)
class CaptionOptions:
    """Which captions of an image are scored, one of SCORED; and how many of others make `nats_mixture`, 0 for none."""

    scored: str = "all"
    mixture: int = 0


def captions_of(photos, scored):
    """The captions of every image of a split that are `scored`: a list of lists, empty for an image without."""
    every = [photos.captions_of(i) for i in range(len(photos))]
    return [[text for text in (texts[:1] if scored == "first" else texts) if text] for texts in every]


class Scorer:
    """Scores a model on n images with captions.

    Args:
      model: an Inpainter.
      photos: the `Photos` split.
      indices: int64 (n,), which of its images.
      name: the checkpoint, as the user calls it.
      options: `batch_size` and `progress`, as `scoring.score` takes them.
    """

    def __init__(self, model, photos, indices, name, **options):
        self.model, self.photos, self.indices, self.name, self.options = model, photos, indices, name, options
        self.images_per_second = 0.0

    def used(self, captions):
        """Lists of captions as the model takes them: all empty if it takes none."""
        return captions if self.model.uses_captions else [[] for _ in captions]

    def own(self, captions, by_pixel=None):
        """Score the images with each of their captions; once, without, those that have none.

        Args:
          captions: n lists of strings.
          by_pixel: called as `scoring.score` calls `observe`, with positions among those of `once_each`.

        Returns:
          (float64 (n,) nats, means over each image's captions; n arrays with the nats of each caption, empty for an
          image without captions or a model that takes none).
        """
        captions = self.used(captions)
        images, texts = once_each(captions)
        nats = self._score(images, texts if self.model.uses_captions else None, "own captions", "nats", by_pixel)
        apart = np.split(nats, np.flatnonzero(np.diff(images)) + 1)
        means = np.array([part.mean() for part in apart])
        return means, [part if own else part[:0] for part, own in zip(apart, captions, strict=True)]

    def with_texts(self, texts, label, what):
        """Score each image with its list of `texts`, each a string or a list of strings that are given at once: n
        arrays of nats, empty where the list is."""
        images = np.repeat(np.arange(len(texts)), [len(some) for some in texts])
        flat = [text for some in texts for text in some]
        nats = self._score(images, flat, label, what) if len(images) else np.zeros(0)
        return np.split(nats, np.cumsum([len(some) for some in texts])[:-1])

    def _score(self, positions, texts, label, what, observe=None):
        images = self.indices[positions]
        nats, speed = score(self.model, self.photos, images, texts, label=label, observe=observe, **self.options)
        check_finite(nats, self.photos, images, self.name, what)
        self.images_per_second = self.images_per_second or speed
        return nats


def once_each(captions):
    """(int64 (m,), m texts): the number of its list and the text of every caption in n lists, "" for an empty list."""
    images = np.repeat(np.arange(len(captions)), [max(1, len(texts)) for texts in captions])
    return images, [text for texts in captions for text in texts or [""]]


def nats_by_caption(scorer, options, seed):
    """Score the scorer's images with their captions, with none, and with those of others.

    Returns:
      The fields of `figures.Evaluation` that depend on captions, by name.
    """
    photos = scorer.photos
    whole = captions_of(photos, options.scored)
    captions = [whole[i] for i in scorer.indices]
    unknown = unknown_of(photos, scorer.indices)
    by_pixel = PixelNats(photos.hole, photos.image_size, once_each(scorer.used(captions))[0], unknown)
    nats, caption_nats = scorer.own(captions, by_pixel.add)
    pixel_nats, ring_nats = by_pixel.gathered()
    return {
        "unknown": unknown,
        "captions": captions,
        "nats": nats,
        "caption_nats": caption_nats,
        "pixel_nats": pixel_nats,
        "ring_nats": ring_nats,
        "nats_at_once": _at_once(scorer, scorer.used(captions), caption_nats, seed),
        **_without(scorer, captions, nats),
        **_of_others(scorer, scorer.used(whole), options, seed),
    }


def _at_once(scorer, captions, caption_nats, seed):
    """Nats with 1, 2, 3 and 5 captions at once: float64 (n, 4), NaN for an image with fewer.

    Which captions is drawn by (seed, image) alone, those of a count among those of the next, since the captions of a
    photo may come in an order: Flickr8k's are sorted. One alone was scored already.
    """
    sizes = zip(scorer.indices, map(len, captions), strict=True)
    orders = [np.random.default_rng([seed, i]).permutation(size) for i, size in sizes]
    nats = np.full((len(captions), len(AT_ONCE)), np.nan)
    for column, count in enumerate(AT_ONCE):
        have = [len(texts) >= count for texts in captions]
        if count == 1:
            nats[have, column] = [one[order[0]] for one, order in zip(caption_nats, orders, strict=True) if len(one)]
            continue
        chosen = [
            [[texts[k] for k in order[:count]]] if enough else []
            for texts, order, enough in zip(captions, orders, have, strict=True)
        ]
        found = scorer.with_texts(chosen, f"{count} at once", f"nats with {count} captions at once")
        nats[have, column] = [one[0] for one in found if len(one)]
    return nats


def _without(scorer, captions, nats):
    """`nats_none`: images scored without a caption there are not scored again."""
    nothing = [[""] if texts else [] for texts in scorer.used(captions)]
    again = scorer.with_texts(nothing, "no caption", "nats without a caption")
    return {"nats_none": np.array([one[0] if len(one) else own for one, own in zip(again, nats, strict=True)])}


def _of_others(scorer, whole, options, seed):
    """Nats with captions of other images, which may lie beyond those that are scored."""
    what = "nats with another image's caption"
    everyone = Captions(whole)
    chosen = np.split(lend(everyone, seed), np.cumsum([len(texts) for texts in whole])[:-1])
    chosen = [[caption for caption in chosen[i] if caption >= 0] for i in scorer.indices]
    drawn = [some_of_others(everyone, i, options.mixture if whole[i] else 0, seed) for i in scorer.indices]
    firsts = [(texts or [""])[0] for texts in whole]
    other = unlike(firsts, scorer.indices, seed)  # (n,)

    swapped = scorer.with_texts([[everyone.texts[c] for c in some] for some in chosen], "swapped captions", what)
    lent = [[firsts[i]] if i >= 0 else [] for i in other]
    far = scorer.with_texts(lent, "unlike caption", what)
    mixed = scorer.with_texts([[everyone.texts[c] for c in some] for some in drawn], "random captions", what)
    return {
        "lent": [everyone.image[some].tolist() for some in chosen],
        "nats_swapped": np.array([some.mean() if len(some) else np.nan for some in swapped]),
        "unlike": other,
        "nats_unlike": np.array([some[0] if len(some) else np.nan for some in far]),
        "nats_mixture": np.array([np.log(len(some)) - logsumexp(-some) if len(some) else np.nan for some in mixed]),
    }
