"""Write the file that h5file.py describes, slab by slab; the same content gives the same bytes.

No timestamps are stored (track_times off), nothing is chunked or compressed, and the order of creation is fixed. The
last dataset, `file_sha256`, is the SHA-256 of the whole file with its 64 digits taken as zeros, so that a flipped byte
anywhere, in pixels, captions or HDF5's structures, is found.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from data_prep.digest import file_sha256
from data_prep.h5file import SCHEMA
from data_prep.hole import channels_last

LIBVER = ("v110", "v110")  # HDF5 1.10 and later read it; its structures carry checksums of their own
BLANK = b"0" * 64


@dataclass
class SplitContent:
    """Content of a split. `pixels()` restarts an iterator over the n whole images: uint8 (k, S, S, 3)."""

    image_id: list[int]
    file_name: list[str]
    captions: list[tuple[bytes, ...]]
    pixels: Callable[[], Iterator[np.ndarray]]


def write(
    path, image_size: int, hole, attrs: dict, splits: dict[str, SplitContent], vocabulary: dict[str, int]
) -> None:
    """Write a whole file.

    Args:
      path: target; overwritten.
      image_size: S, in pixels.
      hole: top, left, height, width, in pixels.
      attrs: provenance, beside `schema`, `image_size` and `hole`.
      splits: train, val, test.
      vocabulary: words and their counts.
    """
    import h5py

    with h5py.File(path, "w", libver=LIBVER) as file:
        file.attrs["schema"] = SCHEMA
        file.attrs["image_size"] = image_size
        file.attrs["hole"] = np.array(hole, np.int64)
        for name, value in attrs.items():
            file.attrs[name] = value
        for name, content in splits.items():
            _write_split(file.create_group(name), image_size, hole, content)
        group = file.create_group("vocabulary")
        _write_strings(group, "words", "word_offsets", [word.encode() for word in vocabulary])
        _write_array(group, "counts", np.array(list(vocabulary.values()), np.int64))
        digest = _create(file, "file_sha256", (), "S64")
        digest[()] = BLANK
        offset = digest.id.get_offset()
    _write_hash(path, offset)


def whole_file_sha256(path, offset: int) -> str:
    """SHA-256 of a file in hexadecimal, with the 64 bytes at `offset` taken as the digit zero."""
    return file_sha256(path, (0, offset), (offset + len(BLANK), None), blank=BLANK)


def _write_hash(path, offset: int) -> None:
    digest = whole_file_sha256(path, offset).encode()
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(digest)
        file.flush()
        os.fsync(file.fileno())


def _write_split(group, image_size: int, hole, content: SplitContent) -> None:
    import h5py

    n, inside = len(content.image_id), channels_last(hole)
    border = _create(group, "border", (n, image_size, image_size, 3), np.uint8)
    center = _create(group, "center", (n, *hole[2:], 3), np.uint8)
    digest, total, written = hashlib.sha256(), np.zeros(3, np.int64), 0
    for images in content.pixels():
        total += images.sum(axis=(0, 1, 2), dtype=np.int64)
        slab = images.copy()
        slab[inside] = 0
        border[written : written + len(slab)] = slab
        digest.update(slab)
        written += len(slab)
    written = 0
    for images in content.pixels():
        slab = np.ascontiguousarray(images[inside])
        center[written : written + len(slab)] = slab
        digest.update(slab)
        written += len(slab)
    _write_array(group, "image_id", np.array(content.image_id, np.int64))
    names = [name.encode("utf-8", "replace") for name in content.file_name]
    width = max(map(len, names), default=1) or 1
    _write_array(group, "file_name", np.array(names, h5py.string_dtype("utf-8", width)))
    _write_strings(group, "captions", "caption_offsets", [caption for each in content.captions for caption in each])
    _write_array(group, "caption_index", np.cumsum([0, *map(len, content.captions)], dtype=np.int64))
    group.attrs["sha256"] = digest.hexdigest()
    group.attrs["images"] = n
    group.attrs["channel_means"] = total / max(1, n * image_size * image_size)


def _write_strings(group, text: str, offsets: str, strings: list[bytes]) -> None:
    _write_array(group, text, np.frombuffer(b"".join(strings), np.uint8))
    _write_array(group, offsets, np.cumsum([0, *map(len, strings)], dtype=np.int64))


def _write_array(group, name: str, values: np.ndarray) -> None:
    _create(group, name, values.shape, values.dtype)[...] = values


def _create(group, name: str, shape: tuple[int, ...], dtype):
    return group.create_dataset(name, shape, dtype, track_times=False)
