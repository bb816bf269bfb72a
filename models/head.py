"""The last layers: two 1x1 layers, into which the caption map enters, and the likelihood's params.

There may be one such layer, or none: then tower, map and stack enter the params themselves. In `ColorHead` a pixel's
green sees its red, and its blue sees both: its channels are in three groups, masked as in PixelCNN [1]. If the stack's
features are grouped as well, they carry these colors; if not, the pixel's colors enter here, as sines of several
periods, so that near levels can be told apart [2]. head_steps.py has the twins.

[1] van den Oord et al. 2016, arXiv:1601.06759   [2] Mildenhall et al. 2020, arXiv:2003.08934
"""

import math
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from models.layers.maps import Conv1x1
from models.layers.modules import xavier_, zero_
from models.likelihoods.base import Likelihood

PERIODS = 6  # of the sines, each half the one before
ACTIVATIONS: dict[str, type[nn.Module]] = {"silu": nn.SiLU, "relu": nn.ReLU}
Activation = Callable[[], nn.Module]
Widths = tuple[int, ...]


class Bias(nn.Module):
    """A 1x1 layer without inputs: (B, 0, h, w) -> (B, outputs, h, w)."""

    def __init__(self, outputs: int):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return self.bias[:, None, None].expand(x.shape[0], -1, *x.shape[2:])


class Head(nn.Module):
    """Features of border tower and stack, and the caption map -> the likelihood's params.

    Args:
      channels: C, of the border tower's features.
      widths: channels of the 1x1 layers before the params: two numbers, one or none.
      maps: how many layers the caption map enters: none, the first, or both.
      activation: after each of these layers.
      stack_channels: S, of the stack's features; 0 without a stack.
      relative: whether the params are relative to predictions from known pixels (predictors.py).
      caption_channels: K, of the captions' summary that enters the first layer, too; 0 for none.

    Attributes:
      by_color: whether the params of G depend on the pixel's R, and those of B on its R and G.
      into_first: the layer that reads the tower's features: of the 1x1 layers, or the params' own.
    """

    by_color = False

    def __init__(
        self,
        channels: int,
        widths: Widths,
        likelihood: Likelihood,
        maps: int,
        activation: Activation,
        stack_channels: int = 0,
        relative: bool = False,
        caption_channels: int = 0,
    ):
        super().__init__()
        self.map_in_both = maps > 1
        params = likelihood.params_per_pixel
        hidden: list[nn.Module] = []
        if widths:
            hidden = [self.layer(channels + bool(maps), widths[0], first=True)]
        hidden += [self.layer(width + self.map_in_both, width, first=False) for width in widths[1:]]
        self.layers = nn.Sequential(*(module for layer in hidden for module in (layer, activation())))
        self.stack = self.stack_layer(stack_channels, widths[0] if widths else params) if stack_channels else None
        self.out = self.out_layer(widths[-1], params) if widths else self.layer(channels + bool(maps), params, True)
        for layer in (*hidden, self.out):
            initialize(layer)
        self.summary = None
        if caption_channels:
            self.summary = nn.Linear(caption_channels, widths[0] if widths else params, bias=False)
            zero_(self.summary)  # so that a model without captions goes on where it stood
        with torch.no_grad():
            self.out.bias.copy_(likelihood.initial_bias(relative))  # type: ignore[operator]

    def layer(self, inputs: int, width: int, first: bool) -> nn.Module:
        return Conv1x1(inputs, width) if inputs else Bias(width)

    @property
    def into_first(self) -> nn.Module:
        return self.layers[0] if len(self.layers) else self.out

    @property
    def second(self) -> Conv1x1 | None:
        """The second layer, if there is one."""
        return cast(Conv1x1, self.layers[2]) if len(self.layers) > 2 else None

    def stack_layer(self, inputs: int, width: int) -> Conv1x1:
        return Conv1x1(inputs, width, bias=False)

    def out_layer(self, width: int, params: int) -> nn.Module:
        return Conv1x1(width, params)

    def first(self, features: Tensor, caption_map: Tensor | None, summary: Tensor | None = None) -> Tensor:
        """The first layer without the stack's part: features (B, C, h, w), the caption map (B, 1, h, w) and, if it
        enters here, the captions' summary (B, K) -> (B, width, h, w)."""
        y: Tensor = self.into_first(with_map(features, caption_map))
        if self.summary is not None:
            y = y + self.summary(summary)[:, :, None, None]
        return y

    def forward(
        self,
        first: Tensor,
        stack: Tensor | None = None,
        pixels: Tensor | None = None,
        caption_map: Tensor | None = None,
    ) -> Tensor:
        """The likelihood's params (B, P, h, w).

        Args:
          first: from the method `first`.
          stack: the stack's features, (B, S, h, w).
          pixels: the center, (B, 3, h, w) in -1..1; `ColorHead` reads it.
          caption_map: (B, 1, h, w), read if it enters both layers.
        """
        if self.stack is not None:
            first = first + self.stack(stack)
        return self.rest(self.with_colors(first, pixels), caption_map)

    def with_colors(self, first: Tensor, pixels: Tensor | None) -> Tensor:
        """What enters the first layer of a pixel's own colors, added."""
        return first

    def rest(self, first: Tensor, caption_map: Tensor | None) -> Tensor:
        """The rest of the head: (B, width, h, w), before the activation -> (B, P, h, w)."""
        if not len(self.layers):
            return first
        activation, x = self.layers[1], first
        if self.second is not None:
            x = self.second(with_map(activation(x), caption_map if self.map_in_both else None))
        y: Tensor = self.out(activation(x))
        return y


class ColorHead(Head):
    """A head with a third of its channels for each color; G's third also reads R, and B's reads R and G.

    Args: those of `Head`, and
      grouped: whether the stack's features come in color groups.
    """

    by_color = True

    def __init__(
        self,
        channels: int,
        widths: Widths,
        likelihood: Likelihood,
        maps: int,
        activation: Activation,
        stack_channels: int,
        relative: bool,
        grouped: bool,
    ):
        self.grouped = grouped
        super().__init__(channels, widths, likelihood, maps, activation, stack_channels, relative)
        inputs, outputs = 3 * (2 * PERIODS + 1), widths[0] if widths else likelihood.params_per_pixel
        self.own = None if grouped else Conv1x1(inputs, outputs, bias=False, mask_type="A")

    def layer(self, inputs: int, width: int, first: bool) -> nn.Module:
        return super().layer(inputs, width, first) if first else Conv1x1(inputs, width, mask_type="B")

    def stack_layer(self, inputs: int, width: int) -> Conv1x1:
        return Conv1x1(inputs, width, bias=False, mask_type="B" if self.grouped else None)

    def out_layer(self, width: int, params: int) -> nn.Module:
        return nn.Conv2d(width, params, 1, groups=3)

    def with_colors(self, first: Tensor, pixels: Tensor | None) -> Tensor:
        return first if self.own is None or pixels is None else first + self.own(waves(pixels).to(first.dtype))


def initialize(layer: nn.Module) -> None:
    """Xavier's weights, and zero biases; a `Bias` is zero from the start."""
    weight = layer._parameters.get("weight")
    if weight is not None:
        xavier_(weight, layer._parameters["bias"])


def with_map(x: Tensor, caption_map: Tensor | None) -> Tensor:
    """Append the caption map (B, 1, h, w), if there is one, to features (B, C, h, w)."""
    return x if caption_map is None else torch.cat([x, caption_map.to(x.dtype)], dim=1)


def waves(colors: Tensor) -> Tensor:
    """Each color, its sines and its cosines: (B, 3, ...) in -1..1 -> (B, 3 (2 PERIODS + 1), ...), color by color."""
    scale = math.pi / 2 * 2.0 ** torch.arange(PERIODS, device=colors.device, dtype=colors.dtype)
    angles = colors.unsqueeze(2) * scale.reshape(-1, *(1 for _ in colors.shape[2:]))  # (B, 3, PERIODS, ...)
    return torch.cat([colors.unsqueeze(2), angles.sin(), angles.cos()], dim=2).flatten(1, 2)
