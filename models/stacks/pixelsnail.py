"""PixelSNAIL [1]: blocks of causal gated convolutions, each followed by attention over everything so far.

A pixel attends to every pixel drawn before it and to patches of the whole border, which are known from the start.
Departs from [1] as listed in PixelSNAILStack.DEPARTS; each block is conditioned on the border tower's map (and the
caption's summary).

[1] Chen, Mishra, Rohaninejad, Abbeel 2018, arXiv:1712.09763
"""

import math
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from models.canvas import Canvas
from models.departures import NO_WEIGHT_NORM, POSITION, TOWER, Departure
from models.layers.attention import ATTENTIONS, CausalAttention, Gated1x1, GatedAttention
from models.layers.maps import (
    GLU,
    CausalConv,
    Concat,
    Condition,
    Context,
    ContextChannels,
    Conv1x1,
    VerticalConv,
    elu_of,
)
from models.layers.masked import Reach, reach_of
from models.layers.modules import module_list
from models.layers.position import position_of
from models.stacks.base import Stack
from models.stacks.families import decoder


@dataclass(frozen=True)
class Options:
    width: int
    blocks: int
    convolutions: int  # in each block
    heads: int  # at most; as many as divide the channels
    dropout: float = 0.0
    position: bool = True
    kernel_size: int = 3
    attention: str = "heads"
    concat_elu: bool = True


class GatedBlock(nn.Module):
    """x + glu of two causal convolutions, 3x3 and with concatenated ELUs unless options say otherwise: C channels ->
    C."""

    def __init__(self, context: ContextChannels, options: Options):
        super().__init__()
        channels, reach = options.width, reach_of(options.kernel_size)
        self.elu, times = elu_of(options.concat_elu)
        self.conv1 = CausalConv(times * channels, channels, reach)
        self.dropout = nn.Dropout(options.dropout)
        self.conv2 = CausalConv(times * channels, 2 * channels, reach)
        self.condition = Condition(context, 2 * channels)
        self.glu = GLU()

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        y = self.conv1(self.elu(x))
        y = self.conv2(self.dropout(self.elu(y)), condition)
        return x + self.glu(y)


class Block(nn.Module):
    """Convolutions, attention, and a gated 1x1 layer that joins the two."""

    attention: CausalAttention | GatedAttention

    def __init__(self, canvas: Canvas, context: ContextChannels, options: Options):
        super().__init__()
        self.convolutions = module_list(GatedBlock(context, options) for _ in range(options.convolutions))
        self.attend(canvas, options)

    def attend(self, canvas: Canvas, options: Options) -> None:
        """Make the attention and what joins it."""
        channels = options.width
        self.attention = CausalAttention(canvas, channels, math.gcd(channels, options.heads))
        self.join = Conv1x1(2 * channels, 2 * channels)
        self.concat, self.glu = Concat(), GLU()

    def go_down(self, context: Context) -> list[Any]:
        return [*(block.condition(context) for block in self.convolutions), self.attention.of_border(context.border)]

    def forward(self, x: Tensor, pixel: Tensor, from_above: list[Any]) -> Tensor:
        for block, condition in zip(self.convolutions, from_above[:-1], strict=True):
            x = block(x, condition)
        return self.joined(x, self.attention(x, pixel, from_above[-1]))

    def joined(self, x: Tensor, y: Tensor) -> Tensor:
        """Features and what attention found -> features."""
        return x + self.glu(self.join(F.elu(self.concat(x, y))))


class AuthorsBlock(Block):
    """A block whose attention, and what joins it, are as in the code of [1]."""

    def attend(self, canvas: Canvas, options: Options) -> None:
        self.attention = GatedAttention(canvas, options.width, options.dropout, options.concat_elu)
        self.join_gated = Gated1x1(options.width, options.dropout, options.concat_elu, options.width // 2)

    def joined(self, x: Tensor, y: Tensor) -> Tensor:
        joined: Tensor = self.join_gated(x, y)
        return joined


BLOCKS: dict[str, type[Block]] = dict(zip(ATTENTIONS, (Block, AuthorsBlock), strict=True))


@decoder("pixelsnail")
class PixelSNAILStack(Stack):
    """See the module; `width` features, `dropout` in every block."""

    SIZES = {
        "xs": Options(width=16, blocks=1, convolutions=1, heads=2),
        "s": Options(width=48, blocks=3, convolutions=2, heads=3),
        "m": Options(width=96, blocks=6, convolutions=3, heads=4),
        "l": Options(width=160, blocks=10, convolutions=4, heads=8),
    }

    PAPER = "1712.09763"
    DEPARTS = (
        TOWER,
        POSITION,
        Departure("kernels are 2 rows of 3 columns, there 2 of 2", {"kernel_size": 2}),
        Departure("attention has several heads and learned positions, no gated blocks", {"attention": "gated"}),
        Departure("two 1x1 layers before the last, there none", {"head_layers": 0}),
        Departure("a learned null key, which the first pixel attends to"),
        Departure("ELUs are concatenated; those of the authors' run are not", {"concat_elu": False}),
        Departure("the first layer is 7x7, there 1x3 with 2x1"),
        NO_WEIGHT_NORM,
    )

    def __init__(self, canvas: Canvas, context: ContextChannels, options: Options):
        super().__init__(canvas)
        self.channels = channels = options.width
        self.above = VerticalConv(4, channels, rows=3, side=3)
        self.position = position_of(canvas, channels, options.position)
        self.left = CausalConv(4, channels, Reach(above=0, left=2), bias=False)
        self.blocks = module_list(BLOCKS[options.attention](canvas, context, options) for _ in range(options.blocks))

    def vertical(self, above: Tensor, context: Context) -> list[Any]:
        return [self.position(self.above(above)), *(block.go_down(context) for block in self.blocks)]

    def horizontal(self, left: Tensor, pixel: Tensor, from_above: list[Any]) -> Tensor:
        y = self.left(left, from_above[0])
        for block, part in zip(self.blocks, from_above[1:], strict=True):
            y = block(y, pixel, part)
        return F.elu(y)
