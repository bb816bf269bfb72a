"""Gated PixelCNN [1]: a vertical stack over the rows above, a horizontal one along the row, gated units, no blind spot.

Every layer of both is conditioned on the border tower's map and, with captions in all layers, on the caption's summary.
Departs from [1] as listed in GatedStack.DEPARTS: dilated kernels, so that eight layers see all of a 32 x 32 hole, and
others.

[1] van den Oord et al. 2016, arXiv:1606.05328
"""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from models.canvas import Canvas
from models.departures import COLORS_BY_HEAD, MASK_AS_INPUT, POSITION, SILU_HEAD, TOWER, Departure
from models.layers.maps import (
    CausalConv,
    Condition,
    Context,
    ContextChannels,
    Conv1x1,
    Gate,
    VerticalConv,
    dilation_of,
)
from models.layers.masked import Reach
from models.layers.modules import module_list
from models.layers.position import position_of
from models.stacks.base import Stack
from models.stacks.families import decoder


@dataclass(frozen=True)
class Options:
    width: int
    blocks: int  # layers
    dilation: bool = True
    kernel_size: int = 3
    position: bool = True


class GatedLayer(nn.Module):
    """One layer of both stacks: the vertical one's map and the horizontal one's, of C channels each."""

    def __init__(self, context: ContextChannels, options: Options, dilation: int):
        super().__init__()
        channels, half = options.width, options.kernel_size // 2
        self.vertical = VerticalConv(channels, 2 * channels, rows=half + 1, side=half, dilation=dilation)
        self.vertical_condition = Condition(context, 2 * channels)
        self.link = Conv1x1(2 * channels, 2 * channels)
        self.horizontal = CausalConv(channels, 2 * channels, Reach(above=0, left=half), bias=False, dilation=dilation)
        self.horizontal_condition = Condition(context, 2 * channels)
        self.out = Conv1x1(channels, channels)
        self.gate = Gate()

    def go_down(self, v: Tensor, context: Context) -> tuple[Tensor, Tensor]:
        """The vertical map (B, C, H, W), and what the horizontal convolution reads of it (B, 2C, H, W)."""
        y = self.vertical(v, self.vertical_condition(context))  # (B, 2C, H, W)
        link, condition = self.link(y), self.horizontal_condition(context)
        return v + self.gate(y), link if condition is None else link + condition

    def go_right(self, h: Tensor, from_above: Tensor) -> Tensor:
        return h + self.out(self.gate(self.horizontal(h, from_above)))


@decoder("gated")
class GatedStack(Stack):
    """See the module; `width` features."""

    SIZES = {
        "xs": Options(width=32, blocks=3),
        "s": Options(width=64, blocks=8),
        "m": Options(width=96, blocks=12),
        "l": Options(width=128, blocks=16),
    }
    PAPER = "1606.05328"
    DEPARTS = (
        Departure("kernels of successive layers are dilated", {"dilation": False}),
        Departure("the vertical stack is residual, too, as in PixelCNN++"),
        COLORS_BY_HEAD,
        Departure("the stack's output passes a SiLU, there a ReLU"),
        TOWER,
        POSITION,
        SILU_HEAD,
        MASK_AS_INPUT,
    )
    horizontal_reads_rows = False  # only the vertical stack does

    def __init__(self, canvas: Canvas, context: ContextChannels, options: Options):
        super().__init__(canvas)
        self.channels = channels = options.width
        self.first_vertical = VerticalConv(4, channels, rows=3, side=3)
        self.first_horizontal = CausalConv(4, channels, Reach(above=0, left=2))
        self.position = position_of(canvas, channels, options.position)
        self.link = Conv1x1(channels, channels)
        if options.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd in gated, not {options.kernel_size}")
        self.layers = module_list(
            GatedLayer(context, options, dilation_of(i) if options.dilation else 1) for i in range(options.blocks)
        )

    def vertical(self, above: Tensor, context: Context) -> list[Tensor]:
        v = self.position(self.first_vertical(above))  # (B, C, H, W)
        from_above = [self.link(v)]
        for layer in self.layers:
            v, link = layer.go_down(v, context)
            from_above.append(link)
        return from_above

    def horizontal(self, left: Tensor, pixel: Tensor, from_above: list[Tensor]) -> Tensor:
        h = self.first_horizontal(left, from_above[0])  # (B, C, H, W)
        for layer, link in zip(self.layers, from_above[1:], strict=True):
            h = layer.go_right(h, link)
        return F.silu(h)
