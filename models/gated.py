"""Gated PixelCNN [1]: a vertical stack over the rows above, a horizontal one along the row, gated units, no blind spot.

Every layer of both is conditioned on the border tower's map and, with captions in all layers, on the caption's vector.
Departs from [1]: kernels of successive layers are dilated (`dilation`), so that eight layers see all of a 32 x 32 hole;
the vertical stack is residual too, as in PixelCNN++; colours are conditioned in the head, not by channel groups
throughout.

[1] van den Oord et al. 2016, arXiv:1606.05328
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.causal import Cache, CausalConv, Pointwise, RowsAbove, channel_dim, dilation_of
from models.stack import Canvas, Condition, Context, Position, Stack

SIZES = {
    "xs": {"channels": 32, "layers": 3},
    "s": {"channels": 64, "layers": 8},
    "m": {"channels": 96, "layers": 12},
    "l": {"channels": 128, "layers": 16},
}


def gate(x: Tensor) -> Tensor:
    """tanh(a) sigmoid(b) of the two halves of the channels: 2C of them -> C."""
    a, b = x.chunk(2, dim=channel_dim(x))
    if a.requires_grad or a.dim() == 2:
        return torch.tanh(a) * torch.sigmoid(b)
    return (2 * torch.sigmoid(2 * a) - 1) * torch.sigmoid(b)  # of a map, a third of torch.tanh's time on a CPU


class GatedLayer(nn.Module):
    """One layer of both stacks, kernel 3: the vertical one's map and the horizontal one's, of C channels each."""

    def __init__(self, channels: int, tower_channels: int, caption_channels: int, dilation: int):
        super().__init__()
        self.vertical = RowsAbove(channels, 2 * channels, rows=2, side=1, dilation=dilation)
        self.vertical_condition = Condition(tower_channels, caption_channels, 2 * channels)
        self.link = Pointwise(2 * channels, 2 * channels)
        self.horizontal = CausalConv(channels, 2 * channels, above=0, left=1, bias=False, dilation=dilation)
        self.horizontal_condition = Condition(tower_channels, caption_channels, 2 * channels)
        self.out = Pointwise(channels, channels)

    def down(self, v: Tensor, context: Context, cache: Cache | None) -> tuple[Tensor, Tensor]:
        """The vertical map, and what the horizontal convolution is given: of C and of 2C channels."""
        y = self.vertical(v, cache, self.vertical_condition(context))  # of 2C
        return v + gate(y), self.link(y) + self.horizontal_condition(context)

    def right(self, h: Tensor, given: Tensor, cache: Cache | None) -> Tensor:
        return h + self.out(gate(self.horizontal(h, cache, given)))


class GatedStack(Stack):
    """See the module; `channels` features.

    Args:
      width: how many features; None for the size's.
      blocks: how many layers; None for the size's.
      dilation: whether kernels of successive layers spread 1, 2, 4 and 8 pixels; without, all are of 3.
    """

    looks_up = False  # the vertical stack does it for all

    def __init__(
        self,
        canvas: Canvas,
        size: str,
        tower_channels: int,
        caption_channels: int,
        width: int | None = None,
        blocks: int | None = None,
        dilation: bool = True,
        **_,
    ):
        super().__init__(canvas)
        channels, layers = width or SIZES[size]["channels"], blocks or SIZES[size]["layers"]
        self.channels = channels
        self.first_vertical = RowsAbove(4, channels, rows=3, side=3)
        self.first_horizontal = CausalConv(4, channels, above=0, left=2)
        self.position = Position(canvas, channels)
        self.link = Pointwise(channels, channels)
        self.layers = nn.ModuleList(
            GatedLayer(channels, tower_channels, caption_channels, dilation_of(i) if dilation else 1)
            for i in range(layers)
        )

    def down(self, x: Tensor, context: Context, cache: Cache | None = None) -> list[Tensor]:
        v = self.first_vertical(x, cache) + self.position(cache)  # (B, C, H, W)
        given = [self.link(v)]
        for layer in self.layers:
            v, link = layer.down(v, context, cache)
            given.append(link)
        return given

    def right(self, x: Tensor, own: Tensor, given: list[Tensor], cache: Cache | None = None) -> Tensor:
        h = self.first_horizontal(x, cache, given[0])
        for layer, link in zip(self.layers, given[1:], strict=True):
            h = layer.right(h, link, cache)
        return F.silu(h)
