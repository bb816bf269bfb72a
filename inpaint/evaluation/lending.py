"""Captions of other images, lent to an image: at random, each once; at random, several; or one that is most unlike.

Scoring an image with somebody else's caption tells whether a model uses what a caption says or only that there is one.
A caption lent at random is as long and as plain as one's own on average. The one that is most unlike is not: it tends
to be longer, and a few are lent again and again. BLEU's clipped unigram precision [1] measures what two captions share.

[1] Papineni et al., BLEU: a method for automatic evaluation of machine translation, ACL 2002.
"""

import numpy as np

from data_prep.words import words_of

EXCHANGES = 10  # tried at random, for each caption
TRIES = 32  # random partners for an exchange, before all are looked at


class Captions:
    """All captions of a split, and which of them say the same: the same words, whatever the case and space.

    Args:
      captions: for each image a list of strings, empty for none.

    Attributes:
      texts: the M captions, end to end.
      image: int64 (M,), the image of each.
      wording: int64 (M,), equal for captions that say the same.
      own: for each image the set of its captions' wordings.
    """

    def __init__(self, captions):
        self.texts = [text for texts in captions for text in texts]
        self.image = np.repeat(np.arange(len(captions)), [len(texts) for texts in captions])
        known = {}
        self.wording = np.array([known.setdefault(wording(text), len(known)) for text in self.texts], np.int64)
        self.own = [set() for _ in captions]
        for image, words in zip(self.image.tolist(), self.wording.tolist(), strict=True):
            self.own[image].add(words)


def wording(text):
    """The words of a caption, a tuple."""
    return tuple(words_of(text))


def lend(captions, seed=0):
    """Lend each image as many captions of others as it has, each caption at most once, uniformly at random.

    The captions are shuffled over the split by `seed` alone, so an image's loan does not depend on which images are
    scored. A place that would get a wording of its own image exchanges with a random other; random exchanges, ten times
    as many as captions, then make all loans that are allowed about equally likely.

    Args:
      captions: a `Captions`.
      seed: of the shuffling.

    Returns:
      int64 (M,): the caption lent in the place of each, or -1 where no exchange makes it another's.
    """
    rng = np.random.default_rng(seed)
    lent = rng.permutation(len(captions.texts))
    places = {}  # of the images that have a wording
    for place, image in enumerate(captions.image.tolist()):
        for words in captions.own[image]:
            places.setdefault(words, []).append(place)
    stuck, hopeless = [], set()

    def fits(place, caption):
        return int(captions.wording[caption]) not in captions.own[captions.image[place]]

    for place in rng.permutation(len(lent)).tolist():
        if fits(place, lent[place]):
            continue
        kind = frozenset(captions.own[captions.image[place]]), int(captions.wording[lent[place]])
        other = None if kind in hopeless else _partner(captions, lent, place, places, fits, rng)
        if other is None:
            hopeless.add(kind)
            stuck.append(place)
        else:
            lent[[place, other]] = lent[[other, place]]
    for one, other in rng.integers(len(lent), size=(EXCHANGES * len(lent), 2)).tolist():
        pairs = [(place, lent[source]) for place in (one, other) for source in (one, other)]
        if all(fits(*pair) for pair in pairs):
            lent[[one, other]] = lent[[other, one]]
    lent[stuck] = -1
    return lent


def _partner(captions, lent, place, places, fits, rng):
    """A random place to exchange with, so that both get another's wording; None if there is none."""
    for other in rng.integers(len(lent), size=TRIES).tolist():
        if fits(place, lent[other]) and fits(other, lent[place]):
            return other
    able = ~np.isin(captions.wording[lent], list(captions.own[captions.image[place]]))
    able[places[int(captions.wording[lent[place]])]] = False
    able = np.flatnonzero(able)
    return int(rng.choice(able)) if len(able) else None


def some_of_others(captions, image, count, seed=0):
    """Draw up to `count` captions of other images for an image, without repetition, by (seed, image) alone.

    Args:
      captions: a `Captions`.
      image: the image that gets them; none has a wording of its own captions.
      count: how many; all there are if they are fewer.

    Returns:
      int64 (at most count,).
    """
    others = np.flatnonzero(~np.isin(captions.wording, list(captions.own[image])))
    return np.random.default_rng([seed, image]).choice(others, size=min(count, len(others)), replace=False)


def unlike(captions, indices, seed=0, candidates=8):
    """Choose for each image another image whose caption is as different as possible.

    A few candidates are drawn for each image, by (seed, image) alone, so the choice for an image depends neither on
    `indices` nor on their order, and the work is len(indices) * candidates comparisons.

    Args:
      captions: one string an image of the split, "" for none.
      indices: the images to choose for.
      seed: of the random candidates.
      candidates: number of other images to compare with.

    Returns:
      int64 (len(indices),): the other image, or -1 if the image has no caption or no other image has a different one.
    """
    words = [words_of(caption) for caption in captions]
    pool = np.array([i for i, caption in enumerate(captions) if caption], np.int64)
    few = _different_wordings(words, pool, candidates + 1)

    def choose(i):
        drawn = np.random.default_rng([seed, i]).choice(pool, size=candidates) if len(pool) > candidates else pool
        others = [int(other) for other in drawn if words[other] != words[i]]
        others = others or [other for other in few if words[other] != words[i]]
        return min(others, key=lambda other: (shared_words(words[i], words[other]), other), default=-1)

    return np.array([choose(int(i)) if captions[i] else -1 for i in indices], np.int64)


def shared_words(reference, hypothesis):
    """Share of the words of `hypothesis` that are in `reference`, 0 to 1: BLEU's clipped unigram precision."""
    from nltk.translate.bleu_score import modified_precision  # here: importing nltk takes a while

    return float(modified_precision([reference], hypothesis, 1))


def _different_wordings(words, pool, count):
    """The first image of each of `count` wordings: a fallback if all candidates say the same."""
    first = {}
    for i in pool:
        first.setdefault(tuple(words[i]), int(i))
        if len(first) == count:
            break
    return list(first.values())
