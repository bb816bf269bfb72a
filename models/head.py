"""The last layers: two 1x1 layers, into which the caption map enters, and what the likelihood reads.

`given` is what they have of the border and the caption, for the whole hole at once; `forward` adds what the stack has
of the pixels so far. `ColourHead` also lets a pixel's green see its red, and its blue both: its channels are in three
groups, masked as in PixelCNN [1]. Groups that come from the stack carry that sight already; where the stack has none,
the pixel's own colours enter here, as sines of several periods, so that two near levels can be told apart [2].

[1] van den Oord et al. 2016, arXiv:1601.06759   [2] Mildenhall et al. 2020, arXiv:2003.08934
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.causal import Pointwise
from models.likelihoods import Likelihood

PERIODS = 6  # of the sines, each half the one before


class Head(nn.Module):
    """Features (B, C, h, w), caption map (B, 1, h, w) or None, a stack's features or none -> params (B, P, h, w).

    Args:
      channels: C, of the border tower.
      width: of the two layers.
      likelihood: whose params come out.
      with_map: whether there is a caption map.
      activation: after each layer.
      stack_channels: of the stack's features; 0 for no stack.
      anchored: whether the params start from known pixels (anchor.py).

    Attributes:
      by_colour: whether the params of G depend on the pixel's R, and those of B on its R and G.
    """

    by_colour = False

    def __init__(
        self,
        channels: int,
        width: int,
        likelihood: Likelihood,
        with_map: bool,
        activation: type[nn.Module],
        stack_channels: int = 0,
        anchored: bool = False,
    ):
        super().__init__()
        self.layers = self._layers(channels + with_map, width, activation)
        self.stack = self._first(stack_channels, width) if stack_channels else None
        self.out = self._out(width, likelihood.params_per_pixel)
        for layer in (self.layers[0], self.layers[2], self.out):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        with torch.no_grad():
            self.out.bias.copy_(likelihood.initial_bias(anchored))

    def _layers(self, inputs: int, width: int, activation: type[nn.Module]) -> nn.Sequential:
        return nn.Sequential(Pointwise(inputs, width), activation(), Pointwise(width, width), activation())

    def _first(self, inputs: int, width: int) -> nn.Module:
        return Pointwise(inputs, width, bias=False)

    def _out(self, width: int, params: int) -> nn.Module:
        return Pointwise(width, params)

    def given(self, features: Tensor, caption_map: Tensor | None) -> Tensor:
        """(B, width, h, w): the first layer's part of what is known before the first pixel is drawn."""
        if caption_map is not None:
            features = torch.cat([features, caption_map.to(features.dtype)], dim=1)  # (B, C + 1, h, w)
        return self.layers[0](features)

    def first(self, given: Tensor, stack: Tensor | None = None) -> Tensor:
        """The first layer, before its activation: (B, width, h, w), or (B, width) of one pixel."""
        return given if stack is None else given + self.stack(stack)

    def rest(self, y: Tensor, own: Tensor | None = None, channel: int | None = None) -> Tensor:
        """From there to the params (B, P, h, w), or (B, P) of one pixel; `own` and `channel` are for `ColourHead`."""
        _, activation, second, _ = self.layers
        return self.out(activation(second(activation(y))))

    def forward(self, given: Tensor, stack: Tensor | None = None, own: Tensor | None = None) -> Tensor:
        """`own` (B, 3, h, w) in -1..1, the pixels themselves, is for `ColourHead`."""
        return self.rest(self.first(given, stack), own)


class ColourHead(Head):
    """A head of three times the width, a third for each colour, of which G's has seen R and B's R and G.

    Args:
      arguments: those of `Head`, all of them.
      grouped: whether the stack's features come in colour groups themselves.
    """

    by_colour = True

    def __init__(self, *arguments, grouped: bool):
        self.grouped = grouped
        super().__init__(*arguments)
        width = self.layers[2].in_channels
        self.own = None if grouped else Pointwise(3 * (2 * PERIODS + 1), width, bias=False, mask_type="A")

    def _layers(self, inputs: int, width: int, activation: type[nn.Module]) -> nn.Sequential:
        second = Pointwise(3 * width, 3 * width, mask_type="B")
        return nn.Sequential(Pointwise(inputs, 3 * width), activation(), second, activation())

    def _first(self, inputs: int, width: int) -> nn.Module:
        return Pointwise(inputs, 3 * width, bias=False, mask_type="B" if self.grouped else None)

    def _out(self, width: int, params: int) -> nn.Module:
        return nn.Conv2d(3 * width, params, 1, groups=3)

    def rest(self, y: Tensor, own: Tensor | None = None, channel: int | None = None) -> Tensor:
        """With `channel`, which is for one pixel, the params of that colour alone: (B, P / 3)."""
        if self.own is not None:
            y = y + self.own(waves(own).to(y.dtype))
        if channel is None:
            return super().rest(y)
        _, activation, second, _ = self.layers
        width, params = y.shape[1] // 3, self.out.out_channels // 3
        mine, seen = slice(channel * width, (channel + 1) * width), (channel + 1) * width
        y = F.linear(activation(y[:, :seen]), second.kernel()[mine, :seen, 0, 0], second.bias[mine])
        mine = slice(channel * params, (channel + 1) * params)
        return F.linear(activation(y), self.out.weight[mine, :, 0, 0], self.out.bias[mine])


def waves(colours: Tensor) -> Tensor:
    """(B, 3, ...) in -1..1 -> (B, 3 (2 PERIODS + 1), ...): each, and its sines and cosines, colour by colour."""
    scale = math.pi / 2 * 2.0 ** torch.arange(PERIODS, device=colours.device, dtype=colours.dtype)
    angles = colours.unsqueeze(2) * scale.reshape(-1, *[1] * (colours.dim() - 2))  # (B, 3, PERIODS, ...)
    return torch.cat([colours.unsqueeze(2), angles.sin(), angles.cos()], dim=2).flatten(1, 2)
