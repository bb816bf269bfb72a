"""--torchvision NAME --root DIR: MNIST, Fashion-MNIST, CIFAR-10 and CelebA, from the files that torchvision's datasets
read.

Nothing is downloaded. An image keeps its size, its class's name in words is its caption, and of a training set its last
images are val. Grey images are told apart, so that a model scores one channel of them and not three.
"""

import math
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

from data_prep.errors import InputError
from data_prep.photos import SPLITS, Photo, Rejected, Source, locate_file
from data_prep.restricted_pickle import load_arrays

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
CLOTHES = (
    "a t-shirt",
    "a pair of trousers",
    "a pullover",
    "a dress",
    "a coat",
    "a sandal",
    "a shirt",
    "a sneaker",
    "a bag",
    "an ankle boot",
)
THINGS = (
    "an airplane",
    "an automobile",
    "a bird",
    "a cat",
    "a deer",
    "a dog",
    "a frog",
    "a horse",
    "a ship",
    "a truck",
)
FIRST_ID = {split: number * 1_000_000_000 for number, split in enumerate(SPLITS)}
LARGEST = 2**31  # bytes of pixels that a file may hold


class Pixels(NamedTuple):
    """An image whose pixels are at hand: `data` is uint8 (side, side, channels), of one channel or three."""

    side: int
    channels: int
    data: bytes


class ImageSet(NamedTuple):
    """A data set that is read here.

    Attributes:
      folders: inside the root, where its files may lie.
      side: of an image, pixels.
      channels: 1 for grey.
      captions: of its classes.
      val: how many of the training images, the last ones, are val; of a part of the set a sixth at most.
    """

    folders: tuple[str, ...]
    side: int
    channels: int
    captions: tuple[str, ...]
    val: int


SETS = {
    "mnist": ImageSet(
        ("MNIST/raw", "raw", "."), 28, 1, tuple(f"a handwritten {digit}" for digit in DIGITS), val=10_000
    ),
    "fashion-mnist": ImageSet(("FashionMNIST/raw", "raw", "."), 28, 1, CLOTHES, val=10_000),
    "cifar10": ImageSet(("cifar-10-batches-py", "."), 32, 3, THINGS, val=5_000),
    "celeba": ImageSet(("celeba", "."), 178, 3, (), val=0),
}


def read_image_set(name: str, root) -> Source:
    """List the images of one of SETS.

    Args:
      name: one of SETS.
      root: as torchvision's datasets take it, or the folder with the files themselves.
    Raises:
      InputError: files are missing, damaged, or of another kind.
    """
    own, root = SETS[name], Path(root)
    if not root.is_dir():
        raise InputError(f"{root}: no such folder")
    source = Source(label=name, side=own.side, channels=own.channels)
    if name == "celeba":
        _read_celeba(source, root, own)
    else:
        read = _cifar if name == "cifar10" else _idx
        train, test = (read(root, own, split) for split in ("train", "test"))
        if train is None and test is None:
            raise InputError(f"{root}: no files of {name} in there, nor in {' or '.join(own.folders[:-1])}")
        if train is None:  # its test images, which some have alone: the last tenth is val, and none is test
            train, test, held_out = test, [], math.ceil(len(test) / 10)
            source.draws_test = False
            source.warnings.append(f"{name}: only its test images are here: their last {held_out:,} are val")
        else:
            held_out = min(own.val, len(train) // 6)
        first = len(train) - held_out
        _add(source, name, own, {"train": train[:first], "val": train[first:], "test": test or []})
    return source


def _add(source: Source, name: str, own: ImageSet, splits: dict[str, list[tuple[bytes, int]]]) -> None:
    for split, images in splits.items():
        for number, (data, label) in enumerate(images):
            caption = own.captions[label].encode()
            where = Pixels(own.side, own.channels, data)
            photo = Photo(f"{name}_{split}_{number:05d}", FIRST_ID[split] + number, (caption,), where, "place")
            source.photos[split].append(photo)


def _find(root: Path, own: ImageSet, names: tuple[str, ...]) -> Path | None:
    """The first of the files that is there."""
    return next((path for folder in own.folders for name in names if (path := root / folder / name).is_file()), None)


def _idx(root: Path, own: ImageSet, split: str) -> list[tuple[bytes, int]] | None:
    """(pixels, label) of each image of two IDX files, gzipped or not; None where there are none."""
    prefix = {"train": "train", "test": "t10k"}[split]
    found = {}
    for what in ("images-idx3", "labels-idx1"):
        names = tuple(f"{prefix}-{what}{dot}ubyte{gz}" for dot in "-." for gz in ("", ".gz"))
        found[what] = _find(root, own, names)
    missing = [what for what, path in found.items() if path is None]
    if len(missing) == 1:
        raise InputError(f"{root}: no {prefix}-{missing[0]}-ubyte, though its fellow is there")
    if missing:
        return None
    images, labels = _idx_content(found["images-idx3"], 3), _idx_content(found["labels-idx1"], 1)
    (count, height, width), pixels = images
    (labelled,), classes = labels
    if (height, width) != (own.side, own.side) or labelled != count:
        raise InputError(
            f"{found['images-idx3']}: {count:,} images of {height} x {width} with {labelled:,} labels, "
            f"expected {own.side} x {own.side} and as many labels"
        )
    if max(classes, default=0) >= len(own.captions):
        raise InputError(f"{found['labels-idx1']}: a label is {max(classes)}, of {len(own.captions)} classes")
    size = height * width
    return [(pixels[i * size : (i + 1) * size], label) for i, label in enumerate(classes)]


def _idx_content(path: Path, dimensions: int) -> tuple[tuple[int, ...], bytes]:
    """The sizes and the bytes of an IDX file of unsigned bytes."""
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            unpacker = zlib.decompressobj(wbits=31)
            data = unpacker.decompress(data, LARGEST)
            if not unpacker.eof:
                raise EOFError("cut off, or absurdly large")
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    header = 4 + 4 * dimensions
    if data[:4] != bytes((0, 0, 8, dimensions)) or len(data) < header:
        raise InputError(f"{path}: not an IDX file of bytes in {dimensions} dimension(s)")
    sizes = struct.unpack(f">{dimensions}I", data[4:header])
    if math.prod(sizes) != len(data) - header:
        raise InputError(f"{path}: {' x '.join(map(str, sizes))} bytes announced, {len(data) - header:,} there")
    return sizes, data[header:]


def _cifar(root: Path, own: ImageSet, split: str) -> list[tuple[bytes, int]] | None:
    """(pixels, label) of each image of the batches, as CIFAR-10's Python version pickles them; None without any."""
    batches = {"train": [f"data_batch_{number}" for number in range(1, 6)], "test": ["test_batch"]}[split]
    paths = [_find(root, own, (name,)) for name in batches]
    if not any(paths):
        return None
    if not all(paths):
        raise InputError(f"{root}: no {batches[paths.index(None)]}, though other batches are there")
    images = []
    for path in paths:
        content = load_arrays(path)
        data, labels = (content.get(key) if isinstance(content, dict) else None for key in (b"data", b"labels"))
        size, count = 3 * own.side**2, len(labels) if isinstance(labels, list) else -1
        if getattr(data, "shape", None) != (count, size) or len(data.data) != count * size:
            raise InputError(f"{path}: not a batch of CIFAR-10: no images of {size:,} bytes with as many labels")
        if not all(type(label) is int and 0 <= label < len(own.captions) for label in labels):
            raise InputError(f"{path}: not a batch of CIFAR-10: a label is not from 0 to {len(own.captions) - 1}")
        for i, label in enumerate(labels):
            planes = data.data[i * size : (i + 1) * size]  # all of red, then green, then blue
            third = size // 3
            interleaved = bytearray(size)
            for channel in range(3):
                interleaved[channel::3] = planes[channel * third : (channel + 1) * third]
            images.append((bytes(interleaved), label))
    return images


def _read_celeba(source: Source, root: Path, own: ImageSet) -> None:
    """The aligned photos, in the splits of list_eval_partition.txt; captions name what list_attr_celeba.txt grants."""
    folder = next((root / inside for inside in own.folders if (root / inside / "img_align_celeba").is_dir()), None)
    if folder is None:
        raise InputError(f"{root}: no folder img_align_celeba in there, nor in celeba")
    listed, described = folder / "list_eval_partition.txt", folder / "list_attr_celeba.txt"
    partition = dict(_rows(_lines(listed), listed, columns=2))
    _, names, *rows = [*_lines(described), "", ""]
    names = [name.replace("_", " ").lower() for name in names.split()]
    attributes = {
        name: [word for word, mark in zip(names, marks, strict=True) if mark == "1"]
        for name, *marks in _rows(rows, described, columns=1 + len(names), first=3)
    }
    for name, number in partition.items():
        if number not in ("0", "1", "2"):
            raise InputError(f"{listed}: {name} is in split {number}, not in 0, 1 or 2")
        try:
            location = locate_file(str(folder / "img_align_celeba" / name))
        except Rejected as reason:
            source.rejects.append((name, str(reason)))
            continue
        words = attributes.get(name, [])
        captions = source.captions([f"a face: {', '.join(words)}" if words else "a face"])
        digits = name.split(".")[0]
        image_id = int(digits) if digits.isdecimal() and len(digits) < 19 else len(source.photos[SPLITS[int(number)]])
        source.photos[SPLITS[int(number)]].append(Photo(name, image_id, captions, location, "place"))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _rows(lines: list[str], path: Path, columns: int, first: int = 1) -> list[list[str]]:
    """Lines, the first of which is number `first`, cut at blanks; empty ones left out."""
    rows = []
    for number, line in enumerate(lines, start=first):
        row = line.split()
        if row and len(row) != columns:
            raise InputError(f"{path}: line {number}: {len(row)} columns, expected {columns}")
        rows += [row] if row else []
    return rows
