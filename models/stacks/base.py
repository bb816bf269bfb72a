"""The causal stack: a masked network over the center's pixels so far. It is what tells one decoder from another.

A stack has two phases: `vertical` reads the rows above, whole rows at a time; `horizontal` reads the pixels to the left
in the same row, and the output of `vertical`. To write one, compose the layers of layers/maps.py, write both phases for
whole maps, register the class with `decoder` (families.py), and import the file in stacks/__init__.py. Drawing calls
the same two phases with each layer replaced by its step-by-step twin.
"""

import dataclasses
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import Tensor, nn

from models.canvas import Canvas
from models.departures import Departure
from models.layers.maps import Context
from models.layers.masked import shift_down, shift_right
from models.layers.region import crop


class Stack(nn.Module, ABC):
    """The canvas so far and the context -> features at the hole's pixels.

    A subclass's constructor takes (canvas, context_channels, options).

    Attributes:
      SIZES: for each size name an instance of the stack's own `Options`, a frozen dataclass. An option of config.py
        sets the field of its name, if there is one.
      PAPER: its arXiv number; "" if there is none.
      DEPARTS: where it departs from that paper.
      can_group: whether the option `color_conditioning` puts the stack's channels in color groups.
      horizontal_reads_rows: whether layers of `horizontal` read rows above, so that it must be run on whole rows.
      cone: whether `vertical` reads the rows above of the canvas alone, by `VerticalConv`, and no features: then what
        a pixel depends on is a cone, and pixels are drawn in waves (layers/waves.py, where each layer needs a twin).
      channels: of the features.
      grouped: whether the features come in color groups: G's depend on the pixel's R, and B's on its R and G.
    """

    SIZES: ClassVar[dict[str, Any]]
    PAPER: ClassVar[str] = ""
    DEPARTS: ClassVar[tuple[Departure, ...]] = ()
    can_group: ClassVar[bool] = False
    horizontal_reads_rows: ClassVar[bool] = True
    cone: ClassVar[bool] = False
    channels: int
    grouped: bool = False

    def __init__(self, canvas: Canvas):
        super().__init__()
        self.canvas = canvas

    @abstractmethod
    def vertical(self, above: Tensor, context: Context) -> list[Any]:
        """From the rows above and the context, whatever the layers of `horizontal` read.

        Args:
          above: (B, 4, rows, columns), shifted down: at each pixel intensities in -1..1 and mask of the one above.
        """

    @abstractmethod
    def horizontal(self, left: Tensor, pixel: Tensor, from_above: list[Any]) -> Tensor:
        """The features, (B, channels, rows, columns).

        Args:
          left: (B, 4, rows, columns), shifted right: at each pixel intensities and mask of the one to its left.
          pixel: (B, 3, rows, columns), the pixel itself: only color groups and later pixels may depend on it.
          from_above: the output of `vertical`.
        """

    def forward(self, canvas: Tensor, context: Context) -> Tensor:
        """(B, 4, rows, columns), every pixel known -> (B, channels, h, w), each pixel's from those before it."""
        from_above = self.vertical(shift_down(canvas), context)
        region, hole = self.canvas.region, self.canvas.hole
        if self.horizontal_reads_rows:
            return crop(self.horizontal(shift_right(canvas), canvas[:, :3], from_above), region, hole)
        below = dataclasses.replace(region, top=hole.top)  # rows above the hole are not read any more
        x = crop(canvas, region, below)
        y = self.horizontal(shift_right(x), x[:, :3], [crop(part, region, below) for part in from_above])
        return crop(y, below, hole)
