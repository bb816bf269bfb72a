"""Captions of many photos in one file, of any format that people have: read to {photo's name: captions}.

- JSON Lines: {"file_name": NAME, "caption": TEXT} or "captions": [TEXT, ...] a line; Hugging Face's metadata.jsonl.
- A table (.csv, .tsv, .txt), its columns named by the first line: the usual names of the name and caption columns are
  understood, several caption columns (caption_0 ... caption_4) too; the delimiter is found (comma, semicolon, tab, |).
  A .tsv has no quotes.
- Flickr8k's token file: NAME.jpg#k TAB caption; the lists of its splits lie beside it.
- JSON: COCO's captions_<set>.json, Karpathy's dataset_<name>.json, a list of objects, or {NAME: caption or captions}.
"""

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from data_prep.errors import InputError
from data_prep.jsontext import INT64, identifier, member, pairs, parse
from data_prep.names import SPLIT_WORDS, clean, strictest
from data_prep.regular import read_small
from data_prep.texts import NotText, decoded, lines

FILE_KEYS = (
    *("file_name", "filename", "file", "image", "image_path", "path", "name", "image_name", "filepath", "file_path"),
    *("img", "image_file", "img_path", "photo"),
)
CAPTION_KEYS = ("caption", "captions", "text", "sentence", "comment", "raw", "sentences", "texts", "description")
_NUMBERED = re.compile(r"(?:caption|text|sentence|comment|raw|description)s?[ _-]?(\d{1,9})")
_TOKEN = re.compile(r"(\S.*)#(\d+)\t(.*)")
LIST_OF_SPLIT = re.compile(r".*(?:^|[._-])(train|dev|val|test)images\.txt", re.IGNORECASE)
LARGEST = 2**29  # bytes of a captions file
TWO_NAMES = "of an id with two file names"
_DELIMITERS = ",\t;|"


@dataclass
class Table:
    """What a captions file holds, read as far as it goes.

    Attributes:
      captions: by photo name, in file order. splits: by photo name, from a split column or a list beside the file.
      ids: COCO's number by photo name, where Karpathy's file has one.
      lost: number of captions not read, by reason. files: paths of all files read.
      odd_splits: number of entries by what they have for a split, where that names none.
    """

    captions: dict[str, list[str]] = field(default_factory=dict)
    splits: dict[str, str] = field(default_factory=dict)
    ids: dict[str, int] = field(default_factory=dict)
    lost: Counter = field(default_factory=Counter)
    files: list[str] = field(default_factory=list)
    odd_splits: Counter = field(default_factory=Counter)

    def add(self, name: str, found: list[str], split: object = None) -> None:
        """Add captions of a photo; `split` is what its entry has for one. Karpathy's restval is trained on."""
        self.captions.setdefault(name, []).extend(found)
        word = split.strip().lower() if isinstance(split, str) else ""
        if named := {**SPLIT_WORDS, "restval": "train"}.get(word):
            self.splits[name] = strictest(named, self.splits.get(name))
        elif word:
            self.odd_splits[word[:60]] += 1


class BrokenTable(InputError):
    """A table of captions that holds some, and then a fault."""


def read_captions(path) -> Table:
    """Read a captions file of any of the formats above; its ending and its first line tell which.

    Raises:
      InputError: no such file, another ending, not text, or a malformed line (with its number); a BrokenTable if some
        captions were read before.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in (".jsonl", ".ndjson", ".csv", ".tsv", ".txt", ".json", ".token"):
        raise InputError(f"{path}: captions are read from .jsonl, .csv or .tsv, .json and .txt too")
    data = read_small(path, LARGEST, "captions file")
    table = Table(files=[str(path)])
    try:
        _read(table, path, ending, data)
    except InputError as error:
        if any(table.captions.values()):
            raise BrokenTable(str(error)) from error
        raise
    return table


def _read(table: Table, path: Path, ending: str, data: bytes) -> None:
    if ending == ".json":
        _read_json(table, data, str(path))
        return
    try:
        text = decoded(data)
    except NotText as error:
        raise InputError(f"{path}: {_place(data, error.start, ending)}{error}") from error
    if ending in (".jsonl", ".ndjson"):
        _read_jsonl(table, path, text)
    elif _TOKEN.fullmatch(next((line for line in lines(text[: 1 << 16]) if line.strip()), "")):
        _read_tokens(table, path, text)
    else:
        _read_delimited(table, path, text)


def captions_in(entry, where: str) -> list[str]:
    """The captions in a JSON object: a string or a list of strings under one of CAPTION_KEYS, or numbered ones; null
    counts as none.

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
    numbered = [(int(parts[1]), entry[key]) for key in entry if (parts := _NUMBERED.fullmatch(key.lower()))]
    return [caption for _, caption in sorted(numbered, key=lambda item: item[0]) if isinstance(caption, str)]


def _place(data: bytes, start: int | None, ending: str) -> str:
    """Line and byte where a file is not text; of JSON Lines the byte in its line."""
    if start is None:
        return ""
    line_start = data.rfind(b"\n", 0, start) + 1 if ending in (".jsonl", ".ndjson") else 0
    return f"line {data.count(bytes([10]), 0, start) + 1}, byte {start - line_start}: "


def _name_in(entry: dict, where: str) -> str:
    name = next((entry[key] for key in FILE_KEYS if key in entry), None)
    if not isinstance(name, str):
        raise InputError(f"{where}: no {FILE_KEYS[0]!r} that is a string")
    return name


def _read_jsonl(table: Table, path: Path, text: str) -> None:
    for number, line in enumerate(lines(text), 1):
        if not line.strip():
            continue
        entry = parse(line.encode("utf-8", "surrogatepass"), str(path), number)
        where = f"{path}: line {number}"
        if not isinstance(entry, dict):
            raise InputError(f"{where}: expected an object")
        table.add(_name_in(entry, where), captions_in(entry, where), entry.get("split"))


def _read_json(table: Table, data: bytes, where: str) -> None:
    content = parse(data, where)
    if isinstance(content, dict) and isinstance(content.get("images"), list):
        if "annotations" in content:
            _read_coco(table, content, where)
        else:
            read_karpathy(table, content, where)
    elif isinstance(content, dict) and "images" not in content:
        for name, found in pairs(data):  # of two with one name a dict has the last
            found = [found] if isinstance(found, str) else found
            if not isinstance(found, list) or not all(isinstance(caption, str) for caption in found):
                raise InputError(f"{where}: {name[:60]!r} has neither a caption nor a list of captions")
            table.add(name, found)
    elif isinstance(content, list):
        for number, entry in enumerate(content):
            position = f"{where}: [{number}]"
            if not isinstance(entry, dict):
                raise InputError(f"{position}: expected an object")
            table.add(_name_in(entry, position), captions_in(entry, position), entry.get("split"))
    else:
        raise InputError(f"{where}: neither COCO's captions, nor Karpathy's, nor a list or object of captions")


def read_karpathy(table: Table, content: dict, where: str) -> None:
    """Add the captions, splits and ids of a dataset_<name>.json (Karpathy and Fei-Fei's splits)."""
    for number, entry in enumerate(member(content, "images", list, where)):
        position = f"{where}: images[{number}]"
        name = member(entry, "filename", str, position)
        folder = entry.get("filepath")
        sentences = member(entry, "sentences", list, position)
        captions = [member(sentence, "raw", str, f"{position}.sentences") for sentence in sentences]
        name = f"{folder}/{name}" if isinstance(folder, str) and folder else name
        table.add(name, captions, entry.get("split"))
        if type(entry.get("cocoid")) is int and entry["cocoid"] in INT64:
            table.ids[name] = entry["cocoid"]


def _read_coco(table: Table, content: dict, where: str) -> None:
    names: dict = {}
    for number, entry in enumerate(content["images"]):
        position = f"{where}: images[{number}]"
        name = member(entry, "file_name", str, position)
        names.setdefault(identifier(entry, "id", position), set()).add(name)
        table.captions.setdefault(name, [])
    for number, entry in enumerate(member(content, "annotations", list, where)):
        position = f"{where}: annotations[{number}]"
        caption = member(entry, "caption", str, position)
        own = names.get(identifier(entry, "image_id", position), set())
        if len(own) == 1:
            table.add(next(iter(own)), [caption])
        else:
            table.lost[TWO_NAMES if own else "of an id without an image"] += 1


def _read_tokens(table: Table, path: Path, text: str) -> None:
    """Flickr8k's NAME.jpg#k TAB caption, and the lists of splits beside it."""
    for number, line in enumerate(lines(text), 1):
        if not line.strip():
            continue
        parts = _TOKEN.fullmatch(line)
        if parts is None:
            raise InputError(f"{path}: line {number}: not NAME#number, a tab and a caption")
        table.add(clean(parts[1]), [parts[3]])
    for beside in sorted(path.parent.iterdir()):
        listed = LIST_OF_SPLIT.fullmatch(beside.name)
        if listed and beside.is_file():
            try:
                names = lines(decoded(read_small(beside, LARGEST)))
            except NotText as error:
                raise InputError(f"{beside}: {error}") from error
            split = SPLIT_WORDS[listed[1].lower()]
            for name in map(clean, filter(str.strip, names)):
                table.splits[name] = strictest(split, table.splits.get(name))
            table.files.append(str(beside))


def _read_delimited(table: Table, path: Path, text: str) -> None:
    """A table whose first line names its columns."""
    csv.field_size_limit(2**31 - 1)
    delimiter, columns = _header(path, text)
    file_column, caption_columns, split_column = columns
    quoting = csv.QUOTE_NONE if delimiter == "|" or path.suffix.lower() == ".tsv" else csv.QUOTE_MINIMAL
    blanks = path.suffix.lower() == ".csv"  # before a quote they are nobody's; of Kaggle's .txt they are the caption's
    rows = csv.reader(
        io.StringIO(text, newline=""), strict=True, delimiter=delimiter, quoting=quoting, skipinitialspace=blanks
    )
    try:
        width = len(next(rows))
        for row in rows:
            if not row or not any(cell.strip() for cell in row):
                continue
            if len(row) > width and path.suffix.lower() == ".txt" and caption_columns == [width - 1]:
                row = [*row[: width - 1], delimiter.join(row[width - 1 :])]  # Kaggle's captions hold bare commas
            if len(row) != width:
                reason = f"line {rows.line_num}: {len(row)} columns, the first line has {width}"
                if delimiter != "|":
                    raise InputError(f"{path}: {reason}")
                table.lost["a line without all its columns"] += 1  # Flickr30k's results.csv has one
                continue
            found = [caption for column in caption_columns for caption in _cell(row[column])]
            split = row[split_column] if split_column is not None else None
            table.add(row[file_column].strip() if delimiter == "|" else row[file_column], found, split)
    except csv.Error as error:
        raise InputError(f"{path}: line {rows.line_num}: {error}") from error


def _header(path: Path, text: str) -> tuple[str, tuple[int, list[int], int | None]]:
    """The delimiter, and which columns hold the name, the captions and the split."""
    sample = text[: 1 << 16]
    try:
        guessed = csv.Sniffer().sniff(sample[: 1 << 13], _DELIMITERS).delimiter  # of more it may take seconds
    except csv.Error:
        guessed = ","
    first = "\t" if path.suffix.lower() == ".tsv" else guessed
    for delimiter in dict.fromkeys((first, guessed, *_DELIMITERS)):
        try:
            row = next(csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter), [])
        except csv.Error:
            continue
        header = [name.strip().lower() for name in row]
        file_column = next((header.index(key) for key in FILE_KEYS if key in header), None)
        plain = next(([header.index(key)] for key in CAPTION_KEYS if key in header), [])
        numbered = sorted((int(n[1]), column) for column, name in enumerate(header) if (n := _NUMBERED.fullmatch(name)))
        captions = plain + [column for _, column in numbered]
        if file_column is not None and captions:
            return delimiter, (file_column, captions, header.index("split") if "split" in header else None)
    raise InputError(f"{path}: line 1: needs columns named {FILE_KEYS[0]!r} and {CAPTION_KEYS[0]!r}")


def _cell(text: str) -> list[str]:
    """A cell's captions: itself, or those of a JSON list in it."""
    if text.lstrip().startswith('["') and text.rstrip().endswith('"]'):
        try:
            found = parse(text.encode("utf-8", "surrogatepass"), "")
        except InputError:
            return [text.strip()]
        if isinstance(found, list) and all(isinstance(caption, str) for caption in found):
            return found
    return [text.strip()]
