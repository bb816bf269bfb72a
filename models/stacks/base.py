"""What a causal stack is: the masked network over the center's pixels so far, which tells one decoder from another.

A stack computes in two phases: `vertical` sees the rows above, whole rows at a time; `horizontal` sees the pixels to
the left in the same row, and what `vertical` made of the rows above. To write one, make its layers of those in
layers/maps.py, write the two phases for whole maps, and register the class with `decoder`. Drawing calls the same two
phases, with each layer's step-by-step twin in its place.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import Tensor, nn

from models.canvas import Canvas
from models.layers.maps import Context
from models.layers.masked import shift_down, shift_right


class Stack(nn.Module, ABC):
    """The canvas so far and the context -> features at the hole's pixels.

    A subclass's constructor takes (canvas, context_channels, options).

    Attributes:
      SIZES: by size name the stack's `Options`, a frozen dataclass of its own. A field with the name of an option in
        config.py is what that option sets.
      can_group: whether the stack can have its channels in color groups, if its options say so.
      horizontal_reads_rows: whether `horizontal` has layers that read rows above, so that whole rows must pass it.
      channels: of the features.
      grouped: whether the features come in color groups: G's have seen the pixel's R, and B's its R and G.
    """

    SIZES: ClassVar[dict[str, Any]]
    can_group: ClassVar[bool] = False
    horizontal_reads_rows: ClassVar[bool] = True
    channels: int
    grouped: bool = False

    def __init__(self, canvas: Canvas):
        super().__init__()
        self.canvas = canvas

    @abstractmethod
    def vertical(self, above: Tensor, context: Context) -> list[Any]:
        """From the rows above and the context, what each layer of `horizontal` reads.

        Args:
          above: (B, 4, rows, columns), at each pixel the intensities in -1..1 and the mask of the one above.
        """

    @abstractmethod
    def horizontal(self, left: Tensor, pixel: Tensor, from_above: list[Any]) -> Tensor:
        """The features, (B, channels, rows, columns).

        Args:
          left: (B, 4, rows, columns), at each pixel the intensities and the mask of the one to its left.
          pixel: (B, 3, rows, columns), the pixel itself, for color groups and for what later pixels read.
          from_above: what `vertical` returned.
        """

    def forward(self, canvas: Tensor, context: Context) -> Tensor:
        """(B, 4, rows, columns), every pixel known -> (B, channels, h, w), each pixel's from those before it."""
        from_above = self.vertical(shift_down(canvas), context)
        if self.horizontal_reads_rows:
            return self.canvas.hole_of(self.horizontal(shift_right(canvas), canvas[:, :3], from_above))
        top = self.canvas.top  # rows above the hole have done their part
        x = canvas[:, :, top:]
        y = self.horizontal(shift_right(x), x[:, :3], [part[:, :, top:] for part in from_above])
        return y[..., self.canvas.left : self.canvas.left + self.canvas.width]
