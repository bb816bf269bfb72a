"""Captions in one file beside a folder of photos: .jsonl, .csv or .tsv, read to {photo: captions}.

A line of JSON is {"file_name": NAME, "caption": TEXT} or has "captions": [TEXT, ...]; a table's first line names its
columns. The usual names of both columns are understood; a photo may have several lines. A .tsv has no quoting.
"""

import csv
import io
from pathlib import Path

from data_prep.errors import InputError
from data_prep.jsontext import parse

FILE_KEYS = ("file_name", "filename", "file", "image", "image_path", "path", "name")
CAPTION_KEYS = ("caption", "captions", "text", "sentence", "comment")


def read_table(path) -> dict[str, list[str]]:
    """Read a captions file: for each photo it names, in its order, the captions in theirs.

    Raises:
      InputError: no such file, another ending, not UTF-8, or a malformed line (with its number).
    """
    path = Path(path)
    readers = {".jsonl": _read_jsonl, ".csv": _read_csv, ".tsv": _read_csv}
    if path.suffix.lower() not in readers:
        raise InputError(f"{path}: captions are read from .jsonl, .csv or .tsv")
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    captions: dict[str, list[str]] = {}
    for file_name, found in readers[path.suffix.lower()](path):
        captions.setdefault(file_name, []).extend(found)
    return captions


def captions_in(entry, where: str) -> list[str]:
    """The captions in a JSON object: a string or a list of strings under one of CAPTION_KEYS; null counts as none.

    Raises:
      InputError: `entry` is no object, or its captions are of another type.
    """
    if not isinstance(entry, dict):
        raise InputError(f"{where}: expected an object")
    for key in CAPTION_KEYS:
        found = entry.get(key)
        if found is None:
            continue
        found = [found] if isinstance(found, str) else found
        if not isinstance(found, list) or not all(isinstance(caption, str) for caption in found):
            raise InputError(f"{where}: {key!r} is neither a string nor a list of strings")
        return found
    return []


def _read_jsonl(path: Path):
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            entry = parse(line.rstrip(b"\r\n"), str(path), number)
            where = f"{path}: line {number}"
            if not isinstance(entry, dict):
                raise InputError(f"{where}: expected an object")
            name = next((entry[key] for key in FILE_KEYS if key in entry), None)
            if not isinstance(name, str):
                raise InputError(f"{where}: no {FILE_KEYS[0]!r} that is a string")
            yield name, captions_in(entry, where)


def _read_csv(path: Path):
    csv.field_size_limit(2**31 - 1)
    tabs = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if path.suffix.lower() == ".tsv" else {}
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}: line {line}, byte {error.start}: not UTF-8") from error
    rows = csv.reader(io.StringIO(text, newline=""), strict=True, **tabs)
    try:
        header = [name.strip().lower() for name in next(rows, [])]
        file_column = next((header.index(key) for key in FILE_KEYS if key in header), None)
        caption_column = next((header.index(key) for key in CAPTION_KEYS if key in header), None)
        if file_column is None or caption_column is None:
            raise InputError(f"{path}: line 1: needs columns named {FILE_KEYS[0]!r} and {CAPTION_KEYS[0]!r}")
        for row in rows:
            if not row:
                continue
            if len(row) != len(header):
                raise InputError(f"{path}: line {rows.line_num}: {len(row)} columns, the first line has {len(header)}")
            yield row[file_column], [row[caption_column]]
    except csv.Error as error:
        raise InputError(f"{path}: line {rows.line_num}: {error}") from error
