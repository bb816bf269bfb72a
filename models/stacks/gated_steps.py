"""The twin of Gated PixelCNN's stack: what the twins of its layers would do, in fewer operations.

Without it a pixel of a layer takes some fifteen operations, most of their time spent on dispatch; here five: a product
over the taps, sigmoids, their product, the 1x1 layer with the residual, a copy. So:

- A gate is tanh(a) sigmoid(b) = 2 sigmoid(2a) sigmoid(b) - sigmoid(b): a's weights are doubled, and the 1x1 layer reads
  both products.
- A pixel's features are kept beside those that kernels read with them, so that the taps are one matrix.
- The biases of the 1x1 layers are left out of the features, and made up for in the kernels' biases.
- The conditions of all layers are one product a row; of the last layer's vertical map nothing is computed that nobody
  reads, and no links right of the hole.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from models.layers.maps import Condition
from models.layers.steps import CausalConvStep, Conv1x1Step, VerticalConvStep
from models.layers.twins import Cursor, RowContext, stepwise, twin_of
from models.stacks.gated import GatedLayer, GatedStack


@twin_of(GatedStack)
class GatedStackStep:
    """`vertical` for a row, `horizontal` for columns (n, B, C) or a pixel (B, C) of it."""

    def __init__(self, stack: GatedStack, cursor: Cursor):
        canvas = stack.canvas
        self.cursor, self.end = cursor, canvas.left + canvas.width
        self.first_vertical = VerticalConvStep(stack.first_vertical, cursor)
        self.first_horizontal = CausalConvStep(stack.first_horizontal, cursor)
        self.position, self.link = stepwise(stack.position, cursor), Conv1x1Step(stack.link, cursor)
        layers: Any = list(stack.layers)
        self.conditions = Conditions(
            [c for layer in layers for c in (layer.vertical_condition, layer.horizontal_condition)]
        )
        bias = torch.zeros_like(layers[0].out.bias)  # what features so far lack
        self.downward: list[Downward] = []
        self.rightward: list[Rightward] = []
        for layer in layers:
            self.downward.append(Downward(layer, cursor))
            self.rightward.append(Rightward(layer, cursor, bias))
            bias = bias + layer.out.bias
        self.bias = bias

    def vertical(self, above: Tensor, context: RowContext) -> list[Tensor]:
        v = self.position(self.first_vertical(above))  # (W, B, C)
        from_above = [self.link(v)]
        conditions = self.conditions(context)
        for above_layer, down, right in zip(self.downward, conditions[::2], conditions[1::2], strict=True):
            y = above_layer.convolved(v, down)
            from_above.append(above_layer.link(y[: self.end]) + right[: self.end])
            if above_layer is not self.downward[-1]:
                v = v + above_layer.gated(y)
        for layer, part in zip(self.rightward, from_above[1:], strict=True):
            layer.start_row(part)
        return from_above

    def horizontal(self, left: Tensor, pixel: Tensor, from_above: list[Tensor]) -> Tensor:
        h: Any = self.first_horizontal(left, from_above[0])
        cursor = self.cursor
        for layer in self.rightward:
            h = layer.pixel(h, cursor.first) if cursor.at_pixel else layer.columns(h, cursor.first, cursor.end)
        return F.silu(h + self.bias)


class Conditions:
    """The conditions of a row by all layers, as one product: a list of (W, B, 2C)."""

    def __init__(self, conditions: list[Condition]):
        towers = [c.tower.kernel().flatten(1) for c in conditions if c.tower is not None]
        captions = [c.caption.weight for c in conditions if c.caption is not None]
        self.tower = torch.cat(towers) if towers else None
        self.caption = torch.cat(captions) if captions else None
        self.count, self.outputs = len(conditions), sum(c.outputs for c in conditions)

    def __call__(self, context: RowContext) -> tuple[Tensor, ...]:
        if self.tower is None:
            y = context.tower.new_zeros(*context.tower.shape[:2], self.outputs)
        else:
            y = F.linear(context.tower, self.tower)
        if self.caption is not None:
            assert context.caption is not None  # the layers were made for captions
            y = y + F.linear(context.caption, self.caption)
        return y.chunk(self.count, dim=2)


class Downward:
    """The vertical half of a layer."""

    def __init__(self, layer: GatedLayer, cursor: Cursor):
        self.step, self.link = VerticalConvStep(layer.vertical, cursor), Conv1x1Step(layer.link, cursor)

    def convolved(self, v: Tensor, condition: Tensor) -> Tensor:
        """(W, B, C) -> (W, B, 2C)."""
        y: Any = self.step(v, condition.contiguous())
        return y

    @staticmethod
    def gated(y: Tensor) -> Tensor:
        a, b = y.chunk(2, dim=2)
        return (2 * torch.sigmoid(2 * a) - 1) * torch.sigmoid(b)


class Rightward:
    """The horizontal half of a layer.

    Args:
      missing: (C,), what the features that it reads lack, as biases are left out.
    """

    def __init__(self, layer: GatedLayer, cursor: Cursor, missing: Tensor):
        conv = layer.horizontal
        self.width, self.taps, self.dilation = cursor.width, conv.kernel_size[1], conv.dilation[1]
        self.missing = missing
        kernel = conv.kernel()[:, :, 0].permute(2, 1, 0)  # (taps, C, 2C)
        self.channels = kernel.shape[1]
        double = torch.ones(2 * self.channels).to(kernel)
        double[: self.channels] = 2
        self.kernel = (kernel * double).flatten(0, 1)  # (taps C, 2C)
        self.double, self.bias = double, (missing @ kernel).sum(0)
        out = layer.out.kernel().flatten(1).T  # (C, C)
        self.out = torch.cat([2 * out, -out])  # (2C, C)
        self.store: Any = None
        self.gates: Any = None

    def start_row(self, from_above: Tensor) -> None:
        """The part of the row's output that comes from above: (columns, B, 2C)."""
        self.from_above = torch.mul(from_above.add_(self.bias), self.double)
        if self.store is None:
            batch = from_above.shape[1]
            reach = (self.taps - 1) * self.dilation
            self.store = from_above.new_empty(self.width + reach, batch, self.taps, self.channels)
            self.matrices = self.store.flatten(2).unbind()  # (B, taps C) each
            self.places = [self._places(column) for column in range(self.width)]
            self.gates = from_above.new_empty(batch, 2 * self.channels)
            self.halves = self.gates.chunk(2, dim=1)
        self.store[:] = -self.missing  # zeros, but for the biases left out
        self.rows = self.from_above.unbind()

    def _places(self, column: int) -> list[Tensor]:
        """Where a column's features (B, C) are kept: as the last tap of its own matrix, an earlier one of others."""
        return [self.store[column + k * self.dilation, :, self.taps - 1 - k] for k in range(self.taps)]

    def pixel(self, h: Tensor, column: int) -> Tensor:
        """(B, C) -> (B, C)."""
        for place in self.places[column]:
            place.copy_(h)
        torch.addmm(self.rows[column], self.matrices[column], self.kernel, out=self.gates)
        self.gates.sigmoid_()
        self.halves[0].mul_(self.halves[1])
        return torch.addmm(h, self.gates, self.out)

    def columns(self, h: Tensor, first: int, end: int) -> Tensor:
        """(n, B, C) -> (n, B, C)."""
        return torch.stack([self.pixel(x, column) for x, column in zip(h, range(first, end), strict=True)])
