"""The canvas: the part of an image that a causal stack reads.

It is the hole with MARGIN pixels of border above it and to both sides: where a plain PixelCNN reads zero padding, a
stack reads the photo.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from models.layers.region import Region, crop

MARGIN = 4  # pixels of border that the stack itself reads; the tower sees all of the border
Hole = tuple[int, int, int, int]


class Canvas:
    """The rows from MARGIN above the hole to its last, and the columns from MARGIN left of it to MARGIN right of it.

    Attributes:
      region, hole: their regions of the image.
      rows, columns: size of the canvas.
      height, width: size of the hole.
      top, left: where the hole begins within the canvas.
    """

    def __init__(self, hole: Hole, image_size: int):
        self.hole = Region.of_hole(hole, image_size, image_size)
        around = self.hole.grow(MARGIN)
        self.region = Region(around.top, around.left, self.hole.bottom, around.right, image_size, image_size)
        self.top, self.left = self.hole.top - around.top, self.hole.left - around.left
        self.height, self.width = hole[2:]
        self.rows, self.columns = self.region.bottom - self.region.top, around.right - around.left

    def of(self, image: Tensor) -> Tensor:
        """Copy the canvas out of an image: (B, C, H, W) -> (B, C, rows, columns)."""
        canvas = crop(image, Region.whole(*image.shape[2:]), self.region)
        return canvas.clone(memory_format=torch.channels_last)

    def complete(self, image: Tensor, center: Tensor) -> Tensor:
        """The canvas with the center (B, 3, h, w) put in: (B, 4 or more, H, W) -> (B, 4, rows, columns)."""
        canvas = self.of(image[:, :4])
        hole = self.hole_of(canvas)
        hole[:, :3], hole[:, 3] = center, 1
        return canvas

    def hole_of(self, canvas: Tensor) -> Tensor:
        """View the hole in a canvas: (B, C, rows, columns) -> (B, C, h, w)."""
        return canvas[:, :, self.top :, self.left : self.left + self.width]

    def around(self, center: Tensor) -> Tensor:
        """Pad with zeros outside the hole: (B, C, h, w) -> (B, C, rows, columns)."""
        return F.pad(center, (self.left, self.columns - self.left - self.width, self.top, 0))
