"""--webdataset TAR ...: shards as img2dataset writes them, NAME.jpg with NAME.txt or NAME.json beside it in a tar.

The tars are read in place: one pass over their headers notes where each photo lies. NAME.txt is one caption; without it
the "caption" (or "captions") of NAME.json is taken. A shard's split is what its name begins with, train if nothing.
"""

import os
import tarfile
from dataclasses import dataclass

from data_prep.errors import InputError
from data_prep.jsontext import parse
from data_prep.photos import Location, Photo, Source, hashed_id, split_of
from data_prep.sources.folder import PHOTOS
from data_prep.sources.tables import captions_in

LONGEST_TEXT = 64 * 2**20  # bytes of a NAME.txt or NAME.json


@dataclass
class _Sample:
    """What a shard has under one name: the photo, and the captions from its .txt and its .json."""

    photo: tuple[str, Location] | None = None
    text: list[str] | None = None
    json: list[str] | None = None


def read_webdataset(paths: list) -> Source:
    """List the photos of some shards, in their order.

    Raises:
      InputError: a shard is missing, compressed, truncated or damaged (with the position in bytes), or its JSON is.
    """
    source = Source(label=f"webdataset ({', '.join(os.path.basename(path) for path in paths)})")
    for path in paths:
        _read_shard(source, os.fspath(path))
    return source


def _read_shard(source: Source, path: str) -> None:
    shard, split = os.path.basename(path), split_of(os.path.basename(path)) or "train"
    for sample in _samples(source, path):
        captions = [caption for caption in sample.text or sample.json or [] if caption]
        if sample.photo is None:
            source.orphans += len(captions)
            continue
        member_name, location = sample.photo
        file_name = f"{shard}/{member_name}"
        own = tuple(source.encode(caption) for caption in captions)
        source.photos[split].append(Photo(file_name, hashed_id(file_name), own, location))


def _samples(source: Source, path: str) -> list[_Sample]:
    """A shard's members put together by name: what stands before the first dot."""
    samples: dict[str, _Sample] = {}
    position = 0
    try:
        with open(path, "rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
            stamp = os.fstat(file.fileno()).st_mtime_ns
            for member in tar:
                if tar.offset <= position:
                    raise InputError(f"{path}: byte {position}: {member.name!r} has a negative size")
                position = tar.offset
                tar.members.clear()  # tarfile keeps every header; a shard has tens of thousands
                if member.isfile() and not member.issparse():
                    _take(source, samples, path, file, member, stamp)
            file.seek(tar.offset)
            rest = file.read(tarfile.BLOCKSIZE)
            if not rest or rest.strip(b"\0"):  # tarfile takes a damaged header, or a file cut short, for the end
                raise InputError(
                    f"{path}: byte {tar.offset}: {'damaged tar header' if rest else 'the tar is cut short'}"
                )
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (tarfile.TarError, EOFError, ValueError, IndexError, ArithmeticError, MemoryError) as error:
        raise InputError(f"{path}: byte {position}: not a whole, uncompressed tar ({error})") from error
    return list(samples.values())


def _take(source: Source, samples: dict[str, _Sample], path: str, file, member, stamp: int) -> None:
    """Put one member of the tar where it belongs."""
    folder, slash, base = member.name.rpartition("/")
    name = folder + slash + base.split(".")[0]
    sample = samples.setdefault(name, _Sample())
    ending = os.path.splitext(base)[1].lower()
    if ending in PHOTOS:
        if sample.photo is None:
            location = Location(path, "tar", member.offset_data, member.size, stamp)
            sample.photo = (member.name, location)
        else:
            source.rejects.append((f"{os.path.basename(path)}/{member.name}", "duplicate name in its shard"))
    elif ending in (".txt", ".json"):
        if member.size > LONGEST_TEXT:
            raise InputError(f"{path}: {member.name}: {member.size:,} bytes of text (limit {LONGEST_TEXT:,})")
        file.seek(member.offset_data)
        data = file.read(member.size)
        if ending == ".txt":
            sample.text = [source.decode(data).strip()]
        else:
            where = f"{path}: {member.name}"
            sample.json = captions_in(parse(data, where), where)
