"""PixelCNN [1]: a 7x7 convolution with mask A, then residual blocks of 1x1, 3x3 with mask B, 1x1; one stack.

Its receptive field grows row by row to the right only as far as the kernels reach, which leaves the blind spot that
Gated PixelCNN removed. With `color_conditioning` channels come in three groups, and the masks let a pixel's green see
its red, its blue both; layer norms then stay within a group, or they would carry green's sight of red back to red.
Departs from [1] as listed in PixelCNNStack.DEPARTS: dilated kernels, so that eight blocks see all of a 32 x 32 hole but
the blind spot, and others; every block is conditioned on the border tower's map and, with captions in all layers, on
the caption's summary.

[1] van den Oord, Kalchbrenner, Kavukcuoglu 2016, arXiv:1601.06759
"""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from models.canvas import Canvas
from models.departures import MASK_AS_INPUT, POSITION, SILU_HEAD, TOWER, Departure
from models.layers.maps import (
    CausalConv,
    Condition,
    Context,
    ContextChannels,
    Conv1x1,
    VerticalConv,
    dilation_of,
)
from models.layers.masked import Reach, reach_of
from models.layers.modules import module_list
from models.layers.norm import PixelNorm
from models.layers.position import position_of
from models.stacks.base import Stack
from models.stacks.families import decoder


@dataclass(frozen=True)
class Options:
    width: int  # 2h
    blocks: int
    layer_norm: bool = True
    residual_connections: bool = True
    skip_connections: bool = True
    color_conditioning: bool = True
    dilation: bool = True
    kernel_size: int = 3
    bottleneck: bool = True
    position: bool = True


class Block(nn.Module):
    """x + 1x1(relu(3x3(relu(1x1(relu(norm(x))))))), 2h -> h -> h -> 2h, mask B: (B, 2h, H, W) -> the same shape.

    Without `bottleneck` the one convolution alone, 2h -> 2h; without `residual_connections` nothing is added to x.
    """

    def __init__(self, context: ContextChannels, options: Options, dilation: int):
        super().__init__()
        channels = options.width
        inner = channels // 2 if options.bottleneck else channels
        mask_type = "B" if options.color_conditioning else None
        self.residual = options.residual_connections
        self.norm = PixelNorm(channels, 3 if mask_type else 1) if options.layer_norm else nn.Identity()
        self.reduce = Conv1x1(channels, inner, mask_type=mask_type) if options.bottleneck else None
        self.spatial = CausalConv(inner, inner, reach_of(options.kernel_size), mask_type=mask_type, dilation=dilation)
        self.condition = Condition(context, inner)
        self.expand = Conv1x1(inner, channels, mask_type=mask_type) if options.bottleneck else None

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        y = F.relu(self.norm(x))
        if self.reduce is not None:
            y = F.relu(self.reduce(y))  # (B, h, H, W)
        y = self.spatial(y, condition)
        if self.expand is not None:
            y = self.expand(F.relu(y))  # (B, 2h, H, W)
        return x + y if self.residual else y


@decoder("pixelcnn")
class PixelCNNStack(Stack):
    """See the module; `width` features, in color groups with `color_conditioning`."""

    SIZES = {
        "xs": Options(width=24, blocks=3),
        "s": Options(width=96, blocks=8),
        "m": Options(width=192, blocks=12),
        "l": Options(width=264, blocks=15),
    }
    PAPER = "1601.06759"
    DEPARTS = (
        Departure("kernels of successive blocks are dilated", {"dilation": False}),
        Departure("layer norm in each block", {"layer_norm": False}),
        Departure("skip connections from every block", {"skip_connections": False}),
        TOWER,
        POSITION,
        SILU_HEAD,
        MASK_AS_INPUT,
    )
    can_group = True
    cone = True

    def __init__(self, canvas: Canvas, context: ContextChannels, options: Options):
        super().__init__(canvas)
        self.channels = channels = options.width
        self.grouped = options.color_conditioning
        mask_type = "B" if self.grouped else None
        self.above = VerticalConv(4, channels, rows=3, side=3)
        self.position = position_of(canvas, channels, options.position)
        self.left = CausalConv(4, channels, Reach(above=0, left=2), bias=False)
        self.own = Conv1x1(3, channels, bias=False, mask_type="A") if self.grouped else None
        self.blocks = module_list(
            Block(context, options, dilation_of(i) if options.dilation else 1) for i in range(options.blocks)
        )
        self.skips = module_list(
            Conv1x1(channels, channels, mask_type=mask_type) for _ in self.blocks if options.skip_connections
        )

    def vertical(self, above: Tensor, context: Context) -> list[Tensor]:
        return [self.position(self.above(above)), *(block.condition(context) for block in self.blocks)]

    def horizontal(self, left: Tensor, pixel: Tensor, from_above: list[Tensor]) -> Tensor:
        y = self.left(left, from_above[0])  # (B, 2h, H, W)
        if self.own is not None:
            y = y + self.own(pixel)
        out = None
        for i, (block, condition) in enumerate(zip(self.blocks, from_above[1:], strict=True)):
            y = block(y, condition)
            if self.skips:
                skip = self.skips[i](y)
                out = skip if out is None else out + skip
        return F.relu(y if out is None else out)
