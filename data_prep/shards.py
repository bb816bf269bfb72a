"""Decoded photos on disk, a few dozen to a file, so that a killed build can resume.

A shard is a header line of JSON, then the pixels of its usable photos; the header has their SHA-256, so a shard that a
power cut left half-written is detected and remade. Shards are written atomically. Their content depends only on the
photos and the options, so the resulting file is the same for any number of workers.
"""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_prep.decode import decode, resized
from data_prep.files import replacing
from data_prep.photos import Photo, Pixels, Rejected, read_bytes
from data_prep.sources.demo import Scene, draw

REVISION = 3  # of decode.py and sources/demo.py: one more with each change of theirs that alters a pixel


class Job(NamedTuple):
    """A shard to make: photos `start` to `stop` of a split."""

    number: int
    split: str
    start: int
    stop: int


def plan_shards(photos: dict[str, list[Photo]]) -> list[Job]:
    """Cut the splits into shards: small, so that little is lost and workers finish together, but not too many."""
    size = min(512, max(32, sum(map(len, photos.values())) // 2000))
    jobs = []
    for split, listed in photos.items():
        for start in range(0, len(listed), size):
            jobs.append(Job(len(jobs), split, start, min(start + size, len(listed))))
    return jobs


def decoder_versions() -> dict:
    """Versions that the pixels of a shard depend on; shards of other versions are remade, never mixed."""
    from importlib.metadata import PackageNotFoundError, version  # here: it takes a while to import

    import PIL
    from PIL import features

    names = [*features.get_supported_codecs(), *({"webp", "avif"} & set(features.get_supported_modules()))]
    libraries = {name: features.version(name) for name in [*names, "libjpeg_turbo"]}
    try:
        heif = version("pillow-heif")
    except PackageNotFoundError:
        heif = None
    return {"revision": REVISION, "pillow": PIL.__version__, "numpy": np.__version__, "heif": heif, **libraries}


def shard_path(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.shard"


def make_shard(
    path: Path, photos: list[Photo], image_size: int, fast: bool, begin=lambda position: None, left_out=None
) -> None:
    """Decode (or draw) photos and write them to disk.

    Args:
      begin: called with the position of each photo before it is decoded, and with their number before the shard is
        written; may end the process.
      left_out: position -> reason of photos to reject without decoding.
    """
    kept, rejects, pixels, digests = [], [], [], []
    for position, photo in enumerate(photos):
        begin(position)
        try:
            if position in (left_out or {}):
                raise Rejected(left_out[position])
            digest = ""  # of photos in memory, and of those that their id tells apart
            if isinstance(photo.where, Scene):
                pixels.append(draw(photo.where))
            elif isinstance(photo.where, Pixels):
                side, channels, data = photo.where
                pixels.append(resized(np.frombuffer(data, np.uint8).reshape(side, side, channels), image_size))
            else:
                data = read_bytes(photo.where)
                pixels.append(decode(data, image_size, fast))
                digest = "" if photo.known_by == "id" else hashlib.sha256(data).hexdigest()
            kept.append(position)
            digests.append(digest)
        except Rejected as reason:
            rejects.append((position, str(reason)))
        except MemoryError:
            rejects.append((position, "not enough memory to read it"))
    block = b"".join(image.tobytes() for image in pixels)
    header = {"kept": kept, "digests": digests, "rejects": rejects, "sha256": hashlib.sha256(block).hexdigest()}
    begin(len(photos))  # or the folder may be a later build's by now
    with replacing(path, durable=False) as temporary:  # its SHA-256 tells whether a power cut halved it
        temporary.write_bytes(json.dumps(header).encode() + b"\n" + block)


class Shard(NamedTuple):
    """Content of a shard: positions kept, SHA-256 of their files ("" without a file, and for photos that their id tells
    apart), (position, reason) of rejects, and pixels, uint8 (k, S, S, 3), None where only the head is kept."""

    kept: list[int]
    digests: list[str]
    rejects: list[tuple[int, str]]
    pixels: np.ndarray | None


def read_shard(path: Path, image_size: int, pixels: bool = True) -> Shard | None:
    """Read a shard; None if it is not whole. Without pixels its head alone is read, and only the head is checked."""
    try:
        with open(path, "rb") as file:
            header = json.loads(file.readline())
            if not pixels:
                return Shard(header["kept"], header["digests"], header["rejects"], None)
            block = file.read()
        if hashlib.sha256(block).hexdigest() != header["sha256"]:
            return None
        images = np.frombuffer(block, np.uint8).reshape(len(header["kept"]), image_size, image_size, 3)
        return Shard(header["kept"], header["digests"], header["rejects"], images)
    except (OSError, ValueError, KeyError, TypeError):
        return None
