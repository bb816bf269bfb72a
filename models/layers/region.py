"""Convolutions on a region of a map, equal to the whole map's: to compute only what the center needs.

To compute a layer's output on the hole, its input is needed on the hole plus a margin of half a kernel, clipped at the
map's edge, where the usual zero padding takes over. `Region` does that arithmetic and `conv` runs the layer. The same
code computes whole maps, with regions that cover them; the numbers are the same because only convolutions, and
attention over a whole map, mix pixels.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Region:
    """Rows top..bottom and columns left..right (ends excluded) of a map of height x width pixels."""

    top: int
    left: int
    bottom: int
    right: int
    height: int
    width: int

    @classmethod
    def whole(cls, height: int, width: int) -> "Region":
        """The whole of a height x width map."""
        return cls(0, 0, height, width, height, width)

    @classmethod
    def of_hole(cls, hole: tuple[int, int, int, int], height: int, width: int) -> "Region":
        """The hole [top, left, height, width] within a height x width map."""
        top, left, h, w = hole
        return cls(top, left, top + h, left + w, height, width)

    def grow(self, margin: int) -> "Region":
        """This region and `margin` pixels around it, clipped to the map."""
        return Region(
            max(self.top - margin, 0),
            max(self.left - margin, 0),
            min(self.bottom + margin, self.height),
            min(self.right + margin, self.width),
            self.height,
            self.width,
        )

    def halve(self) -> "Region":
        """The region of the half-resolution map whose 2x upsampling covers this one."""
        return Region(
            self.top // 2,
            self.left // 2,
            -(-self.bottom // 2),
            -(-self.right // 2),
            self.height // 2,
            self.width // 2,
        )

    def double(self) -> "Region":
        """The region of the double-resolution map that this one's 2x upsampling covers."""
        return Region(2 * self.top, 2 * self.left, 2 * self.bottom, 2 * self.right, 2 * self.height, 2 * self.width)


def crop(x: Tensor, have: Region, want: Region) -> Tensor:
    """Crop a map (B, C, have) to (B, C, want): a view to read, or x itself if nothing is cut."""
    if have == want:
        return x
    cropped: Tensor = _Crop.apply(x, have, want)  # type: ignore[no-untyped-call]
    return cropped


def window(x: Tensor, have: Region, want: Region) -> Tensor:
    """The same by torch's slices: a view to write into, even where gradients are taken."""
    top, left = want.top - have.top, want.left - have.left
    return x[:, :, top : top + want.bottom - want.top, left : left + want.right - want.left]


class _Crop(torch.autograd.Function):
    """Slices whose gradient keeps x's order of channels and pixels in memory.

    That of torch's own slices is always laid out channel by channel, and everything before them in a channels-last
    network then reads two orders at once: a training step of the 2017 tower takes twice as long.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, have: Region, want: Region) -> Tensor:
        ctx.cut = want.left - have.left, have.right - want.right, want.top - have.top, have.bottom - want.bottom
        return window(x, have, want)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return F.pad(gradient, ctx.cut), None, None


def conv(layer: nn.Conv2d, x: Tensor, have: Region, want: Region) -> Tensor:
    """Run a layer on the region `want` only, with zero "same" padding at the map's own edge.

    Args:
      layer: stride 1, odd square kernel of 2m + 1; its `padding` is ignored.
      x: (B, C_in, have), where `have` covers `want.grow(m)`.
      have: the region of the map that x holds.
      want: the region of the map to compute.

    Returns: (B, C_out, want).
    """
    margin = layer.kernel_size[0] // 2
    need = want.grow(margin)
    x = crop(x, have, need)  # (B, C_in, need)
    missing = (
        margin - (want.left - need.left),
        margin - (need.right - want.right),
        margin - (want.top - need.top),
        margin - (need.bottom - want.bottom),
    )
    if len(set(missing)) == 1:
        return F.conv2d(x, layer.weight, layer.bias, padding=missing[0])
    return F.conv2d(F.pad(x, missing), layer.weight, layer.bias)
