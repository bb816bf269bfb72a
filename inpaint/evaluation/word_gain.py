"""Caption gain by word: for each word, the mean gain of the images whose caption has it.

That is an association, not a cause: words come together ("brown" and "dog"), and a word gets the gain of its whole
caption. Words are what nltk's wordpunct_tokenize cuts from the lower-cased caption, punctuation left out.
"""

import collections
import dataclasses

import numpy as np

from data_prep.words import words_of
from inpaint.evaluation.statistics import mean_and_ci95

MIN_IMAGES = 20  # the least that have an interval
RESAMPLES = 2000


@dataclasses.dataclass
class WordGain:
    """A word, the number of images with it in a caption, and the mean gain of such captions with its 95 % interval.

    An image with several such captions counts once, with their mean."""

    word: str
    images: int
    mean: float
    ci95: list


def word_gains(captions, gains, seed=0, min_images=MIN_IMAGES):
    """The mean gain of each word, the largest first.

    Args:
      captions: for each of n images a list of captions.
      gains: for each image, nats that each of its captions saved.
      seed: of the bootstrap.
      min_images: minimum number of images with the word in a caption; at least MIN_IMAGES.

    Returns:
      A list of `WordGain`; ties are in alphabetical order.
    """
    holders = collections.defaultdict(list)  # word -> its mean gain in each image that has it
    for texts, saved in zip(captions, gains, strict=True):
        here = collections.defaultdict(list)
        for caption, nats in zip(texts, saved, strict=True):
            for word in set(words_of(caption)):
                if any(character.isalnum() for character in word):
                    here[word].append(nats)
        for word, values in here.items():
            holders[word].append(np.mean(values))
    found = []
    for word, values in holders.items():
        if len(values) >= min_images:
            figure = mean_and_ci95(values, seed, RESAMPLES)
            found.append(WordGain(word, len(values), figure["mean"], figure["ci95"]))
    return sorted(found, key=lambda gain: (-gain.mean, gain.word))


def comparisons_note(found):
    """A note on how far many intervals side by side can be trusted."""
    by_chance = len(found) / 20
    by_chance = f"{by_chance:.1f}" if by_chance < 1 else f"{by_chance:.0f}"
    off_zero = sum(not gain.ci95[0] <= 0 <= gain.ci95[1] for gain in found)
    return (
        f"{len(found)} words are compared here, each with a 95 % interval of its own. If no word mattered, some "
        f"{by_chance} of these intervals would still leave out 0 by chance; {off_zero} do. The words at the "
        "top are there partly because they were lucky: they are something to look into, not a finding."
    )
