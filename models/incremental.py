"""One pass of a stack through the hole, pixel by pixel, that computes only what is new."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

import models.head_steps
import models.layers.attention_steps
import models.layers.lstm_steps
import models.layers.steps
import models.predictor_steps
import models.stacks.gated_steps  # noqa: F401 - all of these register their twins
from models.layers.maps import Context
from models.layers.twins import Cursor, RowContext, stepwise
from models.stacks.base import Stack


class IncrementalPass:
    """Visits the hole's pixels in raster order and computes their features.

    Args:
      stack: in eval mode.
      canvas: (B, 4, rows, columns), read as it is filled: each pixel must be there before the next is visited.
      context: of the whole canvas.
      cursor: of the canvas.
    """

    def __init__(self, stack: Stack, canvas: Tensor, context: Context, cursor: Cursor):
        self.cursor, self.context, self.geometry = cursor, context, stack.canvas
        self.reads_rows = stack.horizontal_reads_rows
        self.stack: Any = stepwise(stack, cursor)
        self._pixels = canvas.permute(2, 3, 0, 1)  # (rows, columns, B, 4)
        self._colors = self._pixels[..., :3]
        self._outside = torch.zeros_like(self._pixels[0])  # zeros above the canvas and to its left
        self._tower = context.tower.permute(2, 3, 0, 1).contiguous()  # (rows, columns, B, C)
        self._from_above: list[Any] = []

    def pixels(self) -> Iterator[tuple[int, int]]:
        """The hole's pixels (i, j), in order."""
        geometry, cursor = self.geometry, self.cursor
        after = geometry.left + geometry.width
        for row in range(geometry.top + geometry.height):
            self._start_row(row)
            if row < geometry.top:
                if self.reads_rows:
                    self._columns(row, 0, geometry.columns)
                continue
            if geometry.left:
                self._columns(row, 0, geometry.left)
            for j in range(geometry.width):
                cursor.start_pixel(geometry.left + j)
                yield row - geometry.top, j
            if self.reads_rows and after < geometry.columns:
                self._columns(row, after, geometry.columns)

    def features(self) -> Tensor:
        """The current pixel's features, (B, channels). Call again once its red or green is on the canvas if features
        are in color groups."""
        row, column = self.cursor.row, self.cursor.first
        left = self._pixels[row, column - 1] if column else self._outside[0]
        features: Tensor = self.stack.horizontal(left, self._colors[row, column], self._from_above)
        return features

    def _start_row(self, row: int) -> None:
        self.cursor.start_row(row)
        above = self._pixels[row - 1] if row else self._outside
        context = RowContext(self._tower[row], self.context.caption, self.context.border)
        self._from_above = self.stack.vertical(above, context)

    def _columns(self, row: int, first: int, end: int) -> None:
        self.cursor.start_columns(first, end)
        line = self._pixels[row]
        left = line[first - 1 : end - 1] if first else torch.cat([self._outside[:1], line[: end - 1]])
        self.stack.horizontal(left, self._colors[row, first:end], self._from_above)
