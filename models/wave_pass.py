"""One pass of a stack through the hole in waves of pixels that do not depend on one another: see layers/waves.py."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from models.layers.maps import Context
from models.layers.masked import CausalKernel
from models.layers.twins import RowContext, stepwise
from models.layers.waves import WaveCursor, WaveMap, slope_of
from models.predictors import ABOVE, SIDE, CopyCandidates, LinearPredictors
from models.stacks.base import Stack


def slope(stack: Stack, predictors: LinearPredictors | CopyCandidates | None) -> int | None:
    """How many columns further left than the row above a wave's next pixel lies; None if the stack cannot go in waves,
    or each wave would be one pixel."""
    if not stack.cone:
        return None
    least = max(slope_of(kernels_of(stack)), 1 if predictors is None else predictors.side + 1)
    return least if least < stack.canvas.width else None


def kernels_of(stack: Stack) -> list[CausalKernel]:
    return [module for module in stack.modules() if isinstance(module, CausalKernel)]


class WavePass:
    """Visits the hole's pixels wave by wave and computes their features.

    Args:
      stack: in eval mode, one that has a `slope`.
      canvas: (B, 4, rows, columns), intensities and mask.
      context: of the whole canvas.
      slope: of the waves.

    Attributes:
      canvas: the pixels, of the canvas, moved by `hole`: what is drawn is put there.
      hole: a cursor over those of the current wave's pixels that are in the hole.
    """

    def __init__(self, stack: Stack, canvas: Tensor, context: Context, slope: int):
        geometry = stack.canvas
        self.geometry, self.slope = geometry, slope
        self.cursor, self.hole = (WaveCursor(geometry.rows, geometry.columns) for _ in range(2))
        self.stack: Any = stepwise(stack, self.cursor)
        shifted = [kernel for kernel in kernels_of(stack) if kernel.shifted]
        above = max([ABOVE + 1, *(kernel.above + 1 for kernel in shifted)])  # a row more for error_energy.py
        side = max([SIDE + 1, *(max(kernel.left, kernel.right) for kernel in shifted)])
        self._pixels, self.canvas = (WaveMap(of, above, side, side) for of in (self.cursor, self.hole))
        pixels = canvas.permute(2, 3, 0, 1)  # (rows, columns, B, 4)
        self._pixels.allocate(pixels[0])
        self._pixels.inside().copy_(pixels)
        self.canvas.pixels = self._pixels.pixels
        self._tower = WaveMap(self.cursor)
        self._tower.pixels = context.tower.permute(2, 3, 0, 1).flatten(0, 1).contiguous()  # (rows columns, B, C)
        self._context = context
        self._from_above: list[Any] = []
        self._part = slice(None)

    @property
    def count(self) -> int:
        """The number of waves."""
        return self.wave_of(self.geometry.height - 1, self.geometry.columns - 1 - self.geometry.left) + 1

    def wave_of(self, i: int, j: int) -> int:
        """The wave of the hole's pixel (i, j)."""
        return self.geometry.left + j + self.slope * i

    def start(self) -> None:
        """Compute the rows above the hole, each at once."""
        for row in range(self.geometry.top):
            self.cursor.move(row, 0, self.geometry.columns, 0, 1)
            self._read_context()
            self.features()

    def wave(self, number: int) -> Iterator[slice]:
        """Move to a wave. Yields the indices of its pixels among the hole's; nothing if none is in the hole."""
        geometry, slope = self.geometry, self.slope
        first, last = self._rows(number, 0, geometry.columns)
        self.cursor.move(geometry.top + first, number - slope * first, last - first, 1, -slope)
        self._read_context()
        inner, end = self._rows(number, geometry.left, geometry.left + geometry.width)
        self._part = slice(inner - first, end - first)
        if inner >= end:
            self.features()
            return
        self.hole.move(geometry.top + inner, number - slope * inner, end - inner, 1, -slope)
        index, step = inner * geometry.width + number - slope * inner - geometry.left, geometry.width - slope
        yield slice(index, index + (end - inner - 1) * step + 1, step)

    def row(self, i: int) -> None:
        """Compute the hole's row i at once, margins included, from what is on the canvas. It may be passed again when
        other pixels are."""
        self._move_to(i, 0, self.geometry.columns)
        self.features()

    def pixel(self, i: int, j: int) -> None:
        """Move to the hole's pixel (i, j) alone, whose row has been passed: `features` are its."""
        self._move_to(i, self.geometry.left + j, 1)

    def _move_to(self, i: int, column: int, count: int) -> None:
        """Move both cursors to pixels of the hole's row i, from a column of the canvas on."""
        for cursor in (self.cursor, self.hole):
            cursor.move(self.geometry.top + i, column, count, 0, 1)
        self._part = slice(None)
        self._read_context()

    def features(self) -> Tensor:
        """Those of the wave's pixels in the hole, (n, B, channels). Call again once their red or green is on the canvas
        if features are in color groups."""
        left = self._pixels[0, -1]
        features: Tensor = self.stack.horizontal(left, self._pixels[0, 0][..., :3], self._from_above)
        return features[self._part]

    def put_row(self, i: int, values: Tensor) -> None:
        """Put the hole's row i, (B, 3, w), on the canvas."""
        hole = self.geometry.hole_of(self._pixels.inside().permute(2, 3, 0, 1))  # (B, 4, h, w), a view
        hole[:, :3, i] = values

    def _read_context(self) -> None:
        context = RowContext(self._tower[0, 0].contiguous(), self._context.caption, self._context.border)
        self._from_above = self.stack.vertical(self._pixels, context)

    def _rows(self, number: int, first: int, end: int) -> tuple[int, int]:
        """The rows of the hole in which a wave's pixel lies in columns first..end - 1: first row, and last row + 1."""
        slope = self.slope
        top = max(0, -((end - 1 - number) // slope))
        return top, min(self.geometry.height, (number - first) // slope + 1)
