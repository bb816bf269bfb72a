"""The twins of the heads: they compute one pixel, or one color of it."""

import torch.nn.functional as F
from torch import Tensor, nn

from models.head import ColorHead, Head, waves
from models.layers.steps import Conv1x1Step
from models.layers.twins import Cursor, twin_of


class FirstLayerStep:
    """The first layer, which both twins share."""

    def __init__(self, head: Head, cursor: Cursor):
        self.stack = None if head.stack is None else Conv1x1Step(head.stack, cursor)
        self.activation = head.layers[1]

    def first(self, known: Tensor, stack: Tensor) -> Tensor:
        """Add the stack's features (B, S) to one pixel of `Head.first` (B, width)."""
        return known if self.stack is None else known + self.stack(stack)


@twin_of(Head)
class HeadStep(FirstLayerStep):
    def __init__(self, head: Head, cursor: Cursor):
        super().__init__(head, cursor)
        self.second = Conv1x1Step(head.second, cursor)
        self.weight, self.bias = head.out.weight.flatten(1), head.out.bias

    def params(self, first: Tensor, pixel: Tensor, channel: int | None) -> Tensor:
        """The likelihood's params (B, P). `pixel` and `channel` are for `ColorHeadStep`."""
        return F.linear(self.activation(self.second(self.activation(first))), self.weight, self.bias)


@twin_of(ColorHead)
class ColorHeadStep(FirstLayerStep):
    """One color at a time.

    Attributes:
      thirds: for each color how many channels of the first layer it reads, and its weights and biases in the last two.
    """

    def __init__(self, head: ColorHead, cursor: Cursor):
        super().__init__(head, cursor)
        self.own = None if head.own is None else Conv1x1Step(head.own, cursor)
        second, out = head.second, head.out
        kernel, bias, out_bias = second.kernel()[:, :, 0, 0], _given(second.bias), _given(out.bias)
        self.thirds = [
            (of.stop, (kernel[of, : of.stop], bias[of]), (out.weight[params, :, 0, 0], out_bias[params]))
            for of, params in zip(thirds(second), thirds(out), strict=True)
        ]

    def params(self, first: Tensor, pixel: Tensor, channel: int) -> Tensor:
        """One color's params, (B, P / 3); `pixel` (B, 3) holds the colors before it."""
        if self.own is not None:
            first = first + self.own(waves(pixel).to(first.dtype))
        seen, second, last = self.thirds[channel]
        return F.linear(self.activation(F.linear(self.activation(first[:, :seen]), *second)), *last)


def _given(bias: Tensor | None) -> Tensor:
    assert bias is not None  # a head's layers have biases
    return bias


def thirds(layer: nn.Conv2d) -> list[slice]:
    """The output channels of each color."""
    third = layer.out_channels // 3
    return [slice(k * third, (k + 1) * third) for k in range(3)]
