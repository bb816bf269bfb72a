"""The last layers: two 1x1 layers, into which the caption map enters, and the likelihood's params.

In `ColorHead` a pixel's green sees its red, and its blue sees both: its channels are in three groups, masked as in
PixelCNN [1]. If the stack's features are grouped as well, they carry these colors; if not, the pixel's colors enter
here, as sines of several periods, so that near levels can be told apart [2]. head_steps.py has the twins.

[1] van den Oord et al. 2016, arXiv:1601.06759   [2] Mildenhall et al. 2020, arXiv:2003.08934
"""

import math
from typing import cast

import torch
from torch import Tensor, nn

from models.layers.maps import Conv1x1
from models.layers.modules import xavier_
from models.likelihoods.base import Likelihood

PERIODS = 6  # of the sines, each half the one before


class Head(nn.Module):
    """Features of border tower and stack, and the caption map -> the likelihood's params.

    Args:
      channels: C, of the border tower's features.
      width: channels of the two layers.
      with_map: whether there is a caption map.
      activation: after each of the two layers.
      stack_channels: S, of the stack's features; 0 without a stack.
      relative: whether the params are relative to predictions from known pixels (predictors.py).

    Attributes:
      by_color: whether the params of G depend on the pixel's R, and those of B on its R and G.
    """

    by_color = False

    def __init__(
        self,
        channels: int,
        width: int,
        likelihood: Likelihood,
        with_map: bool,
        activation: type[nn.Module],
        stack_channels: int = 0,
        relative: bool = False,
    ):
        super().__init__()
        first, second = self.two_layers(channels + with_map, width)
        self.layers = nn.Sequential(first, activation(), second, activation())
        self.stack = self.stack_layer(stack_channels, width) if stack_channels else None
        self.out = self.out_layer(width, likelihood.params_per_pixel)
        for layer in (first, second, self.out):
            xavier_(layer.weight, layer.bias)
        with torch.no_grad():
            self.out.bias.copy_(likelihood.initial_bias(relative))  # type: ignore[union-attr]

    def two_layers(self, inputs: int, width: int) -> tuple[Conv1x1, Conv1x1]:
        return Conv1x1(inputs, width), Conv1x1(width, width)

    @property
    def second(self) -> Conv1x1:
        """The second layer."""
        return cast(Conv1x1, self.layers[2])

    def stack_layer(self, inputs: int, width: int) -> Conv1x1:
        return Conv1x1(inputs, width, bias=False)

    def out_layer(self, width: int, params: int) -> nn.Conv2d:
        return Conv1x1(width, params)

    def first(self, features: Tensor, caption_map: Tensor | None) -> Tensor:
        """The first layer without the stack's part: features (B, C, h, w) and the caption map (B, 1, h, w) -> (B,
        width, h, w)."""
        if caption_map is not None:
            features = torch.cat([features, caption_map.to(features.dtype)], dim=1)  # (B, C + 1, h, w)
        return self.layers[0](features)

    def forward(self, first: Tensor, stack: Tensor | None = None, pixels: Tensor | None = None) -> Tensor:
        """The likelihood's params (B, P, h, w).

        Args:
          first: from the method `first`.
          stack: the stack's features, (B, S, h, w).
          pixels: the center, (B, 3, h, w) in -1..1; `ColorHead` reads it.
        """
        if self.stack is not None:
            first = first + self.stack(stack)
        return self.rest(first)

    def rest(self, first: Tensor) -> Tensor:
        """The rest of the head: (B, width, h, w), before the activation -> (B, P, h, w)."""
        activation = self.layers[1]
        return self.out(activation(self.second(activation(first))))


class ColorHead(Head):
    """A head with a third of its channels for each color; G's third also reads R, and B's reads R and G.

    Args: those of `Head`, `width` for each color, and
      grouped: whether the stack's features come in color groups.
    """

    by_color = True

    def __init__(
        self,
        channels: int,
        width: int,
        likelihood: Likelihood,
        with_map: bool,
        activation: type[nn.Module],
        stack_channels: int,
        relative: bool,
        grouped: bool,
    ):
        self.grouped = grouped
        super().__init__(channels, width, likelihood, with_map, activation, stack_channels, relative)
        inputs = 3 * (2 * PERIODS + 1)
        self.own = None if grouped else Conv1x1(inputs, 3 * width, bias=False, mask_type="A")

    def two_layers(self, inputs: int, width: int) -> tuple[Conv1x1, Conv1x1]:
        return Conv1x1(inputs, 3 * width), Conv1x1(3 * width, 3 * width, mask_type="B")

    def stack_layer(self, inputs: int, width: int) -> Conv1x1:
        return Conv1x1(inputs, 3 * width, bias=False, mask_type="B" if self.grouped else None)

    def out_layer(self, width: int, params: int) -> nn.Conv2d:
        return nn.Conv2d(3 * width, params, 1, groups=3)

    def forward(self, first: Tensor, stack: Tensor | None = None, pixels: Tensor | None = None) -> Tensor:
        if self.stack is not None:
            first = first + self.stack(stack)
        if self.own is not None and pixels is not None:
            first = first + self.own(waves(pixels).to(first.dtype))
        return self.rest(first)


def waves(colors: Tensor) -> Tensor:
    """Each color, its sines and its cosines: (B, 3, ...) in -1..1 -> (B, 3 (2 PERIODS + 1), ...), color by color."""
    scale = math.pi / 2 * 2.0 ** torch.arange(PERIODS, device=colors.device, dtype=colors.dtype)
    angles = colors.unsqueeze(2) * scale.reshape(-1, *(1 for _ in colors.shape[2:]))  # (B, 3, PERIODS, ...)
    return torch.cat([colors.unsqueeze(2), angles.sin(), angles.cos()], dim=2).flatten(1, 2)
