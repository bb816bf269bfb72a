"""PixelCNN [1]: a 7x7 convolution with mask A, then residual blocks of 1x1, 3x3 with mask B, 1x1; one stack.

Its receptive field grows row by row to the right only as far as the kernels reach, which leaves the blind spot that
Gated PixelCNN removed. With `color_conditioning` channels come in three groups, and the masks let a pixel's green see
its red, its blue both; layer norms then stay within a group, or they would carry green's sight of red back to red.
Departs from [1]: kernels of successive blocks are dilated (`dilation`), so that eight blocks see all of a 32 x 32 hole
but the blind spot; every block is conditioned on the border tower's map and, with captions in all layers, on the
caption's vector; layer norm over channels is an option.

[1] van den Oord, Kalchbrenner, Kavukcuoglu 2016, arXiv:1601.06759
"""

import torch.nn.functional as F
from torch import Tensor, nn

from models.causal import Cache, CausalConv, PixelNorm, Pointwise, RowsAbove, dilation_of
from models.stack import Canvas, Condition, Context, Position, Stack

SIZES = {
    "xs": {"channels": 24, "blocks": 3},
    "s": {"channels": 96, "blocks": 8},
    "m": {"channels": 192, "blocks": 12},
    "l": {"channels": 264, "blocks": 15},
}


class Block(nn.Module):
    """x + 1x1(relu(3x3(relu(1x1(relu(norm(x))))))), 2h -> h -> h -> 2h, mask B: (B, 2h, ...) -> the same shape."""

    def __init__(
        self,
        channels: int,
        tower_channels: int,
        caption_channels: int,
        norm: bool,
        mask_type: str | None,
        dilation: int,
    ):
        super().__init__()
        half = channels // 2
        self.norm = PixelNorm(channels, 3 if mask_type else 1) if norm else nn.Identity()
        self.reduce = Pointwise(channels, half, mask_type=mask_type)
        self.spatial = CausalConv(half, half, above=1, left=1, right=1, mask_type=mask_type, dilation=dilation)
        self.condition = Condition(tower_channels, caption_channels, half)
        self.expand = Pointwise(half, channels, mask_type=mask_type)

    def forward(self, x: Tensor, given: Tensor, cache: Cache | None) -> Tensor:
        y = self.reduce(F.relu(self.norm(x)))  # (B, h, ...)
        y = self.spatial(F.relu(y), cache, given)
        return x + self.expand(F.relu(y))


class PixelCNNStack(Stack):
    """See the module.

    Args:
      width: channels, 2h; None for the size's.
      blocks: how many; None for the size's.
      layer_norm: whether blocks begin with one.
      skip_connections: whether every block, not the last alone, gives to the output.
      color_conditioning: whether channels come in colour groups.
      dilation: whether kernels of successive blocks spread 1, 2, 4 and 8 pixels; without, all are 3x3.
    """

    def __init__(
        self,
        canvas: Canvas,
        size: str,
        tower_channels: int,
        caption_channels: int,
        width: int | None = None,
        blocks: int | None = None,
        layer_norm: bool = True,
        skip_connections: bool = True,
        color_conditioning: bool = True,
        dilation: bool = True,
        **_,
    ):
        super().__init__(canvas)
        self.channels = channels = width or SIZES[size]["channels"]
        self.grouped = color_conditioning
        mask_type = "B" if color_conditioning else None
        self.above = RowsAbove(4, channels, rows=3, side=3)
        self.position = Position(canvas, channels)
        self.left = CausalConv(4, channels, above=0, left=2, bias=False)
        self.own = Pointwise(3, channels, bias=False, mask_type="A") if color_conditioning else None
        self.blocks = nn.ModuleList(
            Block(channels, tower_channels, caption_channels, layer_norm, mask_type, dilation_of(i) if dilation else 1)
            for i in range(blocks or SIZES[size]["blocks"])
        )
        self.skips = nn.ModuleList(
            Pointwise(channels, channels, mask_type=mask_type) for _ in self.blocks if skip_connections
        )

    def down(self, x: Tensor, context: Context, cache: Cache | None = None) -> list[Tensor]:
        return [self.above(x, cache) + self.position(cache), *(block.condition(context) for block in self.blocks)]

    def right(self, x: Tensor, own: Tensor, given: list[Tensor], cache: Cache | None = None) -> Tensor:
        y = self.left(x, cache, given[0])  # (B, 2h, ...)
        if self.own is not None:
            y = y + self.own(own)
        out = None
        for i, (block, extra) in enumerate(zip(self.blocks, given[1:], strict=True)):
            y = block(y, extra, cache)
            if self.skips:
                part = self.skips[i](y)
                out = part if out is None else out + part
        return F.relu(y if out is None else out)
