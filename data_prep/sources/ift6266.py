"""--ift6266 ROOT: the archive of the 2017 course project, MSCOCO at 64 x 64.

ROOT/train2014/*.jpg and ROOT/val2014/*.jpg, and a pickle of {"COCO_train2014_000000000009": [caption, ...]}. The pickle
is somebody else's file, so restricted_pickle.py reads it.
"""

import re
from collections import Counter
from pathlib import Path

from data_prep.errors import InputError
from data_prep.listing import listing
from data_prep.names import NONE, match
from data_prep.pairing import stem
from data_prep.photos import Photo, Rejected, Source, hashed_id, locate_file
from data_prep.restricted_pickle import load

PICKLE = "dict_key_imgID_value_caps_train_and_valid.pkl"
FOLDERS = {"train": "train2014", "val": "val2014"}


def read_ift6266(root) -> Source:
    """List the archive's photos, by name, with their captions.

    Raises:
      InputError: the pickle or both folders are missing, or the pickle holds something else than captions, or none of
        the photos'.
    """
    root = Path(root)
    path = root / PICKLE
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    captions = _captions(path)
    source = Source(label="ift6266", files=[str(path)])
    folders = {split: root / name for split, name in FOLDERS.items() if (root / name).is_dir()}
    if not folders:
        raise InputError(f"{root}: neither {' nor '.join(FOLDERS.values())}")
    photos = {split: _photos(source, folder) for split, folder in folders.items()}
    names = [f"{FOLDERS[split]}/{stem(name)}" for split, listed in photos.items() for name in listed]
    twice = {name for name, count in Counter(names).items() if count > 1}
    found, refused = match(captions, names)
    own = {photo: key for key, photo in found.items()}
    for key, reason in refused.items():
        source.orphans += len(captions[key])
        if reason != NONE:
            source.rejects.append((key, reason))
    for split, listed in photos.items():
        for name in listed:
            try:
                location = locate_file(str(folders[split] / name))
            except Rejected as reason:
                source.rejects.append((name, str(reason)))
                continue
            texts = captions[own[key]] if (key := f"{FOLDERS[split]}/{stem(name)}") in own else ()
            if texts and key in twice:
                source.lose("of a name that two photos have", name, len(texts))
                texts = ()
            source.photos[split].append(Photo(name, _number(name), source.captions(texts), location))
    if captions and not found:
        raise InputError(f"{path}: none of its names is a photo in {root}")
    return source


def _photos(source: Source, folder: Path) -> list[str]:
    """List the photos of one folder by name; report its other files."""
    inside = listing(folder)
    source.rejects += [(f"{folder.name}/{name}", reason) for name, reason in inside.rejects]
    source.skipped += inside.skipped
    if inside.others:
        source.warnings.append(f"{folder}: {inside.others:,} files are no photos")
    return inside.photos


def _number(name: str) -> int:
    """The image id that COCO's file names end with; a hash of the name where there is none."""
    digits = re.search(r"_(\d{1,18})$", stem(name))
    return int(digits[1]) if digits else hashed_id(name)


def _captions(path: Path) -> dict[str, list[str]]:
    content = load(path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a dict of captions, found {type(content).__name__}")
    characters = 0
    for key, captions in content.items():
        if not isinstance(key, str) or not isinstance(captions, list):
            found = f"{key[:60]!r} with {type(captions).__name__}" if isinstance(key, str) else type(key).__name__
            raise InputError(f"{path}: expected names with lists of captions, found {found}")
        for caption in captions:
            if not isinstance(caption, str):
                raise InputError(f"{path}: {key[:60]!r}: a caption is {type(caption).__name__}, not str")
            characters += len(caption)
    if characters > path.stat().st_size:  # one string put in a million lists would fill the memory
        raise InputError(f"{path}: its captions are longer, {characters:,} characters, than the file itself")
    return content
