"""For each image another image's caption that shares few words with its caption.

Scoring an image with somebody else's caption tells whether a model uses what a caption says or only that there is one;
that asks for captions that do say something else. BLEU's clipped unigram precision [1] is the measure of sharing.

[1] Papineni et al., BLEU: a method for automatic evaluation of machine translation, ACL 2002.
"""

import numpy as np
from nltk.tokenize import wordpunct_tokenize
from nltk.translate.bleu_score import modified_precision


def swap(captions, indices, seed=0, candidates=8):
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
    words = [wordpunct_tokenize(caption.lower()) for caption in captions]
    pool = np.array([i for i, caption in enumerate(captions) if caption], np.int64)
    few = _different_wordings(words, pool, candidates + 1)

    def choose(i):
        drawn = np.random.default_rng([seed, i]).choice(pool, size=candidates) if len(pool) > candidates else pool
        others = [int(other) for other in drawn if words[other] != words[i]]
        others = others or [other for other in few if words[other] != words[i]]
        return min(others, key=lambda other: (_shared(words[i], words[other]), other), default=-1)

    return np.array([choose(int(i)) if captions[i] else -1 for i in indices], np.int64)


def shared_words(caption, other):
    """Share of the words of `other` that are in `caption`, 0 to 1: BLEU's clipped unigram precision."""
    return _shared(wordpunct_tokenize(caption.lower()), wordpunct_tokenize(other.lower()))


def _shared(reference, hypothesis):
    return float(modified_precision([reference], hypothesis, 1))


def _different_wordings(words, pool, count):
    """The first image of each of `count` wordings: a fallback if all candidates say the same."""
    first = {}
    for i in pool:
        first.setdefault(tuple(words[i]), int(i))
        if len(first) == count:
            break
    return list(first.values())
