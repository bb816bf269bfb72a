"""PixelCNN++ [1]: two streams of gated residual blocks with concatenated ELUs, down to a quarter of the resolution and
up again, with shortcuts between blocks of one resolution.

The `down` stream sees the rows above, the `right` one also the pixels to the left, and is given the other's maps.
Departs from [1]: the first layers also read the whole row above and the whole of the row so far, whose far ends the
blocks of one resolution do not reach, and in odd rows the coarser ones know nothing of; each block is conditioned on
the border tower's map (and the caption's vector) as [1] conditions on a class; upsampling is a 1x1 convolution to four
pixels, which is [1]'s 2x2 transposed convolution, in both streams; weights are not normalised.

[1] Salimans, Karpathy, Chen, Kingma 2017, arXiv:1701.05517
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.causal import Cache, CausalConv, Pointwise, RowsAbove, Upsample, channel_dim
from models.stack import Canvas, Condition, Context, Position, Stack

LEVELS = 3
SIZES = {
    "xs": {"channels": 12, "blocks": 1},
    "s": {"channels": 48, "blocks": 2},
    "m": {"channels": 96, "blocks": 3},
    "l": {"channels": 160, "blocks": 5},
}


def concat_elu(x: Tensor) -> Tensor:
    """elu(x) and elu(-x): C channels -> 2C."""
    return F.elu(torch.cat([x, -x], dim=channel_dim(x)))


class DownBlock(nn.Module):
    """A block of the stream that sees the rows above: C channels -> C.

    Args:
      shortcut: whether it reads the map of a block before it.
    """

    def __init__(self, channels: int, shortcut: bool, dropout: float):
        super().__init__()
        self.conv1 = RowsAbove(2 * channels, channels, rows=2, side=1)
        self.shortcut = Pointwise(2 * channels, channels) if shortcut else None
        self.dropout = nn.Dropout(dropout)
        self.conv2 = RowsAbove(2 * channels, 2 * channels, rows=2, side=1)

    def forward(self, x: Tensor, condition: Tensor, shortcut: Tensor | None, cache: Cache | None) -> Tensor:
        y = self.conv1(concat_elu(x), cache)
        if shortcut is not None:
            y = y + self.shortcut(concat_elu(shortcut))
        y = self.conv2(self.dropout(concat_elu(y)), cache, condition)
        return x + F.glu(y, dim=channel_dim(y))


class RightBlock(nn.Module):
    """A block of the stream that also sees the pixels to the left: C channels -> C."""

    def __init__(self, channels: int, shortcut: bool, dropout: float):
        super().__init__()
        self.conv1 = CausalConv(2 * channels, channels, above=1, left=1)
        self.link = Pointwise(2 * channels, channels, bias=False)
        self.shortcut = Pointwise(2 * channels, channels) if shortcut else None
        self.dropout = nn.Dropout(dropout)
        self.conv2 = CausalConv(2 * channels, 2 * channels, above=1, left=1)

    def forward(self, x: Tensor, given: list[Tensor], shortcut: Tensor | None, cache: Cache | None) -> Tensor:
        y = self.conv1(concat_elu(x), cache, given[0])
        if shortcut is not None:
            y = y + self.shortcut(concat_elu(shortcut))
        y = self.conv2(self.dropout(concat_elu(y)), cache, given[1])
        return x + F.glu(y, dim=channel_dim(y))


class Pair(nn.Module):
    """A block of each stream and their conditions."""

    def __init__(self, channels: int, shortcut: bool, tower_channels: int, caption_channels: int, dropout: float):
        super().__init__()
        self.down = DownBlock(channels, shortcut, dropout)
        self.right = RightBlock(channels, shortcut, dropout)
        self.down_condition = Condition(tower_channels, caption_channels, 2 * channels)
        self.right_condition = Condition(tower_channels, caption_channels, 2 * channels)

    def go_down(self, x: Tensor, context: Context, shortcut: Tensor | None, given: list, cache) -> Tensor:
        """The block of the first stream; what that of the second is given is appended to `given`."""
        x = self.down(x, self.down_condition(context), shortcut, cache)
        given.append([self.right.link(concat_elu(x)), self.right_condition(context)])
        return x


class PixelCNNppStack(Stack):
    """See the module; `channels` features, `dropout` in every block."""

    def __init__(
        self,
        canvas: Canvas,
        size: str,
        tower_channels: int,
        caption_channels: int,
        width: int | None = None,
        dropout: float = 0.0,
        **_,
    ):
        super().__init__(canvas)
        self.channels = channels = width or SIZES[size]["channels"]
        blocks = SIZES[size]["blocks"]
        self.first_down = RowsAbove(4, channels, rows=2, side=2)
        self.first_right = CausalConv(4, channels, above=1, left=1)
        self.position = Position(canvas, channels)
        self.row_above = RowsAbove(4, channels, rows=1, side=canvas.columns - 1, bias=False)
        self.row_so_far = CausalConv(4, channels, above=0, left=canvas.columns - 1, bias=False)

        def pairs(shortcut: bool) -> nn.ModuleList:
            return nn.ModuleList(
                nn.ModuleList(
                    Pair(channels, shortcut, tower_channels, caption_channels, dropout) for _ in range(blocks)
                )
                for _ in range(LEVELS)
            )

        self.before, self.after = pairs(shortcut=False), pairs(shortcut=True)
        self.halve_down = nn.ModuleList(
            RowsAbove(channels, channels, rows=2, side=1, stride=2) for _ in range(LEVELS - 1)
        )
        self.halve_right = nn.ModuleList(
            CausalConv(channels, channels, above=1, left=1, stride=2) for _ in range(LEVELS - 1)
        )
        self.double_down = nn.ModuleList(Upsample(channels, channels) for _ in range(LEVELS - 1))
        self.double_right = nn.ModuleList(Upsample(channels, channels) for _ in range(LEVELS - 1))

    def down(self, x: Tensor, context: Context, cache: Cache | None = None) -> list:
        x = self.first_down(x, cache, self.row_above(x, cache)) + self.position(cache)
        given: list = [x]
        self._down(0, x, context, given, cache)
        return given

    def _down(self, level: int, x: Tensor, context: Context, given: list, cache: Cache | None) -> Tensor:
        """The first stream from one resolution on, there and back; appends to `given` in the order of `_right`."""
        shortcuts = []
        for pair in self.before[level]:
            x = pair.go_down(x, context, None, given, cache)
            shortcuts.append(x)
        if level + 1 < LEVELS:
            y = self.halve_down[level](x, cache)
            inner: list = []
            if y is not None:
                y = self._down(level + 1, y, _halved(context, cache), inner, cache and cache.half)
            given.append(inner)
            x = self.double_down[level](y, x, cache)
        for pair in self.after[level]:
            x = pair.go_down(x, context, shortcuts.pop(), given, cache)
        return x

    def right(self, x: Tensor, own: Tensor, given: list, cache: Cache | None = None) -> Tensor:
        x = self.first_right(x, cache, given[0]) + self.row_so_far(x, cache)
        return F.elu(self._right(0, x, iter(given[1:]), cache))

    def _right(self, level: int, x: Tensor, given, cache: Cache | None) -> Tensor:
        shortcuts = []
        for pair in self.before[level]:
            x = pair.right(x, next(given), None, cache)
            shortcuts.append(x)
        if level + 1 < LEVELS:
            y = self.halve_right[level](x, cache)
            inner = next(given)
            if y is not None:
                y = self._right(level + 1, y, iter(inner), cache and cache.half)
            x = self.double_right[level](y, x, cache)
        for pair in self.after[level]:
            x = pair.right(x, next(given), shortcuts.pop(), cache)
        return x


def _halved(context: Context, cache: Cache | None) -> Context:
    """The context of the map of half the resolution: that of every second pixel."""
    tower = context.tower[:, :, ::2, ::2] if cache is None else context.tower[::2]
    return Context(tower, context.caption, context.border)
