"""PixelSNAIL [1]: blocks of causal gated convolutions, each followed by attention over everything so far.

A pixel attends to every pixel drawn before it and to patches of the whole border, which are known from the start.
Departs from [1]: attention to the border, and to a learned null key; each block is conditioned on the border tower's
map (and the caption's vector).

[1] Chen, Mishra, Rohaninejad, Abbeel 2018, arXiv:1712.09763
"""

from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from models.canvas import Canvas
from models.layers.attention import CausalAttention
from models.layers.maps import (
    CausalConv,
    Concat,
    ConcatELU,
    Condition,
    Context,
    ContextChannels,
    Conv1x1,
    VerticalConv,
)
from models.layers.masked import Reach
from models.layers.modules import module_list
from models.layers.position import position_of
from models.stacks.base import Stack
from models.stacks.families import decoder


@dataclass(frozen=True)
class Options:
    channels: int
    attentions: int  # blocks
    convolutions: int  # in each block
    heads: int
    dropout: float = 0.0
    position: bool = True


class GatedBlock(nn.Module):
    """x + glu of two causal 3x3 convolutions with concatenated ELUs: C channels -> C."""

    def __init__(self, context: ContextChannels, options: Options):
        super().__init__()
        channels = options.channels
        self.conv1 = CausalConv(2 * channels, channels, Reach(above=1, left=1, right=1))
        self.dropout = nn.Dropout(options.dropout)
        self.conv2 = CausalConv(2 * channels, 2 * channels, Reach(above=1, left=1, right=1))
        self.condition = Condition(context, 2 * channels)
        self.elu, self.glu = ConcatELU(), nn.GLU(dim=1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        y = self.conv1(self.elu(x))
        y = self.conv2(self.dropout(self.elu(y)), condition)
        return x + self.glu(y)


class Block(nn.Module):
    """Convolutions, attention, and a gated 1x1 layer that joins the two."""

    def __init__(self, canvas: Canvas, context: ContextChannels, options: Options):
        super().__init__()
        channels = options.channels
        self.convolutions = module_list(GatedBlock(context, options) for _ in range(options.convolutions))
        self.attention = CausalAttention(canvas, channels, options.heads)
        self.join = Conv1x1(2 * channels, 2 * channels)
        self.concat, self.glu = Concat(), nn.GLU(dim=1)

    def go_down(self, context: Context) -> list[Any]:
        return [*(block.condition(context) for block in self.convolutions), self.attention.of_border(context.border)]

    def forward(self, x: Tensor, pixel: Tensor, from_above: list[Any]) -> Tensor:
        for block, condition in zip(self.convolutions, from_above[:-1], strict=True):
            x = block(x, condition)
        y = self.attention(x, pixel, from_above[-1])
        return x + self.glu(self.join(F.elu(self.concat(x, y))))


@decoder("pixelsnail")
class PixelSNAILStack(Stack):
    """See the module; `channels` features, `dropout` in every block."""

    SIZES = {
        "xs": Options(channels=16, attentions=1, convolutions=1, heads=2),
        "s": Options(channels=48, attentions=3, convolutions=2, heads=3),
        "m": Options(channels=96, attentions=6, convolutions=3, heads=4),
        "l": Options(channels=160, attentions=10, convolutions=4, heads=8),
    }

    def __init__(self, canvas: Canvas, context: ContextChannels, options: Options):
        super().__init__(canvas)
        self.channels = channels = options.channels
        self.above = VerticalConv(4, channels, rows=3, side=3)
        self.position = position_of(canvas, channels, options.position)
        self.left = CausalConv(4, channels, Reach(above=0, left=2), bias=False)
        self.blocks = module_list(Block(canvas, context, options) for _ in range(options.attentions))

    def vertical(self, above: Tensor, context: Context) -> list[Any]:
        return [self.position(self.above(above)), *(block.go_down(context) for block in self.blocks)]

    def horizontal(self, left: Tensor, pixel: Tensor, from_above: list[Any]) -> Tensor:
        y = self.left(left, from_above[0])
        for block, part in zip(self.blocks, from_above[1:], strict=True):
            y = block(y, pixel, part)
        return F.elu(y)
