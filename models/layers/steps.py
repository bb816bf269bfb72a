"""Twins of the layers in maps.py, levels.py and norm.py. twins.py says how they run."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from models.layers.levels import Upsample
from models.layers.maps import GLU, CausalConv, Concat, ConcatELU, Condition, Conv1x1, Gate, VerticalConv
from models.layers.masked import FEW, CausalKernel
from models.layers.norm import PixelNorm
from models.layers.position import Position
from models.layers.twins import Cursor, RowContext, twin_of

Row = Tensor | None  # (left + width + right, B, C_in); None above the map


@twin_of(Conv1x1)
class Conv1x1Step:
    """(..., C_in) -> (..., C_out)."""

    def __init__(self, layer: Conv1x1, cursor: Cursor):
        self.weight, self.bias = layer.kernel().flatten(1), layer.bias

    def __call__(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)


class KernelStep:
    """Shared by the twins of VerticalConv and CausalConv: applies a kernel tap by tap.

    Attributes:
      rows: the rows above the current one that the kernel reads; None above the map.
      taps: the kernel's rows from the top, each a list of matrices (C_in, C_out) from the left.
    """

    def __init__(self, layer: CausalKernel, cursor: Cursor):
        self.cursor = cursor
        self.above, self.left, self.right = layer.above, layer.left, layer.right
        self.stride, self.dilation = layer.stride[0], layer.dilation[0]
        self.bias, self.inputs, self.outputs = layer.bias, layer.in_channels, layer.out_channels
        self.taps = [[tap.contiguous() for tap in row] for row in layer.kernel().permute(2, 3, 1, 0)]
        self.rows: list[Row] = [None] * self.above

    def empty_row(self, like: Tensor) -> Tensor:
        """Zeros with the kernel's margins: (left + width + right, B, C_in)."""
        return like.new_zeros(self.left + self.cursor.width + self.right, *like.shape[-2:])

    def from_rows(self, rows: list[Row], like: Tensor, extra: Tensor | None) -> Tensor:
        """Apply the first kernel rows to `rows`, and add the bias and `extra`, in place: (ceil(width / stride), B,
        C_out)."""
        width = self.cursor.width
        if extra is None:
            extra = like.new_zeros(-(-width // self.stride), like.shape[-2], self.outputs)
        if self.bias is not None:
            extra += self.bias
        y = extra.view(-1, self.outputs)
        for taps, row in zip(self.taps, rows, strict=False):
            if row is not None:
                self.add_row(y, taps, row, 0, width)
        return extra

    def add_row(self, y: Tensor, taps: list[Tensor], row: Tensor, first: int, count: int) -> None:
        """Add one kernel row's output to y (n B, C_out), for every `stride`-th of `count` columns from `first` on."""
        starts = range(first, first + len(taps) * self.dilation, self.dilation)
        seen = [row[start : start + count : self.stride] for start in starts]  # (n, B, C_in) each
        if self.inputs < FEW:  # thin matrices: one product is faster
            seen, taps = [torch.cat(seen, dim=-1)], [torch.cat(taps)]
        for part, tap in zip(seen, taps, strict=True):
            y.addmm_(part.flatten(0, 1), tap)


@twin_of(VerticalConv)
class VerticalConvStep(KernelStep):
    """One whole row, (W, B, C_in) -> (W, B, C_out)."""

    def __call__(self, x: Tensor, extra: Tensor | None = None) -> Tensor | None:
        """`extra` is added, and may be changed. None if no row of the strided output is due."""
        row = self.empty_row(x)
        row[self.left : self.left + self.cursor.width] = x
        self.rows.append(row)
        y = None
        if self.cursor.row % self.stride == 0:
            y = self.from_rows(self.rows[:: self.dilation], x, extra)
        del self.rows[0]
        return y


@twin_of(CausalConv)
class CausalConvStep(KernelStep):
    """Columns of the current row, (n, B, C_in) -> (n, B, C_out), or its next pixel, (B, C_in) -> (B, C_out).

    Attributes:
      index: of the current row.
      row: the current row so far, zeros for pixels to come.
      columns: views of its columns, (B, C_in) each.
      above_and_extra: the part of the current row's output that comes from the rows above, the bias and `extra`; None
        if no row of the strided output is due.
      outputs_above: views of that part's columns.
    """

    def __init__(self, layer: CausalConv, cursor: Cursor):
        super().__init__(layer, cursor)
        self.taps[-1] = self.taps[-1][: self.left // self.dilation + 1]  # none to the right
        self.last_taps = torch.cat(self.taps[-1])  # (taps C_in, C_out)
        self.index = -1
        self.row: Row = None
        self.columns: Any = None
        self.above_and_extra: Tensor | None = None
        self.outputs_above: Any = None

    def __call__(self, x: Tensor, extra: Tensor | None = None) -> Tensor | None:
        """`extra`, a whole row of the output, is added, and may be changed. None if no pixel of the strided output is
        due."""
        cursor = self.cursor
        if self.index != cursor.row:
            self._start_row(x, extra)
        return self._pixel(x, cursor.first) if cursor.at_pixel else self._columns(x, cursor.first, cursor.end)

    def _start_row(self, x: Tensor, extra: Tensor | None) -> None:
        if self.above and self.row is not None:
            self.rows.append(self.row)
            del self.rows[0]
        self.index, self.row = self.cursor.row, self.empty_row(x)
        self.columns = self.row.unbind()
        self.above_and_extra = None
        if self.index % self.stride == 0:
            self.above_and_extra = self.from_rows(self.rows[:: self.dilation], x, extra)
            self.outputs_above = self.above_and_extra.unbind()

    def _pixel(self, x: Tensor, column: int) -> Tensor | None:
        row: Any = self.row
        self.columns[self.left + column].copy_(x)
        if self.above_and_extra is None or column % self.stride:
            return None
        if self.left == self.dilation:
            x = torch.cat((self.columns[column], x), dim=1)  # (B, taps C_in)
        elif self.left:
            x = row[column : column + self.left + 1 : self.dilation].transpose(0, 1).flatten(1)
        return torch.addmm(self.outputs_above[column // self.stride], x, self.last_taps)

    def _columns(self, x: Tensor, first: int, end: int) -> Tensor | None:
        row: Any = self.row
        row[self.left + first : self.left + end] = x
        first += -first % self.stride
        if self.above_and_extra is None or first >= end:
            return None
        y = self.above_and_extra[first // self.stride : -(-end // self.stride)].clone()
        self.add_row(y.flatten(0, 1), self.taps[-1], row, first, end - first)
        return y


@twin_of(Upsample)
class UpsampleStep:
    """The current row, columns or pixel, upsampled from the latest row of the half-resolution map.

    Attributes:
      row: that row, before pixels are shuffled into place. Kept, as each is read for two rows and two columns.
    """

    def __init__(self, layer: Upsample, cursor: Cursor):
        self.conv = Conv1x1Step(layer, cursor)
        self.cursor, self.half = cursor, cursor.half
        self.row: Row = None

    def __call__(self, x: Tensor | None, like: Tensor) -> Tensor:
        """x is None if no pixel of the half-resolution map is due."""
        cursor, half = self.cursor, self.half
        if x is not None:
            y = self.conv(x)  # (..., 4 C_out)
            if self.row is None:
                self.row = y.new_zeros(half.width, *y.shape[-2:])
            self.row[half.first : half.end] = y
        row: Any = self.row
        quarters, lower = row.unflatten(-1, (4, -1)), cursor.row % 2 * 2  # (w, B, 4, C_out)
        if cursor.at_pixel:
            pixel: Tensor = quarters[cursor.first // 2, :, lower + cursor.first % 2]
            return pixel
        both: Tensor = quarters[:, :, lower : lower + 2].transpose(1, 2).flatten(0, 1)  # (2 w, B, C_out)
        return both[cursor.first : cursor.end]


@twin_of(PixelNorm)
class PixelNormStep:
    def __init__(self, layer: PixelNorm, cursor: Cursor):
        self.over_last = layer.over_last

    def __call__(self, x: Tensor) -> Tensor:
        return self.over_last(x)


@twin_of(Gate)
class GateStep:
    def __init__(self, layer: Gate, cursor: Cursor):
        self.cursor = cursor

    def __call__(self, x: Tensor) -> Tensor:
        a, b = x.chunk(2, dim=-1)
        if self.cursor.at_pixel:
            return torch.tanh(a) * torch.sigmoid(b)
        return (2 * torch.sigmoid(2 * a) - 1) * torch.sigmoid(b)


@twin_of(GLU)
class GLUStep:
    def __init__(self, layer: GLU, cursor: Cursor):
        pass

    def __call__(self, x: Tensor) -> Tensor:
        return F.glu(x, dim=-1)


@twin_of(ConcatELU)
class ConcatELUStep:
    def __init__(self, layer: ConcatELU, cursor: Cursor):
        pass

    def __call__(self, x: Tensor) -> Tensor:
        return F.elu(torch.cat([x, -x], dim=-1))


@twin_of(Concat)
class ConcatStep:
    def __init__(self, layer: Concat, cursor: Cursor):
        pass

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.cat([x, y], dim=-1)


@twin_of(Condition)
class ConditionStep:
    """The context of one row -> (columns, B, outputs); zeros if there is neither tower nor caption."""

    def __init__(self, layer: Condition, cursor: Cursor):
        self.tower = None if layer.tower is None else Conv1x1Step(layer.tower, cursor)
        self.caption, self.outputs = layer.caption, layer.outputs

    def __call__(self, context: RowContext) -> Tensor:
        if self.tower is None:
            y = context.tower.new_zeros(*context.tower.shape[:2], self.outputs)
        else:
            y = self.tower(context.tower)
        return y if self.caption is None else y + self.caption(context.caption)


@twin_of(Position)
class PositionStep:
    """Adds to the current row, (columns, B, channels)."""

    def __init__(self, layer: Position, cursor: Cursor):
        self.cursor, self.waves = cursor, layer.waves
        self.to_channels = Conv1x1Step(layer.to_channels, cursor)

    def __call__(self, x: Tensor) -> Tensor:
        return x + self.to_channels(self.waves[:, :, self.cursor.row].permute(2, 0, 1))
