"""--folder DIR: photos, and their captions beside them in NAME.txt (one a line) or in one file (tables.py).

Folders inside are looked through too. A photo's split is what its topmost folder's name begins with (train, val, test);
it is train where that says nothing.
"""

import os
from pathlib import Path

from data_prep.errors import InputError
from data_prep.photos import Photo, Rejected, Source, hashed_id, locate_file, split_of
from data_prep.sources.tables import read_table

PHOTOS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm")


def read_folder(root, captions_file=None) -> Source:
    """List a folder's photos in the order of their names, with their captions.

    Args:
      captions_file: a .jsonl, .csv or .tsv naming photos by their path inside `root`, or by their bare name where no
        other photo has it; None for NAME.txt beside each photo.
    Raises:
      InputError: no such folder, no photos in it, or the captions file is malformed.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"{root}: no such folder")
    source = Source(label="folder" if captions_file is None else f"folder ({Path(captions_file).suffix[1:]})")
    names = _photo_names(root)
    captions = None if captions_file is None else _by_photo(source, names, read_table(captions_file))
    if not names and not source.rejects:
        raise InputError(f"{root}: no photos ({' '.join(PHOTOS)})")
    for name in names:
        try:
            location = locate_file(str(root / name))
        except Rejected as reason:
            source.rejects.append((name, str(reason)))
            continue
        texts = _beside(source, root / name) if captions is None else captions.get(name, [])
        split = split_of(name) if "/" in name else None
        own = tuple(source.encode(text) for text in texts)
        source.photos[split or "train"].append(Photo(name, hashed_id(name), own, location))
    return source


def _photo_names(root: Path) -> list[str]:
    """Paths inside `root`, with forward slashes, of all files that a photo's ending tells; sorted."""
    names = []
    for folder, _, files in os.walk(root):
        inside = Path(folder).relative_to(root)
        names += [(inside / name).as_posix() for name in files if name.lower().endswith(PHOTOS)]
    return sorted(names)


def _beside(source: Source, photo: Path) -> list[str]:
    """The lines of NAME.txt, blank ones left out."""
    text = photo.with_suffix(".txt")
    if not text.is_file():
        return []
    lines = source.decode(text.read_bytes()).split("\n")
    return [line.strip() for line in lines if line.strip()]


def _by_photo(source: Source, names: list[str], table: dict[str, list[str]]) -> dict[str, list[str]]:
    """A table's captions by the photos' own names; a photo that it names and that is not there is a reject."""
    bare: dict[str, list[str]] = {}
    for name in names:
        bare.setdefault(name.rsplit("/", 1)[-1], []).append(name)
    known, captions = set(names), {}
    for name, found in table.items():
        asked = name.replace("\\", "/").removeprefix("./")
        candidates = [asked] if asked in known else bare.get(asked, [])
        if len(candidates) == 1:
            captions.setdefault(candidates[0], []).extend(found)
        else:
            source.rejects.append((name, "several photos have this name" if candidates else "no such file"))
            source.orphans += len(found)
    return captions
