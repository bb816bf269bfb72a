"""Pair texts with the photos beside them: `a.jpg` has `a.txt`, `a.jpg.txt`, `a.caption` or `a.json`.

The stem of a name is the part before its last dot. A text that may belong to two photos belongs to neither.
"""

import unicodedata
from collections import defaultdict
from dataclasses import dataclass, field

from data_prep.names import TEXTS, base

SIDECARS = (*TEXTS, ".json")
TWO_PHOTOS, TWO_TEXTS = "a text that two photos could own", "two texts that one photo could own"
BY_KEY = 99  # rank of a pairing by key: after all pairings by stem
NO_PHOTO, SECOND = "a text beside no photo", "a second text of one photo"
_NORMS = (
    str,
    lambda name: unicodedata.normalize("NFC", name),
    lambda name: unicodedata.normalize("NFC", name).casefold(),
)


@dataclass
class Paired:
    """`own`: texts of each photo, and its JSON, which is read if the text is blank or damaged.
    `lost`: (text, reason) of texts without a photo."""

    own: dict[str, list[str]] = field(default_factory=dict)
    lost: list[tuple[str, str]] = field(default_factory=list)


def stem(path: str) -> str:
    """A path without the last suffix of its name."""
    name = base(path)
    return path[: len(path) - len(name) + name.rindex(".")] if "." in name[1:] else path


def key(path: str) -> str:
    """A path without all suffixes of its name: webdataset's key."""
    name = base(path)
    return path[: len(path) - len(name) + name.index(".")] if "." in name else path


def pair(photos: list[str], texts: list[str], by_key: bool = False) -> Paired:
    """Pair each text with the one photo that its name means.

    Args:
      photos, texts: paths with forward slashes; the texts end as SIDECARS do.
      by_key: pair by webdataset's keys the texts that stems do not pair.
    """
    tables = []
    for part in (str, stem):  # "a.jpg.txt" says more than "a.txt"
        for norm in _NORMS:
            table = defaultdict(list)
            for photo in photos:
                table[norm(part(photo))].append(photo)
            tables.append((norm, table))
    result, ranked, left = Paired(), defaultdict(list), []
    for text in texts:
        found = next(
            ((rank, own) for rank, (norm, table) in enumerate(tables) if (own := table.get(norm(stem(text))))), None
        )
        if found is None:
            left.append(text)
        elif len(found[1]) > 1:
            result.lost.append((text, TWO_PHOTOS))
        else:
            ranked[found[1][0]].append((*_preference(text), found[0], text))
    if by_key:
        left = _pair_by_key(photos, left, ranked, result)
    result.lost += [(text, NO_PHOTO) for text in left]
    for photo, choices in ranked.items():
        choices.sort()
        ranks = [choice[:-1] for choice in choices]
        if ranks.count(ranks[0]) > 1:  # a.txt and a.TXT
            result.lost += [(choice[-1], TWO_TEXTS) for choice in choices]
            continue
        texts = [choice[-1] for choice in choices if not choice[0]]
        result.lost += [(text, SECOND) for text in texts[1:]]
        result.own[photo] = texts[:1] + [choice[-1] for choice in choices if choice[0]]
    return result


def _preference(text: str) -> tuple[bool, int]:
    """Sort key of the texts of a photo: captions before JSON, which may hold anything."""
    number = next(number for number, ending in enumerate(SIDECARS) if text.lower().endswith(ending))
    return text.lower().endswith(".json"), number


def _pair_by_key(photos: list[str], texts: list[str], ranked: dict, result: Paired) -> list[str]:
    """Pair by keys those texts whose key one photo and no other text has; returns the rest."""
    owners, askers, rest = defaultdict(list), defaultdict(list), []
    for photo in photos:
        owners[key(photo)].append(photo)
    for text in texts:
        askers[key(text), _preference(text)].append(text)
    for (name, preference), same in askers.items():
        own = owners.get(name, [])
        if not own:
            rest += same
        elif len(own) > 1 or len(same) > 1:
            result.lost += [(text, TWO_PHOTOS if len(own) > 1 else TWO_TEXTS) for text in same]
        else:
            ranked[own[0]].append((*preference, BY_KEY, same[0]))
    return rest
