"""Photos of an HDF5 file: the one place where training and evaluation read pixels.

`border` and `center` are contiguous and uncompressed, so an image is a byte range at a fixed offset; h5py gives
only the layout. `os.pread` shares no file position, so worker processes may inherit the open file (they may not inherit
an h5py handle). A memory map would kill the process if the file were cut short; a short read raises an error.
"""

import os
import weakref
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from data_prep.errors import InputError
from data_prep.h5file import SPLITS, FileInfo, describe, stamp
from data_prep.hole import channels_first
from data_prep.regular import open_regular
from inpaint.tiles import cut_center

TRUTH = {"border": "truth_nats_border", "border_caption": "truth_nats_border_caption", "caption": "truth_nats_caption"}


BINARIZATIONS = ("threshold", "fixed", "dynamic")
FIXED = 1764  # seed of `fixed`: an image is binarized alike in every run


class Photos:
    """One split of a file that `data_prep/build_h5.py` wrote.

    Args:
      path: the HDF5 file, or its FileInfo if it was described already.
      split: train, val or test.
      binarize: one of BINARIZATIONS, see `binarized`; None to leave the images as they are.
      masks: one of masks.KINDS, which pixels of the hole are unknown where images are scored and drawn.

    Attributes:
      path, split, info, image_size, hole, channels: as in the file.
      truth: the center's true entropy in nats per image, given the `border`, the `caption`, or both (`border_caption`);
        None unless the file has it (the demo set).

    Raises: InputError for a file that is missing, damaged or of another schema, or a split without images.
    """

    def __init__(self, path: str | Path | FileInfo, split: str, binarize: str | None = None, masks: str = "box"):
        self.info = path if isinstance(path, FileInfo) else describe(path)
        if split not in SPLITS:
            raise InputError(f"{self.info.path}: no split {split!r}, only {', '.join(SPLITS)}")
        self.path, self.split = self.info.path, split
        self.image_size, self.hole, self.channels = self.info.image_size, self.info.hole, self.info.channels
        self.binarize, self.masks = binarize, masks
        self._layout = self.info.splits[split]
        if not len(self):
            raise InputError(f"{self.path}: the split {split!r} has no images")
        with open_regular(self.path) as file:
            if self.info.stamp not in (None, stamp(file)):
                raise InputError(f"{self.path}: was written anew while it was opened")
            self._descriptor = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._descriptor)
        truth = {name: self.info.attrs.get(attribute) for name, attribute in TRUTH.items()}
        self.truth = truth if all(isinstance(value, float) for value in truth.values()) else None

    def _read(self, indices, offset: int, height: int, width: int) -> Tensor:
        """Read images `indices` of an array at `offset` (bytes): uint8 (n, 3, height, width)."""
        size = height * width * 3
        pixels = np.empty((len(indices), height, width, 3), np.uint8)
        for image, index in zip(pixels, indices, strict=True):
            try:
                stored = os.pread(self._descriptor, size, offset + index * size)
            except OSError as error:
                raise InputError(f"{self.path}: cannot be read: {error.strerror}") from error
            if len(stored) < size:
                raise InputError(f"{self.path}: was cut short while it was read")
            image[...] = np.frombuffer(stored, np.uint8).reshape(height, width, 3)
        return torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))

    def __len__(self) -> int:
        return self._layout.n

    def images(self, indices) -> tuple[Tensor, Tensor]:
        """border uint8 (n, 3, H, W) and center uint8 (n, 3, h, w) of the images `indices`, in their order."""
        if not self.binarize:
            return self._stored(indices)
        images = self.whole(indices)
        center = cut_center(images, self.hole)
        return images, center

    def _stored(self, indices) -> tuple[Tensor, Tensor]:
        indices = [range(len(self))[index] for index in np.asarray(indices, np.int64).tolist()]
        border = self._read(indices, self._layout.border_offset, self.image_size, self.image_size)
        return border, self._read(indices, self._layout.center_offset, *self.hole[2:])

    def whole(self, indices, random: list[np.random.Generator] | None = None) -> Tensor:
        """Whole images, the center pasted into the border: uint8 (n, 3, H, W).

        Args:
          random: a generator for each image, used by `dynamic`; None for the same result as `fixed`.
        """
        border, center = self._stored(indices)
        border[channels_first(self.hole)] = center
        if not self.binarize:
            return border
        if random is None or self.binarize != "dynamic":
            random = [np.random.default_rng([FIXED, int(self._layout.image_id[i]) % 2**64]) for i in indices]
        return torch.stack([binarized(x, self.binarize, r, self.channels) for x, r in zip(border, random, strict=True)])

    def name_of(self, index: int) -> str:
        """An image in words, for messages: its number, the file and its name."""
        return f"image {index} of {self.path}, {self.split} ({self._layout.file_name[index]})"

    def captions_of(self, index: int) -> list[str]:
        """All captions of an image; an empty list if it has none."""
        return self._layout.captions_of(int(index))

    def first_captions(self, indices) -> list[str]:
        """The first caption of each image, "" for one that has none."""
        return [(self.captions_of(index) or [""])[0] for index in indices]


def binarized(image: Tensor, method: str, random: np.random.Generator, channels: int) -> Tensor:
    """Make each sub-pixel of an image, uint8 (3, H, W), 0 or 255.

    Args:
      method: `threshold`: 255 above 127; otherwise 255 with probability x / 255 [1].
      random: source of the random numbers.
      channels: 1 for a grey image, whose channels share a random number.

    [1] Salakhutdinov and Murray 2008, On the quantitative analysis of deep belief networks (binary MNIST)
    """
    if method == "threshold":
        return (image > 127).to(torch.uint8) * 255
    limit = torch.from_numpy(random.random((channels, *image.shape[1:]), dtype=np.float32))  # in [0, 1)
    return (255 * limit < image).to(torch.uint8) * 255
