"""PixelCNN++ [1]: two streams of gated residual blocks with concatenated ELUs, down to a quarter of the resolution and
up again, with shortcuts between blocks of one resolution.

The `down` stream reads the rows above, the `right` one also the pixels to the left and the other's maps.
Departs from [1] as listed in PixelCNNppStack.DEPARTS. Blocks at full resolution do not reach a row's far ends, and
coarser ones skip odd rows, so the first layers also read the whole row above and the row so far. Each block is
conditioned on the border tower's map (and the caption's summary) as [1] conditions on a class. Upsampling is a 1x1
convolution to four pixels: the 2x2 transposed convolution of [1]'s second stream.

[1] Salimans, Karpathy, Chen, Kingma 2017, arXiv:1701.05517
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch.nn.functional as F
from torch import Tensor, nn

from models.canvas import Canvas
from models.departures import NO_WEIGHT_NORM, POSITION, TOWER, Departure
from models.layers.levels import Levels, Upsample, levels
from models.layers.maps import (
    GLU,
    CausalConv,
    ConcatELU,
    Condition,
    Context,
    ContextChannels,
    Conv1x1,
    VerticalConv,
)
from models.layers.masked import Reach
from models.layers.position import position_of
from models.stacks.base import Stack
from models.stacks.families import decoder

RESOLUTIONS = 3


@dataclass(frozen=True)
class Options:
    width: int
    blocks_per_level: int
    dropout: float = 0.0
    position: bool = True
    input_shortcuts: bool = False


class DownBlock(nn.Module):
    """A block of the stream that reads the rows above: C channels -> C.

    Args:
      shortcut: whether it reads the map of a block before it.
    """

    def __init__(self, channels: int, shortcut: bool, dropout: float):
        super().__init__()
        self.conv1 = VerticalConv(2 * channels, channels, rows=2, side=1)
        self.shortcut = Conv1x1(2 * channels, channels) if shortcut else None
        self.dropout = nn.Dropout(dropout)
        self.conv2 = VerticalConv(2 * channels, 2 * channels, rows=2, side=1)
        self.elu, self.glu = ConcatELU(), GLU()

    def forward(self, x: Tensor, condition: Tensor, shortcut: Tensor | None) -> Tensor:
        y = self.conv1(self.elu(x))
        if self.shortcut is not None:
            y = y + self.shortcut(self.elu(shortcut))
        y = self.conv2(self.dropout(self.elu(y)), condition)
        return x + self.glu(y)


class RightBlock(nn.Module):
    """A block of the stream that also reads the pixels to the left: C channels -> C."""

    def __init__(self, channels: int, shortcut: bool, dropout: float):
        super().__init__()
        self.conv1 = CausalConv(2 * channels, channels, Reach(above=1, left=1))
        self.link = Conv1x1(2 * channels, channels, bias=False)
        self.shortcut = Conv1x1(2 * channels, channels) if shortcut else None
        self.dropout = nn.Dropout(dropout)
        self.conv2 = CausalConv(2 * channels, 2 * channels, Reach(above=1, left=1))
        self.elu, self.glu = ConcatELU(), GLU()

    def forward(self, x: Tensor, from_above: tuple[Tensor, Tensor], shortcut: Tensor | None) -> Tensor:
        link, condition = from_above
        y = self.conv1(self.elu(x), link)
        if self.shortcut is not None:
            y = y + self.shortcut(self.elu(shortcut))
        y = self.conv2(self.dropout(self.elu(y)), condition)
        return x + self.glu(y)


class Pair(nn.Module):
    """A block of each stream and their conditions."""

    def __init__(self, channels: int, shortcut: bool, context: ContextChannels, dropout: float):
        super().__init__()
        self.down = DownBlock(channels, shortcut, dropout)
        self.right = RightBlock(channels, shortcut, dropout)
        self.down_condition = Condition(context, 2 * channels)
        self.right_condition = Condition(context, 2 * channels)
        self.elu = ConcatELU()

    def go_down(self, x: Tensor, context: Context, shortcut: Tensor | None, from_above: list[Any]) -> Tensor:
        """Run the block of the first stream, and append to `from_above` what the block of the second reads."""
        y: Tensor = self.down(x, self.down_condition(context), shortcut)
        from_above.append((self.right.link(self.elu(y)), self.right_condition(context)))
        return y


@decoder("pixelcnnpp")
class PixelCNNppStack(Stack):
    """See the module; `width` features, `dropout` in every block."""

    SIZES = {
        "xs": Options(width=12, blocks_per_level=1),
        "s": Options(width=48, blocks_per_level=2),
        "m": Options(width=96, blocks_per_level=3),
        "l": Options(width=160, blocks_per_level=5),
    }
    PAPER = "1701.05517"
    DEPARTS = (
        TOWER,
        POSITION,
        Departure("two 1x1 layers before the last, there none", {"head_layers": 0}),
        Departure(
            "no shortcut from the input of a resolution, and 30 pairs of blocks, there 32", {"input_shortcuts": True}
        ),
        Departure("the first layers also read the whole row above and the row so far"),
        Departure("the first kernels are 2x5, and 2x2; there 2x3, and 1x3 with 2x1"),
        Departure("the first stream is upsampled by 2x2, there by 2x3"),
        NO_WEIGHT_NORM,
    )

    def __init__(self, canvas: Canvas, context: ContextChannels, options: Options):
        super().__init__(canvas)
        self.channels = channels = options.width
        self.first_down = VerticalConv(4, channels, rows=2, side=2)
        self.first_right = CausalConv(4, channels, Reach(above=1, left=1))
        self.position = position_of(canvas, channels, options.position)
        self.row_above = VerticalConv(4, channels, rows=1, side=canvas.columns - 1, bias=False)
        self.row_so_far = CausalConv(4, channels, Reach(above=0, left=canvas.columns - 1), bias=False)

        def pairs(shortcut: bool, more: bool) -> Sequence[Sequence[Pair]]:
            counts = [options.blocks_per_level + (more and level + 1 < RESOLUTIONS) for level in range(RESOLUTIONS)]
            blocks = Levels(
                nn.ModuleList(Pair(channels, shortcut, context, options.dropout) for _ in range(count))
                for count in counts
            )
            return cast(Sequence[Sequence[Pair]], blocks)

        self.from_input = options.input_shortcuts
        self.before, self.after = pairs(shortcut=False, more=False), pairs(shortcut=True, more=self.from_input)
        self.halve_down = levels(
            VerticalConv(channels, channels, rows=2, side=1, stride=2) for _ in range(RESOLUTIONS - 1)
        )
        self.halve_right = levels(
            CausalConv(channels, channels, Reach(above=1, left=1), stride=2) for _ in range(RESOLUTIONS - 1)
        )
        self.double_down = levels(Upsample(channels, channels) for _ in range(RESOLUTIONS - 1))
        self.double_right = levels(Upsample(channels, channels) for _ in range(RESOLUTIONS - 1))

    def vertical(self, above: Tensor, context: Context) -> list[Any]:
        x = self.position(self.first_down(above, self.row_above(above)))
        from_above: list[Any] = [x]
        self._down(0, x, context, from_above)
        return from_above

    def _down(self, level: int, x: Tensor, context: Context, from_above: list[Any]) -> Tensor:
        """The first stream at this resolution and lower ones; appends to `from_above` in the order of `_right`."""
        maps = [x]
        for pair in self.before[level]:
            x = pair.go_down(x, context, None, from_above)
            maps.append(x)
        if level + 1 < RESOLUTIONS:
            y = self.halve_down[level](x)
            inner: list[Any] = []
            if y is not None:  # None while drawing: the coarser map has a row for every second one
                y = self._down(level + 1, y, context.halved(), inner)
            from_above.append(inner)
            x = self.double_down[level](y, x)
        for pair, shortcut in zip(self.after[level], self._shortcuts(level, maps), strict=True):
            x = pair.go_down(x, context, shortcut, from_above)
        return x

    def _shortcuts(self, level: int, maps: list[Tensor]) -> list[Tensor]:
        """What the blocks on the way back up read, the latest first.

        Args:
          maps: the input of this resolution and the outputs of the blocks on the way down.
        """
        if not self.from_input:
            return maps[:0:-1]
        return maps[::-1] if level + 1 < RESOLUTIONS else maps[-2::-1]  # at the lowest the last is what they begin with

    def horizontal(self, left: Tensor, pixel: Tensor, from_above: list[Any]) -> Tensor:
        x = self.first_right(left, from_above[0]) + self.row_so_far(left)
        return F.elu(self._right(0, x, iter(from_above[1:])))

    def _right(self, level: int, x: Tensor, from_above: Iterator[Any]) -> Tensor:
        maps = [x]
        for pair in self.before[level]:
            x = pair.right(x, next(from_above), None)
            maps.append(x)
        if level + 1 < RESOLUTIONS:
            y = self.halve_right[level](x)
            inner = next(from_above)
            if y is not None:  # likewise, a pixel for every second one
                y = self._right(level + 1, y, iter(inner))
            x = self.double_right[level](y, x)
        for pair, shortcut in zip(self.after[level], self._shortcuts(level, maps), strict=True):
            x = pair.right(x, next(from_above), shortcut)
        return x
