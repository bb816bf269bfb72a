"""The canvas: the part of an image that a causal stack reads.

It is the hole with MARGIN pixels of real border above it and to both sides, so that a stack reads the photo where a
plain PixelCNN reads zero padding.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from models.layers.region import Region, crop

MARGIN = 4  # pixels of border around the hole that the stack reads itself; the tower sees all of it
Hole = tuple[int, int, int, int]


class Canvas:
    """Rows from above the hole to its end, columns on both sides of it.

    Attributes:
      region: of the image, rows x columns.
      hole: the hole's region of the image.
      top, left: of the hole within the canvas.
      height, width: of the hole.
    """

    def __init__(self, hole: Hole, image_size: int):
        self.hole = Region.of_hole(hole, image_size, image_size)
        around = self.hole.grow(MARGIN)
        self.region = Region(around.top, around.left, self.hole.bottom, around.right, image_size, image_size)
        self.top, self.left = self.hole.top - around.top, self.hole.left - around.left
        self.height, self.width = hole[2:]
        self.rows, self.columns = self.region.bottom - self.region.top, around.right - around.left

    def of(self, image: Tensor) -> Tensor:
        """The canvas (B, C, rows, columns) of an image (B, C, H, W); a copy."""
        canvas = crop(image, Region.whole(*image.shape[2:]), self.region)
        return canvas.clone(memory_format=torch.channels_last)

    def complete(self, image: Tensor, center: Tensor) -> Tensor:
        """The canvas (B, 4, rows, columns) of an image (B, 4 or more, H, W) whose center (B, 3, h, w) is known."""
        canvas = self.of(image[:, :4])
        hole = self.hole_of(canvas)
        hole[:, :3], hole[:, 3] = center, 1
        return canvas

    def hole_of(self, canvas: Tensor) -> Tensor:
        """The hole's part (B, C, h, w) of a canvas, a view."""
        return canvas[:, :, self.top :, self.left : self.left + self.width]

    def around(self, center: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, rows, columns), zero outside the hole."""
        return F.pad(center, (self.left, self.columns - self.left - self.width, self.top, 0))
