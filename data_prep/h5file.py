"""Layout (schema 1) of the file that training and evaluation read, and `describe`, which checks it.

Root attributes: `schema`, `image_size`, `hole`, `channels` (1 if all images are grey, else absent), provenance. A group
for each of train, val, test; a group `vocabulary`. Pixels are contiguous and uncompressed, so that readers use the
offsets from `describe`, without h5py in data-loading processes. Text is concatenated bytes with offsets, as in
`captions` and `caption_offsets`: string i is bytes[offsets[i]:offsets[i + 1]].

A file may be hostile: HDF5 can make one file read another, or a small one fill memory. So everything must be reached by
hard links, lie in the file itself, unfiltered, and be no larger than the file: see h5members.py.
"""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from data_prep.errors import InputError
from data_prep.h5members import attributes, check_place, dataset, member, subgroup, texts, values
from data_prep.regular import open_regular

SCHEMA = 1
SPLITS = ("train", "val", "test")
IMAGE_SIZE = 64  # pixels
LARGEST_IMAGE = 1024  # pixels a side that the programs take; a command or a file that asks for more is mistaken
HOLE = (16, 16, 32, 32)  # top, left, height, width, in pixels


@dataclass
class SplitInfo:
    """Everything in a split but its pixels.

    Attributes:
      n: number of images.
      border_offset, center_offset: start of the pixels, in bytes from the start of the file; None if n is 0.
      image_id: int64 (n,).
      file_name: n strings.
      captions: uint8, the UTF-8 of all captions, concatenated.
      caption_offsets: int64 (m + 1,).
      caption_index: int64 (n + 1,): image i has captions caption_index[i] to caption_index[i + 1].
      sha256: hash of border, then center, in hexadecimal.
    """

    n: int
    border_offset: int | None
    center_offset: int | None
    image_id: np.ndarray
    file_name: list[str]
    captions: np.ndarray = field(repr=False)
    caption_offsets: np.ndarray = field(repr=False)
    caption_index: np.ndarray = field(repr=False)
    sha256: str

    def captions_of(self, i: int) -> list[str]:
        """Captions of image i, in the order of the source; an empty list if it has none."""
        first, last = int(self.caption_index[i]), int(self.caption_index[i + 1])
        bounds = self.caption_offsets[first : last + 1].tolist()
        return [self.captions[a:b].tobytes().decode() for a, b in zip(bounds, bounds[1:], strict=False)]


@dataclass
class FileInfo:
    """A well-formed file, see `describe`.

    `hole` is top, left, height, width in pixels. `file_sha256` is the stored hash of the file and its offset, or None
    if another program left it out. `stamp` changes when the file is written again, see `stamp`.
    """

    path: Path
    image_size: int
    hole: tuple[int, int, int, int]
    attrs: dict
    splits: dict[str, SplitInfo]
    vocabulary: dict[str, int]
    file_sha256: tuple[str, int] | None = None
    stamp: tuple[int, int] | None = None

    @property
    def channels(self) -> int:
        """1 if all images are grey (three equal channels), else 3."""
        return self.attrs.get("channels", 3)


def describe(path) -> FileInfo:
    """Open a file, check its layout and return its description; reads no pixels.

    Args:
      path: an HDF5 file of `data_prep/build_h5.py`.
    Raises:
      InputError: the file is missing, truncated, of another schema or inconsistent.
    """
    import h5py  # here, because a builder's processes decode photos before anyone needs it

    path = Path(path)
    with open_regular(path) as opened:
        before = stamp(opened)
    try:
        with h5py.File(path, "r", locking=False) as file:  # reading needs no lock, which some file systems don't have
            return _describe(path, file, before)
    except InputError:
        raise
    except Exception as error:  # h5py raises OSError, KeyError, RuntimeError, ValueError ... on a damaged file
        raise InputError(f"{path}: not a readable HDF5 file ({error})") from error


def stamp(file) -> tuple[int, int]:
    """Size of an open file in bytes and time of its last write in ns: change when it is written again."""
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns


def valid_hole(hole, image_size: int) -> bool:
    """Whether `hole` (top, left, height, width) is not empty and lies inside an image_size x image_size image."""
    top, left, height, width = hole
    return top >= 0 and left >= 0 and min(height, width) > 0 and max(top + height, left + width) <= image_size


def _describe(path: Path, file, before: tuple[int, int]) -> FileInfo:
    attrs, file_size = attributes(file), before[0]
    if attrs.get("schema") != SCHEMA:
        found = f"schema {attrs['schema']}" if "schema" in attrs else "no schema"
        raise InputError(f"{path}: {found}; this program reads schema {SCHEMA}, as data_prep/build_h5.py writes it")
    image_size, hole = attrs.get("image_size"), attrs.get("hole")
    if type(image_size) is not int or not 1 <= image_size <= LARGEST_IMAGE:
        raise InputError(f"{path}: attribute image_size is {image_size!r}, not an integer from 1 to {LARGEST_IMAGE}")
    is_rectangle = isinstance(hole, list) and len(hole) == 4 and all(type(x) is int for x in hole)
    if not is_rectangle or not valid_hole(hole, image_size):
        raise InputError(f"{path}: attribute hole is {hole!r:.60}, not [top, left, height, width] inside the image")
    channels = attrs.get("channels", 3)
    if type(channels) is not int or channels not in (1, 3):
        raise InputError(f"{path}: attribute channels is {channels!r:.60}, not 1 or 3")
    splits = {
        name: _describe_split(f"{path}: {name}", subgroup(path, file, name), file_size, image_size, tuple(hole))
        for name in SPLITS
    }
    vocabulary = _vocabulary(f"{path}: vocabulary", subgroup(path, file, "vocabulary"))
    return FileInfo(path, image_size, tuple(hole), attrs, splits, vocabulary, _file_sha256(path, file), before)


def _describe_split(where: str, group, file_size: int, image_size: int, hole) -> SplitInfo:
    border, center = dataset(where, group, "border", np.uint8, 4), dataset(where, group, "center", np.uint8, 4)
    n = border.shape[0]
    for name, pixels, height, width in (("border", border, image_size, image_size), ("center", center, *hole[2:])):
        if pixels.shape != (n, height, width, 3):
            raise InputError(f"{where}/{name}: shape {pixels.shape}, expected {(n, height, width, 3)}")
    image_id, names = values(where, group, "image_id", np.int64), dataset(where, group, "file_name", None, 1)
    if len(image_id) != n or len(names) != n:
        raise InputError(f"{where}: {n} images, {len(image_id)} image_id, {len(names)} file_name")
    captions, caption_offsets = _strings(where, group, "captions", "caption_offsets")
    caption_index = values(where, group, "caption_index", np.int64)
    if len(caption_index) != n + 1 or not _rises(caption_index, len(caption_offsets) - 1):
        raise InputError(f"{where}/caption_index: must rise from 0 to {len(caption_offsets) - 1} in {n + 1} steps")
    sha256 = attributes(group).get("sha256")
    if not isinstance(sha256, str) or not re.fullmatch("[0-9a-f]{64}", sha256):
        raise InputError(f"{where}: attribute sha256 is missing or not 64 hexadecimal digits")
    return SplitInfo(
        n=n,
        border_offset=_offset(f"{where}/border", border, file_size),
        center_offset=_offset(f"{where}/center", center, file_size),
        image_id=image_id,
        file_name=texts(f"{where}/file_name", names),
        captions=captions,
        caption_offsets=caption_offsets,
        caption_index=caption_index,
        sha256=sha256,
    )


def _vocabulary(where: str, group) -> dict[str, int]:
    text, offsets = _strings(where, group, "words", "word_offsets")
    counts = values(where, group, "counts", np.int64).tolist()
    if len(counts) != len(offsets) - 1:
        raise InputError(f"{where}: {len(offsets) - 1} words but {len(counts)} counts")
    text, bounds = text.tobytes(), offsets.tolist()
    words = [text[a:b].decode() for a, b in zip(bounds, bounds[1:], strict=False)]
    return dict(zip(words, counts, strict=True))


def _file_sha256(path: Path, file) -> tuple[str, int] | None:
    import h5py

    found = member(path, file, "file_sha256")
    if not isinstance(found, h5py.Dataset):
        return None
    check_place(f"{path}: file_sha256", found)
    if found.dtype != "S64" or found.shape != () or found.id.get_offset() is None:
        return None
    return found[()].decode(), found.id.get_offset()


def _strings(where: str, group, text: str, offsets: str) -> tuple[np.ndarray, np.ndarray]:
    """Concatenated bytes and the offsets of the strings, each checked to be valid UTF-8."""
    data, bounds = values(where, group, text, np.uint8), values(where, group, offsets, np.int64)
    if not _rises(bounds, len(data)):
        raise InputError(f"{where}/{offsets}: must rise from 0 to the {len(data)} bytes of {text}")
    try:
        data.tobytes().decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{where}/{text}: byte {error.start} is not UTF-8") from error
    inner = bounds[bounds < len(data)]
    if np.any((data[inner] & 0xC0) == 0x80):  # a string would begin inside a character
        raise InputError(f"{where}/{offsets}: an offset falls inside a UTF-8 character")
    return data, bounds


def _rises(bounds: np.ndarray, last: int) -> bool:
    """Whether `bounds` runs from 0 to `last` and never falls."""
    return len(bounds) > 0 and bounds[0] == 0 and bounds[-1] == last and bool(np.all(bounds[1:] >= bounds[:-1]))


def _offset(where: str, dataset, file_size: int) -> int | None:
    """Offset of the dataset's contiguous, uncompressed block in the file."""
    import h5py

    if dataset.size == 0:
        return None
    if dataset.id.get_create_plist().get_layout() != h5py.h5d.CONTIGUOUS:
        raise InputError(f"{where}: not contiguous in the file, so its pixels cannot be read by their place")
    offset = dataset.id.get_offset()
    if offset is None or offset + dataset.nbytes > file_size:
        raise InputError(f"{where}: its pixels are not all in the file")
    return offset
