"""Twins that compute a wave of pixels at once: those of several rows that do not depend on one another.

If what a pixel (r, c) depends on is a cone, in the rows above those (r', c') with c' - c < slope (r - r'), the pixels
of equal c + slope r are independent given those of smaller ones. A wave has a pixel of each row, `slope` columns
further left than that of the row above. Kept whole, a map is a matrix of pixels, where a wave is every so many'th row:
what a kernel reads at one of its taps is a slice. Tensors are (n, B, C) for a wave of n pixels. twins.py has the twins
that go pixel by pixel.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import models.layers.steps  # noqa: F401 - registers the twins of pointwise layers
from models.layers.lstm import RowLSTM, lstm
from models.layers.maps import GLU, CausalConv, Concat, ConcatELU, Condition, Conv1x1, Gate, VerticalConv
from models.layers.masked import CausalKernel
from models.layers.norm import PixelNorm
from models.layers.position import Position
from models.layers.twins import TWINS, Twins, twin_of

WAVES: Twins = {}
AS_BY_PIXEL = (Conv1x1, PixelNorm, Gate, GLU, ConcatELU, Concat, Condition, nn.Dropout, nn.Identity, nn.ModuleList)
WAVES.update({layer: TWINS[layer] for layer in AS_BY_PIXEL})


class WaveCursor:
    """Which pixels of a rows x columns map are computed: `count` of them from (row, column) on, each `down` rows and
    `across` columns from the one before."""

    twins = WAVES
    at_pixel = True

    def __init__(self, rows: int, columns: int):
        self.rows, self.columns = rows, columns
        self.row, self.column, self.count, self.down, self.across = 0, 0, 1, 0, 1

    def move(self, row: int, column: int, count: int, down: int, across: int) -> None:
        self.row, self.column, self.count, self.down, self.across = row, column, count, down, across


class WaveMap:
    """A map with zeros around it, kept whole: a matrix of pixels (rows columns, B, C).

    Args:
      above, left, right: rows and columns of zeros around it.
    """

    def __init__(self, cursor: WaveCursor, above: int = 0, left: int = 0, right: int = 0):
        self.cursor, self.above, self.left = cursor, above, left
        self.width = left + cursor.columns + right
        self.pixels: Any = None

    def allocate(self, like: Tensor) -> None:
        """Make room for pixels like those of a wave (n, B, C)."""
        self.pixels = like.new_zeros((self.above + self.cursor.rows) * self.width, *like.shape[1:])

    def inside(self) -> Tensor:
        """View the map without the zeros: (rows, columns, B, C)."""
        right = self.left + self.cursor.columns
        view: Tensor = self.pixels.unflatten(0, (-1, self.width))[self.above :, self.left : right]
        return view

    def __getitem__(self, offset: tuple[int, int]) -> Tensor:
        """View the pixels at this offset (down, right) from those of the wave: (n, B, C)."""
        cursor, width = self.cursor, self.width
        first = (cursor.row + self.above + offset[0]) * width + cursor.column + self.left + offset[1]
        step = cursor.down * width + cursor.across
        view: Tensor = self.pixels[first : first + (cursor.count - 1) * step + 1 : step]
        return view

    def taps(self, offsets: list[tuple[int, int]]) -> Tensor:
        """The pixels at these offsets, side by side: (n, B, offsets C)."""
        return torch.cat([self[offset] for offset in offsets], dim=2)

    def put(self, x: Tensor) -> None:
        """Store the wave's pixels (n, B, C)."""
        if self.pixels is None:
            self.allocate(x)
        self[0, 0].copy_(x)


class Kernel:
    """A kernel as one matrix, and the offsets of the taps that it reads."""

    def __init__(self, layer: CausalKernel, taps: list[tuple[int, int]], above: int):
        rows, columns = layer.dilation
        kernel = layer.kernel().permute(2, 3, 1, 0)  # (rows, columns, C_in, C_out)
        self.weight, self.bias = torch.cat([kernel[i, j] for i, j in taps]), layer.bias  # (taps C_in, C_out)
        self.offsets = [(i * rows - above, j * columns - layer.left) for i, j in taps]

    def __call__(self, x: WaveMap, extra: Tensor | None) -> Tensor:
        """The taps of a map, and `extra` (n, B, C_out) added -> (n, B, C_out)."""
        taps = x.taps(self.offsets)  # (n, B, taps C_in)
        if extra is None:
            return F.linear(taps, self.weight.T, self.bias)
        y = torch.addmm(extra.flatten(0, 1), taps.flatten(0, 1), self.weight)
        return (y if self.bias is None else y + self.bias).unflatten(0, taps.shape[:2])


@twin_of(VerticalConv, WAVES)
class VerticalConvWave:
    """Reads the canvas itself, not features: a pixel's taps in the rows above lie on both sides of it."""

    def __init__(self, layer: VerticalConv, cursor: WaveCursor):
        rows, columns = layer.kernel_size
        taps = [(i, j) for i in range(rows) for j in range(columns)]
        self.kernel = Kernel(layer, taps, layer.above + 1)  # shifted down by a row

    def __call__(self, canvas: WaveMap, extra: Tensor | None = None) -> Tensor:
        return self.kernel(canvas, extra)


@twin_of(CausalConv, WAVES)
class CausalConvWave:
    def __init__(self, layer: CausalConv, cursor: WaveCursor):
        self.kernel = Kernel(layer, self.taps_of(layer), layer.above)
        self.map = WaveMap(cursor, layer.above, layer.left, layer.right)

    @staticmethod
    def taps_of(layer: CausalConv) -> list[tuple[int, int]]:
        """The kernel's rows and columns that it reads: none to the right in the current row."""
        rows, columns = layer.kernel_size
        own = layer.left // layer.dilation[1]
        return [(i, j) for i in range(rows) for j in range(columns) if i < rows - 1 or j <= own]

    def __call__(self, x: Tensor, extra: Tensor | None = None) -> Tensor:
        self.map.put(x)
        return self.kernel(self.map, extra)


@twin_of(RowLSTM, WAVES)
class RowLSTMWave:
    """(n, B, 2C) and the condition (n, B, 4C) -> (n, B, C)."""

    def __init__(self, layer: RowLSTM, cursor: WaveCursor):
        self.input = CausalConvWave(layer.input, cursor)
        self.state = Kernel(layer.state, [(0, 0), (0, 1), (0, 2)], 1)
        self.states, self.cells = WaveMap(cursor, 1, 1, 1), WaveMap(cursor, 1)
        self.channels = layer.channels

    def __call__(self, x: Tensor, pixel: Tensor, condition: Tensor) -> Tensor:
        if self.states.pixels is None:
            self.states.allocate(x[..., : self.channels])
            self.cells.allocate(x[..., : self.channels])
        state, cell = lstm(self.input(x, self.state(self.states, condition)), self.cells[-1, 0])
        self.states.put(state)
        self.cells.put(cell)
        return state


@twin_of(Position, WAVES)
class PositionWave:
    """Adds to a wave, (n, B, channels)."""

    def __init__(self, layer: Position, cursor: WaveCursor):
        encoding = layer.to_channels(layer.waves)[0]  # (channels, rows, columns)
        self.map = WaveMap(cursor)
        self.map.pixels = encoding.flatten(1).T.unsqueeze(1).contiguous()  # (rows columns, 1, channels)

    def __call__(self, x: Tensor) -> Tensor:
        return x + self.map[0, 0]


def slope_of(kernels: list[CausalKernel]) -> int:
    """The smallest slope at which no kernel reads what is not computed yet.

    What shifted kernels read, the canvas or states of the row above, must be of earlier waves. The others read
    features, which are computed layer by layer, so that they may be of the same wave.
    """
    slope = 1
    for kernel in kernels:
        for i in range(kernel.kernel_size[0]):
            down = i * kernel.dilation[0] + kernel.shifted
            if down:
                slope = max(slope, kernel.right // down + 1 if kernel.shifted else -(-kernel.right // down))
    return slope
