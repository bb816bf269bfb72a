"""Where a user's hole lies: a box in words, or a mask in a file, in the upright photo's own pixels."""

from pathlib import Path

import numpy as np

from data_prep.errors import InputError
from data_prep.photos import Rejected, read_file
from data_prep.whole_photo import read_mask
from inpaint.windows import Box

WHITE, SOFT = 128, 32  # a mask's level from which on it is white; how far from black or white a level may be


class Hole:
    """A hole for any photo that it fits.

    Args:
      box: (x, y, width, height), or None.
      mask: path of a mask's file, or None. One of the two is given.

    Raises:
      InputError: the mask cannot be read, has soft edges, or hides nothing or everything.
      ValueError: a box without pixels, or none or both of the two.
    """

    def __init__(self, box: Box | None, mask: str | Path | None):
        if (box is None) == (mask is None):
            raise ValueError("give a box or a mask")
        if box is not None and (len(box) != 4 or min(box[:2]) < 0 or min(box[2:]) < 1):
            raise ValueError(f"box must be x, y, width, height, from 0, 0 on and at least 1 x 1, not {box}")
        self.box, self.mask = box, mask
        self._unknown = None if mask is None else mask_of(mask)

    def unknown(self, width: int, height: int) -> np.ndarray:
        """The unknown pixels of a photo of that size: bool (H, W).

        Raises: Rejected if the hole does not fit the photo.
        """
        if self._unknown is not None:
            if self._unknown.shape != (height, width):
                size = f"{self._unknown.shape[1]} x {self._unknown.shape[0]}"
                raise Rejected(f"is {width} x {height} pixels upright, and {self.mask} {size}")
            return self._unknown
        assert self.box is not None
        x, y, across, down = self.box
        if x + across > width or y + down > height:
            raise Rejected(f"is {width} x {height} pixels upright: the box {x},{y},{across},{down} reaches outside")
        unknown = np.zeros((height, width), bool)
        unknown[y : y + down, x : x + across] = True
        if unknown.all():
            raise Rejected(f"the box {x},{y},{across},{down} is all of the photo: nothing would be known")
        return unknown


def mask_of(path: str | Path) -> np.ndarray:
    """Read a mask: bool (H, W), true where it is white.

    Raises: InputError, see `Hole`.
    """
    try:
        grey = read_mask(read_file(path))
    except Rejected as rejected:
        raise InputError(f"{path}: {rejected}") from None
    return checked_mask(grey, path)


def checked_mask(grey: np.ndarray, name: str | Path) -> np.ndarray:
    """uint8 (H, W) -> bool (H, W), true where white. Raises: InputError, see `Hole`."""
    soft = int(((grey >= SOFT) & (grey < 256 - SOFT)).sum())
    if soft:
        advice = f"make them black or white, by a threshold of {WHITE} say"
        raise InputError(f"{name}: a mask with soft edges: {soft:,} pixels are neither black nor white; {advice}")
    unknown: np.ndarray = grey >= WHITE
    if not unknown.any():
        raise InputError(f"{name}: an empty mask: no pixel is white, so there is nothing to fill")
    if unknown.all():
        raise InputError(f"{name}: a full mask: every pixel is white, so nothing would be known")
    return unknown
