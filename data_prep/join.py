"""Several sources as one: their splits end to end, each photo in one split, each with a number of its own."""

import hashlib

from data_prep.names import base
from data_prep.photos import Photo, Rejected, Source, hashed_id, read_bytes

TEST_SHARE = 10  # one in ten training images becomes a test image where no source has a test split
FIRST = ("test", "val", "train")  # a photo that is in two splits stays in the first of these


def join(sources: list[Source], limit: int | None = None) -> Source:
    """All sources as one: their splits end to end, a test split drawn from train if none has one, then `limit`.

    A photo that COCO's id shows to be in two splits is kept in one and told; equal numbers of different photos become
    different. (What is the same by its content is found when it is decoded, see build.py.)
    """
    joined = Source(label=" + ".join(source.label for source in sources))
    for source in sources:
        joined.add(source)
    joined.channels = max(source.channels for source in sources)
    _once_by_id(joined)
    _number_apart(joined)
    if not joined.photos["test"] and all(source.draws_test for source in sources):
        drawn = {True: [], False: []}
        for photo in joined.photos["train"]:
            drawn[photo.may_be_test and drawn_for_test(photo.image_id)].append(photo)
        joined.photos["test"], joined.photos["train"] = drawn[True], drawn[False]
    for split in joined.photos:
        joined.photos[split] = joined.photos[split][:limit]
    return joined


def drawn_for_test(image_id: int) -> bool:
    """Whether a training image becomes a test image: by its number alone, so that the same do for ever."""
    digest = hashlib.sha256(str(image_id).encode()).digest()
    return int.from_bytes(digest[:8], "big") % TEST_SHARE == 0


def _once_by_id(joined: Source) -> None:
    """Keep each photo that is known by its id in the first of FIRST that has it."""
    kept: dict[int, tuple[str, Photo]] = {}
    for split in FIRST:
        stay = []
        for photo in joined.photos[split]:
            if photo.known_by == "id" and photo.image_id in kept and _same(photo, kept[photo.image_id][1]):
                where, other = kept[photo.image_id]
                what = "in two splits" if where != split else "twice in one split"
                joined.rejects.append((photo.file_name, f"{what}: {other.file_name} of {where} has its id"))
                continue
            if photo.known_by == "id":
                kept.setdefault(photo.image_id, (split, photo))
            stay.append(photo)
        joined.photos[split] = stay


def _same(photo: Photo, other: Photo) -> bool:
    """Whether two photos of one id are one. COCO's own names carry the id; people's sets may count from 1 in each file,
    and theirs are told apart by name and content."""
    names = base(photo.file_name), base(other.file_name)
    if names[0] == names[1] or any(str(photo.image_id) == _digits(name) for name in names):
        return True
    try:
        return photo.where.size == other.where.size and read_bytes(photo.where) == read_bytes(other.where)
    except Rejected:
        return False


def _digits(name: str) -> str:
    """The number that a name ends with, before its ending: COCO_val2014_000000000042.jpg -> 42."""
    stem = name.rsplit(".", 1)[0]
    number = stem[len(stem.rstrip("0123456789")) :]
    return str(int(number)) if 0 < len(number) < 19 else ""


def _number_apart(joined: Source) -> None:
    """Give photos whose number another photo has a number of their own; it depends on names and order alone."""
    used: set[int] = set()
    again = 0
    for photos in joined.photos.values():
        for position, photo in enumerate(photos):
            number, attempt = photo.image_id, 1
            while number in used:
                attempt += 1
                number = hashed_id(f"{photo.file_name}#{attempt}")
            used.add(number)
            if number != photo.image_id:
                again += 1
                photos[position] = photo._replace(image_id=number)
    if again:
        joined.warnings.append(f"{again:,} photos have a name or number that another photo has: they got new numbers")
