"""--folder DIR: photos, with captions beside them (pairing.py), in one file (tables.py), or laid out by Hugging Face.

Folders inside are looked through too, links followed. Captions come from `--captions FILE`; without it from the tables
that lie in the folders under their usual names (metadata.jsonl, captions.txt, results.csv, ...), and for photos that no
table names from NAME.txt (one a line), NAME.jpg.txt, NAME.caption or NAME.json. Of two tables that name a photo the
first has its captions. A photo's split is what the table says, else what a folder above it names as a whole word
(train, val, test and their longer forms), else train. What this program wrote there is passed over.
"""

import os
import re
from bisect import bisect_left
from collections import Counter
from pathlib import Path

from data_prep.errors import InputError
from data_prep.listing import Listing, listing
from data_prep.names import NONE, base, match, some, split_of_path, strictest
from data_prep.pairing import NO_PHOTO, SIDECARS, pair, stem
from data_prep.photos import NO_SPLIT, Photo, Rejected, Source, hashed_id, locate_file
from data_prep.sources.sidecars import beside
from data_prep.sources.tables import LIST_OF_SPLIT, BrokenTable, Table, read_captions
from data_prep.texts import is_blank

_USUAL = re.compile(
    r"metadata\.(jsonl|csv)|(captions?|labels|annotations)\.(txt|csv|tsv|jsonl|json)|results(_\d+)?\.(csv|token)"
    r"|.*[._-]token\.txt|.*\.token|dataset_\w+\.json|captions_\w+\.json",
    re.IGNORECASE,
)


def read_folder(root, captions_file=None) -> Source:
    """List a folder's photos in the order of their names, with their captions.

    Args:
      captions_file: a file that names photos by their path inside `root`, or by a name that one of them alone has
        (names.match); None for captions beside the photos.
    Raises:
      InputError: no such folder, no photos in it, or the captions file is malformed or names none of the photos.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"{root}: no such folder")
    inside = listing(root)
    source = Source(label="folder" if captions_file is None else f"folder ({Path(captions_file).suffix[1:]})")
    source.rejects += inside.rejects
    source.skipped += inside.skipped
    if not inside.photos and not inside.rejects:
        raise InputError(f"{root}: no photos in this folder")
    captions, splits = _captions(source, root, inside, captions_file)
    silent: Counter[str] = Counter()
    for name in inside.photos:
        try:
            location = locate_file(str(root / name))
        except Rejected as reason:
            source.rejects.append((name, str(reason)))
            continue
        split = splits.get(name) or split_of_path(name)
        silent[name.rpartition("/")[0] or "."] += split is None
        own = source.captions(captions.get(name, ()))
        source.photos[split or "train"].append(Photo(name, hashed_id(name), own, location))
    _tell(source, inside, +silent)
    return source


def _tell(source: Source, inside: Listing, silent: Counter) -> None:
    if silent:
        source.warnings.append(
            f"{len(silent):,} folders {NO_SPLIT}, so their {silent.total():,} photos are in train: "
            f"{some(sorted(silent))}"
        )
    if inside.twice:
        link, first = inside.twice[0]
        source.warnings.append(f"{len(inside.twice):,} links to folders read already: {link} is {first or 'the top'}")
    if inside.others:
        source.warnings.append(f"{inside.others:,} files are neither photos nor captions")


def _captions(
    source: Source, root: Path, inside: Listing, captions_file
) -> tuple[dict[str, list[str]], dict[str, str]]:
    """({photo: captions}, {photo: split}) from a captions file, or from all that lies beside the photos."""
    if captions_file is not None:
        table = read_captions(captions_file)
        source.files += table.files
        captions, splits = _by_photo(source, inside.photos, table, str(captions_file))
        if not captions:
            raise InputError(f"{captions_file}: none of its names is a photo in {root}")
        beside_photos = pair(inside.photos, [text for text in inside.texts if text.lower().endswith(SIDECARS)]).own
        if beside_photos:
            first = next(iter(beside_photos.values()))[0]
            source.warnings.append(f"{len(beside_photos):,} photos have texts beside them, not read: {first}")
        return captions, splits
    captions, splits, used = _usual_tables(source, root, inside)
    texts = [text for text in inside.texts if text not in used and not LIST_OF_SPLIT.fullmatch(base(text))]
    sidecars = [text for text in texts if text.lower().endswith(SIDECARS)]
    unread = [text for text in texts if not text.lower().endswith(SIDECARS)]
    if unread:
        source.warnings.append(f"{len(unread):,} tables were not read; --captions FILE reads one: {unread[0]}")
    paired = pair(inside.photos, sidecars)
    for text, reason in paired.lost:
        source.lose(f"{reason}, JSON" if reason == NO_PHOTO and text.lower().endswith(".json") else reason, text)
    for photo, own in paired.own.items():
        if photo in captions:
            source.lose("a text of a photo that a table names", own[0])
        else:
            captions[photo] = beside(source, root, own)
    return captions, splits


def _usual_tables(source: Source, root: Path, inside: Listing) -> tuple[dict, dict, set[str]]:
    """Captions and splits from the tables under their usual names, each of photos in its own folder and below it."""
    captions: dict[str, list[str]] = {}
    splits: dict[str, str] = {}
    used: set[str] = set()
    stems = {stem(photo).casefold() for photo in inside.photos}
    for text in inside.texts:
        metadata = base(text).lower().startswith("metadata.")
        if not _USUAL.fullmatch(base(text)) or (stem(text).casefold() in stems and not metadata):
            continue
        if "lemma" in base(text).lower():  # Flickr8k's captions once more, with "dog be run" for "dogs were running"
            continue
        try:
            table = read_captions(root / text)
        except BrokenTable:
            raise
        except InputError as error:
            if metadata:
                raise
            source.warnings.append(f"no table of captions: {error}")  # a text like any other, it seems
            continue
        folder = text.rpartition("/")[0]
        below = _below(inside.photos, folder)
        relative = {photo[len(folder) + 1 if folder else 0 :]: photo for photo in below}
        own, own_splits = _by_photo(source, list(relative), table, text)
        named = bool(own)
        own = {name: found for name, found in own.items() if not all(map(is_blank, found))}
        if not named and metadata:
            raise InputError(f"{root / text}: none of its names is a photo in this folder")
        source.files += table.files
        source.warnings.append(f"{text}: captions of {len(own):,} photos")
        used |= {text, *(os.path.relpath(path, root).replace(os.sep, "/") for path in table.files)}
        for name, found in own.items():
            if captions.setdefault(relative[name], found) is not found:
                source.lose("of photos that another table names", text, len(found))
        for name, split in own_splits.items():
            splits[relative[name]] = strictest(split, splits.get(relative[name]))
    return captions, splits, used


def _below(photos: list[str], folder: str) -> list[str]:
    """Those of some sorted photos that lie in a folder or below it."""
    if not folder:
        return photos
    after = chr(ord("/") + 1)  # the first that sorts behind all of folder/...
    return photos[bisect_left(photos, f"{folder}/") : bisect_left(photos, f"{folder}{after}")]


def _by_photo(source: Source, photos: list[str], table: Table, where: str) -> tuple[dict, dict]:
    """A table's captions and splits by the photos' own names; a name that means no photo is a reject."""
    found, refused = match(table.captions, photos)
    captions: dict[str, list[str]] = {}
    for name, photo in found.items():
        captions.setdefault(photo, []).extend(table.captions[name])
    for name, reason in refused.items():
        source.rejects.append((name, reason))
        source.orphans += len(table.captions[name])
    for reason, count in table.lost.items():
        source.lose(reason, where, count)
    for value, count in table.odd_splits.items():
        source.warnings.append(f"{where}: the split {value!r} of {count:,} photos is none of train, val and test")
    listed, doubtful = match(table.splits, photos)
    odd = [f"{name}: {reason}" for name, reason in doubtful.items() if reason != NONE and name not in refused]
    if odd:
        source.warnings.append(f"{where}: the splits of {len(odd):,} names are not used: {odd[0]}")
    splits: dict[str, str] = {}
    for name, photo in listed.items():
        splits[photo] = strictest(table.splits[name], splits.get(photo))
    return captions, splits
