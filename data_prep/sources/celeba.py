"""CelebA's aligned photos, as torchvision or as Kaggle lays them out; the captions name what its attributes grant.

torchvision: img_align_celeba/ (or img_align_celeba.zip, read in place), list_eval_partition.txt, list_attr_celeba.txt.
Kaggle: img_align_celeba/img_align_celeba/, list_eval_partition.csv, list_attr_celeba.csv.
"""

import csv
import io
from collections.abc import Callable
from pathlib import Path

from data_prep.errors import InputError
from data_prep.photos import SPLITS, Location, Photo, Rejected, Source, hashed_id, locate_file
from data_prep.regular import read_small
from data_prep.texts import NotText, decoded, lines
from data_prep.zips import Zip

PHOTOS = "img_align_celeba"
LARGEST = 2**28  # bytes of a list; the attributes have 27 million


def read_celeba(source: Source, root: Path, folders: tuple[str, ...]) -> None:
    """Add CelebA's photos, in the splits of list_eval_partition.

    Args:
      folders: folders inside `root` that may hold the files.
    Raises:
      InputError: files are missing, or a line is malformed (with its number).
    """
    folder = next((root / name for name in folders if _has_photos(root / name)), None)
    if folder is None:
        raise InputError(f"{root}: no folder {PHOTOS} in there, nor in celeba")
    listed, partition = _rows(source, folder, "list_eval_partition")
    described, attributes = _rows(source, folder, "list_attr_celeba")
    words = [name.replace("_", " ").lower() for name in attributes.pop("", [])]
    partition.pop("", None)
    for row, values in partition.items():
        if len(values) != 1 or values[0] not in ("0", "1", "2"):
            raise InputError(f"{listed}: {row} is in split {' '.join(values)}, not in 0, 1 or 2")
    found = _finder(folder)(list(partition))
    for name, (number,) in partition.items():
        if isinstance(found[name], str):
            source.rejects.append((name, found[name]))
            continue
        marks = attributes.get(name, [])
        if marks and len(marks) != len(words):
            raise InputError(f"{described}: {name} has {len(marks)} attributes, not {len(words)}")
        own = [word for word, mark in zip(words, marks, strict=False) if mark == "1"]
        captions = source.captions([f"a face: {', '.join(own)}" if own else "a face"])
        digits = name.split(".")[0]
        image_id = int(digits) if digits.isdecimal() and len(digits) < 19 else hashed_id(name)
        source.photos[SPLITS[int(number)]].append(Photo(name, image_id, captions, found[name], "place"))


def _has_photos(folder: Path) -> bool:
    return (folder / PHOTOS).is_dir() or (folder / f"{PHOTOS}.zip").is_file()


def _finder(folder: Path) -> Callable[[list[str]], dict[str, Location | str]]:
    if not (folder / PHOTOS).is_dir():
        archive = Zip(folder / f"{PHOTOS}.zip")
        return lambda names: archive.locate(names, PHOTOS)[0]
    nested = folder / PHOTOS / PHOTOS
    photos = nested if nested.is_dir() else folder / PHOTOS

    def find(names: list[str]) -> dict[str, Location | str]:
        found: dict[str, Location | str] = {}
        for name in names:
            try:
                found[name] = locate_file(str(photos / name))
            except Rejected as reason:
                found[name] = str(reason)
        return found

    return find


def _rows(source: Source, folder: Path, name: str) -> tuple[Path, dict[str, list[str]]]:
    """Values by photo from a .csv or .txt; the column names, if the file has them, under ""."""
    path = next((folder / (name + ending) for ending in (".txt", ".csv") if (folder / (name + ending)).is_file()), None)
    if path is None:
        raise InputError(f"{folder / name}.txt: cannot be read: no such file, nor a .csv")
    source.files.append(str(path))
    try:
        text = decoded(read_small(path, LARGEST))
    except NotText as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    if path.suffix == ".csv":
        csv.field_size_limit(2**31 - 1)
        try:
            table = list(csv.reader(io.StringIO(text, newline="")))
        except csv.Error as error:
            raise InputError(f"{path}: {error}") from error
        head, first, rows = (table[0][1:] if table else []), 2, table[1:]
    else:
        table = [line.split() for line in lines(text)]
        described = bool(table) and len(table[0]) == 1 and table[0][0].isdecimal()  # their number, then the columns
        head, first, rows = (table[1], 3, table[2:]) if described and len(table) > 1 else ([], 1, table)
    width = 1 + (len(head) or 1)
    found: dict[str, list[str]] = {"": head} if head else {}
    for number, row in enumerate(rows, first):
        if row and len(row) != width:
            raise InputError(f"{path}: line {number}: {len(row)} columns, expected {width}")
        if row:
            found[row[0].strip()] = [value.strip() for value in row[1:]]
    return path, found
