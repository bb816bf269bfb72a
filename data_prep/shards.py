"""Decoded photos on disk, a few dozen to a file, so that a killed build goes on where it stopped.

A shard is one header line of JSON, then the pixels of the photos that could be used; the header holds their SHA-256, so
a shard that a power cut left half-written is seen and made again. It appears under its name only when whole. Its
contents depend on its photos and the options alone, never on who made it, so a file put together from shards is the
same for any number of workers.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_prep.decode import decode, resized
from data_prep.photos import Photo, Rejected, read_bytes
from data_prep.sources.demo import Scene, draw
from data_prep.sources.image_sets import Pixels


class Job(NamedTuple):
    """One shard to make: photos `start` to `stop` of a split."""

    number: int
    split: str
    start: int
    stop: int


def plan_shards(photos: dict[str, list[Photo]]) -> list[Job]:
    """Cut the splits into shards: small ones, so that little is lost and workers end together, but not too many."""
    size = min(512, max(32, sum(map(len, photos.values())) // 2000))
    jobs = []
    for split, listed in photos.items():
        for start in range(0, len(listed), size):
            jobs.append(Job(len(jobs), split, start, min(start + size, len(listed))))
    return jobs


def shard_path(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.shard"


def make_shard(
    path: Path, photos: list[Photo], image_size: int, fast: bool, begin=lambda position: None, left_out=None
) -> None:
    """Decode (or draw) photos and put them on disk.

    Args:
      begin: called with the position of each photo before it is decoded; it may end the process.
      left_out: position -> reason of photos that are rejected without being decoded.
    """
    kept, rejects, pixels = [], [], []
    for position, photo in enumerate(photos):
        begin(position)
        try:
            if position in (left_out or {}):
                raise Rejected(left_out[position])
            if isinstance(photo.where, Scene):
                pixels.append(draw(photo.where))
            elif isinstance(photo.where, Pixels):
                side, channels, data = photo.where
                pixels.append(resized(np.frombuffer(data, np.uint8).reshape(side, side, channels), image_size))
            else:
                pixels.append(decode(read_bytes(photo.where), image_size, fast))
            kept.append(position)
        except Rejected as reason:
            rejects.append((position, str(reason)))
        except MemoryError:
            rejects.append((position, "not enough memory to read it"))
    block = b"".join(image.tobytes() for image in pixels)
    header = {"kept": kept, "rejects": rejects, "sha256": hashlib.sha256(block).hexdigest()}
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with open(temporary, "wb") as file:
        file.write(json.dumps(header).encode() + b"\n" + block)
    os.replace(temporary, path)


def read_shard(path: Path, image_size: int) -> tuple[list[int], list[tuple[int, str]], np.ndarray] | None:
    """Positions kept, (position, reason) of rejects, pixels uint8 (k, S, S, 3); None where the shard is not whole."""
    try:
        with open(path, "rb") as file:
            header, block = json.loads(file.readline()), file.read()
        if hashlib.sha256(block).hexdigest() != header["sha256"]:
            return None
        pixels = np.frombuffer(block, np.uint8).reshape(len(header["kept"]), image_size, image_size, 3)
        return header["kept"], header["rejects"], pixels
    except (OSError, ValueError, KeyError, TypeError):
        return None
