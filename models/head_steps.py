"""The twins of the heads: they compute one pixel, or one color of it. Pixels of a wave are like images of a batch."""

from typing import Any, cast

import torch.nn.functional as F
from torch import Tensor, nn

from models.head import ColorHead, Head, waves
from models.layers.maps import Conv1x1
from models.layers.steps import Conv1x1Step
from models.layers.twins import Cursor, twin_of
from models.layers.waves import WAVES


class FirstLayerStep:
    """The first layer, which both twins share."""

    def __init__(self, head: Head, cursor: Cursor):
        self.stack = None if head.stack is None else Conv1x1Step(head.stack, cursor)
        self.activation: Any = head.layers[1] if len(head.layers) else None

    def first(self, first_layer: Tensor, stack: Tensor) -> Tensor:
        """Add the stack's features (B, S) to one pixel of `Head.first` (B, width)."""
        return first_layer if self.stack is None else first_layer + self.stack(stack)


@twin_of(Head, WAVES)
@twin_of(Head)
class HeadStep(FirstLayerStep):
    def __init__(self, head: Head, cursor: Cursor):
        super().__init__(head, cursor)
        self.second = None if head.second is None else Conv1x1Step(head.second, cursor)
        self.out = Conv1x1Step(cast(Conv1x1, head.out), cursor) if len(head.layers) else None

    def params(self, first: Tensor, pixel: Tensor, channel: int | None) -> Tensor:
        """The likelihood's params (B, P). `pixel` and `channel` are for `ColorHeadStep`."""
        if self.out is None:
            return first
        x = self.activation(first)
        return self.out(x if self.second is None else self.activation(self.second(x)))


@twin_of(ColorHead, WAVES)
@twin_of(ColorHead)
class ColorHeadStep(FirstLayerStep):
    """One color at a time.

    Attributes:
      thirds: for each color the channels of the first layer that it reads, and weights and biases of the layers above.
    """

    def __init__(self, head: ColorHead, cursor: Cursor):
        super().__init__(head, cursor)
        self.own = None if head.own is None else Conv1x1Step(head.own, cursor)
        count = len(_given(cast(Conv1x1, head.into_first).bias))
        self.thirds: list[tuple[slice, list[tuple[Tensor, Tensor]]]] = [(of, []) for of in thirds(count)]
        if head.second is not None:
            kernel, bias = head.second.kernel()[:, :, 0, 0], _given(head.second.bias)
            for k, of in enumerate(thirds(len(bias))):
                self.thirds[k] = slice(0, of.stop), [(kernel[of, : of.stop], bias[of])]
        if len(head.layers):
            out = cast(nn.Conv2d, head.out)
            weight, bias = out.weight[:, :, 0, 0], _given(out.bias)
            for (_, layers), of in zip(self.thirds, thirds(len(bias)), strict=True):
                layers.append((weight[of], bias[of]))

    def params(self, first: Tensor, pixel: Tensor, channel: int) -> Tensor:
        """One color's params, (B, P / 3); `pixel` (B, 3) holds the colors before it."""
        if self.own is not None:
            first = first + self.own(waves(pixel).to(first.dtype))
        seen, layers = self.thirds[channel]
        x = first[:, seen]
        for weight, bias in layers:
            x = F.linear(self.activation(x), weight, bias)
        return x


def _given(bias: Tensor | None) -> Tensor:
    assert bias is not None  # a head's layers have biases
    return bias


def thirds(channels: int) -> list[slice]:
    """The channels of each color."""
    third = channels // 3
    return [slice(k * third, (k + 1) * third) for k in range(3)]
