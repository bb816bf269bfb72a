"""--torchvision NAME --root DIR: MNIST, Fashion-MNIST, CIFAR-10 and CelebA, from the files that torchvision's datasets
read.

Nothing is downloaded. An image keeps its size, its class's name in words is its caption, and of a training set its last
images are val. Grey images are told apart, so that a model scores one channel of them and not three. torchvision's own
classes are not used: they import torch, which building a file does without.
"""

import io
import math
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

from data_prep.errors import InputError
from data_prep.photos import FIRST_ID, Photo, Pixels, Source
from data_prep.regular import read_small
from data_prep.restricted_pickle import load_arrays
from data_prep.sources.celeba import read_celeba
from data_prep.tar import members

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
LARGEST = 2**31  # bytes of pixels that a file may hold
LARGEST_ARCHIVE = 2**29  # bytes of CIFAR-10's, unpacked; it has 186 million


class ImageSet(NamedTuple):
    """A data set that is read here.

    Attributes:
      folders: folders inside the root that may hold the files.
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
    source = Source(label=name, channels=own.channels)
    if name == "celeba":
        read_celeba(source, root, own.folders)
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
    """The first of the files that exists; Kaggle puts each into a folder of the same name."""
    places = [root / folder / inside for folder in own.folders for name in names for inside in (name, f"{name}/{name}")]
    return next((path for path in places if path.is_file()), None)


def _idx(root: Path, own: ImageSet, split: str) -> list[tuple[bytes, int]] | None:
    """(pixels, label) of each image of two IDX files, gzipped or not; None where there are none."""
    prefix = {"train": "train", "test": "t10k"}[split]
    found = {}
    for what in ("images-idx3", "labels-idx1"):
        spelt = (f"{prefix}-{what}-ubyte", f"{prefix}-{what}.ubyte", f"{prefix}-{what.replace('-', '.')}-ubyte")
        names = tuple(name + packed for name in spelt for packed in ("", ".gz"))
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
    data = _unpacked(path, LARGEST)
    header = 4 + 4 * dimensions
    if data[:4] != bytes((0, 0, 8, dimensions)) or len(data) < header:
        raise InputError(f"{path}: not an IDX file of bytes in {dimensions} dimension(s)")
    sizes = struct.unpack(f">{dimensions}I", data[4:header])
    if math.prod(sizes) != len(data) - header:
        raise InputError(f"{path}: {' x '.join(map(str, sizes))} bytes announced, {len(data) - header:,} there")
    return sizes, data[header:]


def _unpacked(path: Path, limit: int) -> bytes:
    """A file's bytes, gunzipped where it is gzipped."""
    try:
        data = read_small(path, limit)
        if data[:2] == b"\x1f\x8b":
            unpacker = zlib.decompressobj(wbits=31)
            data = unpacker.decompress(data, limit)
            if not unpacker.eof:
                raise EOFError("cut off, or absurdly large")
    except (EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    return data


def _batches(root: Path, own: ImageSet, names: list[str]) -> list[tuple[str, bytes]] | None:
    """(name, bytes) of CIFAR-10's batches, from their files or from the archive as published; None without any."""
    paths = [_find(root, own, (name,)) for name in names]
    if any(paths):
        if not all(paths):
            raise InputError(f"{root}: no {names[paths.index(None)]}, though other batches are there")
        return [(str(path), read_small(path, LARGEST_ARCHIVE)) for path in paths]
    archive = _find(root, own, ("cifar-10-python.tar.gz", "cifar-10-python.tar"))
    if archive is None:
        return None
    data = _unpacked(archive, LARGEST_ARCHIVE)
    inside = {Path(item.name).name: item for tar in members(str(archive), io.BytesIO(data)) for item in tar}
    missing = [name for name in names if name not in inside or inside[name].kind != "file"]
    if missing:
        raise InputError(f"{archive}: no {missing[0]} in it")
    found = [inside[name] for name in names]
    return [(f"{archive}/{item.name}", data[item.offset : item.offset + item.size]) for item in found]


def _cifar(root: Path, own: ImageSet, split: str) -> list[tuple[bytes, int]] | None:
    """(pixels, label) of each image of the batches, as CIFAR-10's Python version pickles them; None without any."""
    batches = {"train": [f"data_batch_{number}" for number in range(1, 6)], "test": ["test_batch"]}[split]
    found = _batches(root, own, batches)
    if found is None:
        return None
    images = []
    for path, packed in found:
        content = load_arrays(path, packed)
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
