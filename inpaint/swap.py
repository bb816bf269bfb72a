"""Another image's caption for each image, one that shares few words with its own.

Scoring an image with somebody else's caption tells whether a model uses what a caption says or only that there is one;
that asks for captions that do say something else. BLEU's clipped unigram precision [1] is the measure of sharing.

[1] Papineni et al., BLEU: a method for automatic evaluation of machine translation, ACL 2002.
"""

import numpy as np
from nltk.tokenize import wordpunct_tokenize
from nltk.translate.bleu_score import modified_precision


def swap(captions, indices, seed=0, candidates=8):
    """Choose for each image another image whose caption differs from its own as much as possible.

    A few candidates are drawn for each image, by (seed, image) alone, so the choice for an image depends neither on
    `indices` nor on their order, and the work is len(indices) * candidates comparisons.

    Args:
      captions: one string an image of the split, "" for none.
      indices: the images to choose for.
      seed: chooses the candidates.
      candidates: how many other images to compare with.

    Returns:
      int64 (len(indices),): the other image, or -1 where the image has no caption or no other image has another one.
    """
    pool = np.array([i for i, caption in enumerate(captions) if caption], np.int64)
    chosen = [_choose(captions, int(i), pool, seed, candidates) if captions[i] else -1 for i in indices]
    return np.array(chosen, np.int64)


def shared_words(caption, other):
    """The share of `other`'s words that `caption` has too, 0 to 1: BLEU's clipped unigram precision."""
    return float(modified_precision([_words(caption)], _words(other), 1))


def _choose(captions, i, pool, seed, candidates):
    drawn = pool
    if len(pool) > candidates:
        drawn = pool[np.random.default_rng([seed, i]).integers(len(pool), size=candidates)]
    others = _telling(captions, i, drawn)
    if not others:  # every candidate says the same, as in a set with few captions: look at all of them
        others = _telling(captions, i, pool)[:candidates]
    return min(others, key=lambda other: (shared_words(captions[i], captions[other]), other), default=-1)


def _telling(captions, i, drawn):
    """Those of `drawn` that are another image with another caption than image i."""
    own = _words(captions[i])
    return [int(other) for other in drawn if other != i and _words(captions[other]) != own]


def _words(caption):
    return wordpunct_tokenize(caption.lower())
