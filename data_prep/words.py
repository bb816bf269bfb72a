"""Words of the captions, by nltk's WordPunctTokenizer (a regular expression; it needs no corpus).

Captions are lower-cased first. "A dog's ball." becomes a, dog, ', s, ball, and the full stop.
"""

import sys
from collections import Counter
from collections.abc import Iterator

from data_prep.errors import signals_held


class WordCount:
    """Word counts of one split's captions.

    Attributes:
      words: count of each word.
      lengths: number of captions of each length, in words.
    """

    def __init__(self):
        self.words: Counter[str] = Counter()
        self.lengths: Counter[int] = Counter()

    def add(self, captions: tuple[bytes, ...], times: int = 1) -> None:
        """Count the words of captions; times=-1 subtracts them."""
        tokenize = _tokenizer()
        for caption in captions:
            words = tokenize(caption.decode().lower())
            self.lengths[len(words)] += times
            if times == 1:
                self.words.update(words)  # counts in C
            else:
                for word in words:
                    self.words[word] += times

    def vocabulary(self) -> dict[str, int]:
        """Words and counts, the most frequent first, ties in alphabetical order."""
        counted = ((word, count) for word, count in self.words.items() if count > 0)
        return dict(sorted(counted, key=lambda item: (-item[1], item[0])))

    def length_quantile(self, share: float) -> int:
        """Length that this share of the captions does not exceed; 0 without captions.

        By hand, as np.quantile takes counts as weights only from NumPy 2.0 on.
        """
        left = share * sum(self.lengths.values())
        for length, count in sorted(self.lengths.items()):
            left -= count
            if left <= 0 and count:
                return length
        return 0


def words_of(caption: str) -> list[str]:
    """The words of a caption, lower-cased."""
    return _tokenizer()(caption.lower())


def count_words(photos: dict[str, list], counts: dict[str, WordCount], step: int = 64) -> Iterator[bool]:
    """Count the captions of every split into `counts`, a few photos at each step of the iterator."""
    for split, listed in photos.items():
        for start in range(0, len(listed), step):
            for photo in listed[start : start + step]:
                if photo.captions:
                    counts[split].add(photo.captions)
            yield True


def _tokenizer():
    """nltk's tokenizer, imported for the first caption: importing nltk takes longer than decoding 100 photos."""
    if "nltk" in sys.modules:
        return sys.modules["nltk"].wordpunct_tokenize
    with signals_held():  # nltk's own `except` clauses around imports would take a Ctrl-C for a missing library
        without_scipy = "scipy" not in sys.modules
        if without_scipy:
            sys.modules["scipy"] = None  # nltk does without it, and it is most of the import
        try:
            import nltk
        finally:
            if without_scipy:
                del sys.modules["scipy"]
    return nltk.wordpunct_tokenize


def nltk_version() -> str:
    """Its version, without importing it for a set that has no captions."""
    if "nltk" in sys.modules:
        return sys.modules["nltk"].__version__
    from importlib.metadata import version

    return version("nltk")
