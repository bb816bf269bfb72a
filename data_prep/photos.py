"""What a source lists of each photo before decoding: name, id, captions, and the location of its bytes.

A source (sources/, one a file) fills a `Source`; nothing else knows where photos come from.
Members of zip and tar archives are read in place, by their offset, so a process needs no archive's index.
"""

import hashlib
import os
import stat
import struct
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from data_prep.errors import InputError
from data_prep.h5file import SPLITS
from data_prep.names import some
from data_prep.regular import open_regular
from data_prep.texts import is_blank

NO_SPLIT = "name no split"  # in a warning that --split answers
MAX_BYTES = 256 * 2**20  # a photo's file; the largest real photos are a tenth of this
FIRST_ID = {split: number * 1_000_000_000 for number, split in enumerate(SPLITS)}  # of images that have no file
STORED, DEFLATED = 0, 8  # a zip member's compression methods


class Rejected(Exception):
    """A photo that cannot be used; its text is the reason, as FILE.rejects.csv gives it. `damaged`: its pixels may be
    good, and something else in it damaged."""

    damaged = False


class Location(NamedTuple):
    """Where a photo's bytes lie: a file (kind "file"), or a member of an archive ("tar" or "zip") by its offset.

    `size` is in bytes as stored; `stamp` is what changes when the file does (its mtime in ns, or a zip member's CRC).
    """

    path: str
    kind: str
    offset: int
    size: int
    stamp: int
    method: int = STORED


class Pixels(NamedTuple):
    """An image in memory: `data` is uint8 (side, side, channels), channels 1 or 3."""

    side: int
    channels: int
    data: bytes


class Photo(NamedTuple):
    """One image of a source.

    `captions` are UTF-8; `where` is a Location, a demo.Scene to be drawn, or Pixels. `known_by` is what
    tells it from every other: its "id" (COCO's), its "content", "both", or its "place" in a published set.
    `may_be_test`: whether it may be drawn into a test split.
    """

    file_name: str
    image_id: int
    captions: tuple[bytes, ...]
    where: tuple
    known_by: str = "content"
    may_be_test: bool = True


RESULTS = "results of this program"


@dataclass
class Source:
    """What reading a source gives.

    Attributes:
      label: the source in words, the same wherever it lies, for the file's attribute `source`.
      photos: the photos of each split, in order.
      rejects: (file, reason) of photos listed that cannot be read.
      orphans: captions whose image the source does not list.
      repaired: captions that hold U+FFFD, put there for NUL or what was not Unicode, or there before.
      lost: how many captions, or texts of captions, were not read, by reason; `lost_first` has the first of each.
      skipped: hidden and system files passed over, by name, and under RESULTS this program's own.
      files: paths of what was read beside the photos, which no output may replace.
      warnings: lines for the user.
      channels: 1 where all its images are grey, else 3.
      draws_test: whether a test split may be drawn from its training images.
    """

    label: str
    photos: dict[str, list[Photo]] = field(default_factory=lambda: {split: [] for split in SPLITS})
    rejects: list[tuple[str, str]] = field(default_factory=list)
    orphans: int = 0
    repaired: int = 0
    lost: Counter = field(default_factory=Counter)
    lost_first: dict[str, str] = field(default_factory=dict)
    skipped: Counter = field(default_factory=Counter)
    files: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    channels: int = 3
    draws_test: bool = True

    def captions(self, texts: Iterable[str]) -> tuple[bytes, ...]:
        """Captions as UTF-8, blank ones left out. What no caption can hold, NUL and lone surrogates, becomes U+FFFD;
        captions with a U+FFFD, this program's or an earlier one's, are counted."""
        return tuple(self._encode(text) for text in texts if not is_blank(text))

    def _encode(self, caption: str) -> bytes:
        caption = caption.replace("\0", "\ufffd")
        try:
            data = caption.encode()
        except UnicodeEncodeError:
            data = caption.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
        self.repaired += b"\xef\xbf\xbd" in data
        return data

    def lose(self, reason: str, where: str, count: int = 1) -> None:
        """Count captions that are not read; `where` is the first one's file."""
        if count:
            self.lost[reason] += count
            self.lost_first.setdefault(reason, where)

    def add(self, other: "Source") -> None:
        """Append another source's photos, split by split, and its counts and messages."""
        for split in SPLITS:
            self.photos[split] += other.photos[split]
        self.rejects += other.rejects
        self.orphans += other.orphans
        self.repaired += other.repaired
        self.lost += other.lost
        self.lost_first = other.lost_first | self.lost_first
        self.skipped += other.skipped
        self.files += other.files
        self.warnings += other.warnings

    def told(self) -> list[str]:
        """What was not read, and the warnings: lines of the summary."""
        lines = []
        for reason, count in self.lost.items():
            lines.append(f"not read        {count:,} captions: {reason} ({self.lost_first[reason]})")
        hidden = Counter({name: count for name, count in self.skipped.items() if name != RESULTS})
        if hidden:
            names = some([name for name, _ in hidden.most_common()], 6)
            lines.append(f"passed over     {hidden.total():,} hidden or system files and folders: {names}")
        if self.skipped[RESULTS]:
            lines.append(f"passed over     {self.skipped[RESULTS]:,} {RESULTS}")
        return lines + [f"note            {warning}" for warning in self.warnings]


def hashed_id(file_name: str) -> int:
    """A number for a photo that has none: 63 bits of the SHA-256 of its name, the same on every machine."""
    digest = hashlib.sha256(file_name.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def locate_file(path: str) -> Location:
    """Where a plain file's bytes lie. Raises Rejected when there is no such file, or none that can be read."""
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        missing = isinstance(error, FileNotFoundError | NotADirectoryError | ValueError)
        if missing and not isinstance(error, ValueError) and os.path.islink(path):
            raise Rejected("a link to a file that is not there") from error
        raise Rejected("no such file" if missing else f"cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):
        raise Rejected("not a regular file")
    return Location(path, "file", 0, status.st_size, status.st_mtime_ns)


def read_bytes(where: Location) -> bytes:
    """The bytes of a photo's file. Raises Rejected if it cannot be read."""
    if where.size > MAX_BYTES:
        raise Rejected(f"absurdly large file: {where.size / 2**20:,.0f} MiB (limit {MAX_BYTES >> 20})")
    try:
        with open_regular(where.path) as file:  # a pipe may have taken its place
            if where.kind == "zip":
                return _read_zip_member(file, where)
            file.seek(where.offset)
            return file.read(where.size if where.kind == "tar" else min(MAX_BYTES, where.size + 1))
    except InputError as error:
        raise Rejected(str(error).removeprefix(f"{where.path}: ")) from error
    except OSError as error:
        raise Rejected(f"cannot be read: {error.strerror}") from error
    except (OverflowError, ValueError) as error:  # an archive's index names an offset that no file has
        raise Rejected("damaged archive: impossible offset") from error


def read_file(path: str | Path) -> bytes:
    """The bytes of a photo that is a plain file. Raises Rejected if it cannot be read."""
    return read_bytes(locate_file(str(path)))


def _read_zip_member(file, where: Location) -> bytes:
    """A member's bytes, from the offset of its local header; `where.stamp` is its CRC-32."""
    file.seek(where.offset)
    header = file.read(30)
    if len(header) < 30 or header[:4] != b"PK\3\4":
        raise Rejected("damaged zip member: no header")
    name_length, extra_length = struct.unpack("<HH", header[26:30])
    file.seek(where.offset + 30 + name_length + extra_length)
    data = file.read(where.size)
    if where.method == DEFLATED:
        try:
            data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, MAX_BYTES + 1)
        except zlib.error as error:
            raise Rejected("damaged zip member: cannot be inflated") from error
        if len(data) > MAX_BYTES:
            raise Rejected(f"absurdly large file: more than {MAX_BYTES >> 20} MiB unpacked")
    elif where.method != STORED:
        raise Rejected(f"zip compression method {where.method} is not supported")
    if zlib.crc32(data) != where.stamp:
        raise Rejected("damaged zip member: wrong CRC-32")
    return data
