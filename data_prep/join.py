"""Join several sources: splits are concatenated, each photo is in one split and has a unique number."""

import hashlib
import re
from dataclasses import replace

from data_prep.names import base
from data_prep.photos import Photo, Rejected, Source, hashed_id, read_bytes

TEST_SHARE = 10  # one in ten training images becomes a test image where no source has a test split
_OF_COCO = re.compile(r"(COCO_\w+_)?\d{12}\.\w+")  # a name that carries its number
FIRST = ("test", "val", "train")  # a photo that is in two splits stays in the first of these


def join(sources: list[Source], limit: int | None = None) -> Source:
    """Join sources: concatenate splits, draw a test split from train if none has one, then apply `limit`.

    A photo that is listed twice by COCO's id is kept in the first of FIRST, the other is a reject; equal numbers of
    different photos are changed. (Equal content is found after decoding, see build.py.)
    """
    sources = [replace(source, photos=dict(source.photos), rejects=list(source.rejects)) for source in sources]
    _once_by_id(sources)
    again = _number_apart(sources)
    joined = Source(label=" + ".join(source.label for source in sources).encode("utf-8", "replace").decode())
    for source in sources:
        joined.add(source)
    joined.channels = max(source.channels for source in sources)
    if again:
        joined.warnings.append(f"{again:,} photos have a name or number that one of another source has: numbered anew")
    if not joined.photos["test"] and all(source.draws_test for source in sources):
        drawn = {True: [], False: []}
        for photo in joined.photos["train"]:
            drawn[photo.may_be_test and drawn_for_test(photo.image_id)].append(photo)
        joined.photos["test"], joined.photos["train"] = drawn[True], drawn[False]
    compared = any(photo.known_by == "content" for photos in joined.photos.values() for photo in photos)
    for split, photos in joined.photos.items():
        joined.photos[split] = [_by_both(photo) if compared else photo for photo in photos[:limit]]
    return joined


def _by_both(photo: Photo) -> Photo:
    """Photos known by their id are compared by content as well where other sources have nothing else."""
    return photo._replace(known_by="both") if photo.known_by == "id" else photo


def drawn_for_test(image_id: int) -> bool:
    """Whether a training image goes to the test split: by its number alone, so that the choice never changes."""
    digest = hashlib.sha256(str(image_id).encode()).digest()
    return int.from_bytes(digest[:8], "big") % TEST_SHARE == 0


def _once_by_id(sources: list[Source]) -> None:
    """Keep each photo with an id only in the first split of FIRST that has it."""
    kept: dict[int, tuple[str, Photo]] = {}
    for split in FIRST:
        for source in sources:
            stay = []
            for photo in source.photos[split]:
                where, other = kept.get(photo.image_id, ("", None)) if photo.known_by == "id" else ("", None)
                if other is not None and _same(photo, other):
                    what = "in two splits" if where != split else "twice in one split"
                    source.rejects.append((photo.file_name, f"{what}: {other.file_name} of {where} has its id"))
                    continue
                if photo.known_by == "id":
                    kept.setdefault(photo.image_id, (split, photo))
                stay.append(photo)
            source.photos[split] = stay


def _same(photo: Photo, other: Photo) -> bool:
    """Whether two photos of one id are the same. COCO's names carry the id; other sets may number each file from 1, and
    are told apart by content."""
    names = base(photo.file_name), base(other.file_name)
    if all(_OF_COCO.fullmatch(name) and str(photo.image_id) == _digits(name) for name in names):
        return True
    try:
        return photo.where.size == other.where.size and read_bytes(photo.where) == read_bytes(other.where)
    except Rejected:
        return False


def _digits(name: str) -> str:
    """Number at the end of a stem: COCO_val2014_000000000042.jpg -> 42."""
    stem = name.rsplit(".", 1)[0]
    number = stem[len(stem.rstrip("0123456789")) :]
    return str(int(number)) if 0 < len(number) < 19 else ""


def _number_apart(sources: list[Source]) -> int:
    """Renumber photos whose number is taken by an earlier source, from their name and the order of the sources; returns
    how many."""
    used: set[int] = set()
    again = 0
    for order, source in enumerate(sources, 1):
        for split, photos in source.photos.items():
            apart = [photo if photo.image_id not in used else _renumbered(photo, order, used) for photo in photos]
            again += sum(new is not old for new, old in zip(apart, photos, strict=True))
            source.photos[split] = apart
        used |= {photo.image_id for photos in source.photos.values() for photo in photos}
    return again


def _renumbered(photo: Photo, order: int, used: set[int]) -> Photo:
    number = hashed_id(f"{photo.file_name}#{order}")
    while number in used:  # once in 2^63
        number = hashed_id(f"{number}#{order}")
    return photo._replace(image_id=number)
