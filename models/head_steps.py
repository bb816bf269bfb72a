"""The twins of the heads: of one pixel, and of one color at a time where colors are conditioned on one another."""

import torch.nn.functional as F
from torch import Tensor, nn

from models.head import ColorHead, Head, waves
from models.layers.steps import Conv1x1Step
from models.layers.twins import Cursor, twin_of


class FirstLayerStep:
    """What both twins share: the first layer, before its activation."""

    def __init__(self, head: Head, cursor: Cursor):
        self.stack = None if head.stack is None else Conv1x1Step(head.stack, cursor)
        self.activation = head.layers[1]

    def first(self, known: Tensor, stack: Tensor) -> Tensor:
        """What is known of a pixel before the first is drawn (B, width), and the stack's features (B, S) -> (B,
        width)."""
        return known if self.stack is None else known + self.stack(stack)


@twin_of(Head)
class HeadStep(FirstLayerStep):
    def __init__(self, head: Head, cursor: Cursor):
        super().__init__(head, cursor)
        self.second = Conv1x1Step(head.second, cursor)
        self.weight, self.bias = head.out.weight.flatten(1), head.out.bias

    def params(self, first: Tensor, pixel: Tensor, channel: int | None) -> Tensor:
        """The likelihood's params (B, P), which do not depend on the pixel itself."""
        return F.linear(self.activation(self.second(self.activation(first))), self.weight, self.bias)


@twin_of(ColorHead)
class ColorHeadStep(FirstLayerStep):
    """
    Attributes:
      thirds: of each color how many channels it sees, and its own weights and biases of the last two layers.
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
        """One color's params (B, P / 3); `pixel` (B, 3) has the colors before it."""
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
