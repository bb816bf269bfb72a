"""The twin of Gated PixelCNN's stack: what the twins of its layers would do, in fewer operations.

A pixel of a layer would take some fifteen operations, most of their time spent on dispatch. Here it takes five: two
copies, a product over the taps, sigmoids and their product, and the 1x1 layer with the residual. So:

- A gate is tanh(a) sigmoid(b) = 2 sigmoid(2a) sigmoid(b) - sigmoid(b): all that makes an a is doubled, and one sigmoid
  serves both halves.
- A pixel's features are kept beside those that kernels read with them, so that the taps are one matrix.
- The biases of the horizontal 1x1 layers are left out of the features, and made up for in what comes from above.
- The conditions of all layers, and with them the other biases, are one batched product a row. Of the last layer's
  vertical map nothing is computed that nobody reads, and no links right of the hole.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from models.layers.steps import CausalConvStep, Conv1x1Step, VerticalConvStep
from models.layers.twins import Cursor, RowContext, stepwise, twin_of
from models.stacks.gated import GatedLayer, GatedStack


@twin_of(GatedStack)
class GatedStackStep:
    """`vertical` for a row, `horizontal` for columns (n, B, C) or a pixel (B, C) of it."""

    def __init__(self, stack: GatedStack, cursor: Cursor):
        canvas, layers = stack.canvas, list(stack.layers)
        self.cursor, self.end = cursor, canvas.left + canvas.width
        self.first_vertical = VerticalConvStep(stack.first_vertical, cursor)
        self.first_horizontal = CausalConvStep(stack.first_horizontal, cursor)
        self.position, self.link = stepwise(stack.position, cursor), Conv1x1Step(stack.link, cursor)
        missing = [torch.zeros_like(_bias(layers[0]))]  # what features lack, as biases are left out
        for layer in layers:
            missing.append(missing[-1] + _bias(layer))
        self.missing = missing.pop()
        self.downward = [Downward(layer, cursor) for layer in layers]
        self.rightward = [Rightward(*of, cursor) for of in zip(layers, missing, strict=True)]
        self.conditions = Conditions(layers, missing)

    def vertical(self, above: Tensor, context: RowContext) -> list[Tensor]:
        v = self.position(self.first_vertical(above))  # (W, B, C)
        from_above = [self.link(v)]
        down, right = self.conditions(context)
        for layer, own, after, condition in zip(self.downward, down, self.rightward, right, strict=True):
            y = layer.convolved(v, own)
            after.start_row(layer.link(y[: self.end], condition[: self.end]))
            if layer is not self.downward[-1]:
                v = layer.gated(v, y)
        return from_above

    def horizontal(self, left: Tensor, pixel: Tensor, from_above: list[Tensor]) -> Tensor:
        h: Any = self.first_horizontal(left, from_above[0])
        cursor = self.cursor
        for layer in self.rightward:
            h = layer.pixel(h, cursor.first) if cursor.at_pixel else layer.columns(h, cursor.first, cursor.end)
        return F.silu(h + self.missing)


class Conditions:
    """A row's conditions of all layers, with the biases that come with them, a doubled: those of the vertical kernels
    and those of the horizontal ones, (layers, W, B, 2C) each.

    Args:
      missing: (C,) for each layer, what the features that its horizontal kernel reads lack.
    """

    def __init__(self, layers: list[GatedLayer], missing: list[Tensor]):
        biases: list[Any] = [layer.vertical.bias for layer in layers]
        for layer, lack in zip(layers, missing, strict=True):
            link: Any = layer.link.bias
            biases.append(link + layer.horizontal.kernel().sum((2, 3)) @ lack)
        conditions = [layer.vertical_condition for layer in layers]
        conditions += [layer.horizontal_condition for layer in layers]
        self.double = doubling(_bias(layers[0]))
        self.bias = (torch.stack(biases) * self.double).unsqueeze(1)  # (2 layers, 1, 2C)
        towers = [c.tower.kernel().flatten(1).T * self.double for c in conditions if c.tower is not None]
        captions = [c.caption.weight.T * self.double for c in conditions if c.caption is not None]
        self.tower = torch.stack(towers) if towers else None  # (2 layers, C of the tower, 2C)
        self.caption = torch.stack(captions) if captions else None  # (2 layers, K, 2C)

    def __call__(self, context: RowContext) -> tuple[Tensor, ...]:
        width, batch, channels = context.tower.shape
        count, _, outputs = self.bias.shape
        if self.tower is None:
            y = self.bias.expand(-1, width * batch, -1).contiguous()
        else:
            y = torch.baddbmm(self.bias, context.tower.reshape(1, -1, channels).expand(count, -1, -1), self.tower)
        y = y.view(count, width, batch, outputs)
        if self.caption is not None:
            assert context.caption is not None  # the layers were made for captions
            y += torch.matmul(context.caption, self.caption).unsqueeze(1)  # (2 layers, 1, B, 2C)
        return y.chunk(2)


class Downward:
    """The vertical half of a layer, a doubled."""

    def __init__(self, layer: GatedLayer, cursor: Cursor):
        double = doubling(_bias(layer))
        self.step = VerticalConvStep(layer.vertical, cursor)
        self.step.taps, self.step.bias = [[tap * double for tap in row] for row in self.step.taps], None
        self.weight = (layer.link.kernel().flatten(1) / double).T * double  # (2C, 2C)

    def convolved(self, v: Tensor, condition: Tensor) -> Tensor:
        """(W, B, C) -> (W, B, 2C)."""
        y: Any = self.step(v, condition)
        return y

    def link(self, y: Tensor, condition: Tensor) -> Tensor:
        """What the horizontal half reads of it: (columns, B, 2C)."""
        linked = torch.addmm(condition.flatten(0, 1), y.flatten(0, 1), self.weight)
        return linked.view(condition.shape)

    @staticmethod
    def gated(v: Tensor, y: Tensor) -> Tensor:
        """The vertical map of the next layer; y is changed."""
        a, b = y.sigmoid_().chunk(2, dim=2)
        return torch.addcmul(v, a, b, value=2).sub_(b)


class Rightward:
    """The horizontal half of a layer, a doubled.

    Args:
      missing: (C,), what the features that it reads lack.
    """

    def __init__(self, layer: GatedLayer, missing: Tensor, cursor: Cursor):
        conv = layer.horizontal
        self.width, self.taps, self.dilation = cursor.width, conv.kernel_size[1], conv.dilation[1]
        self.missing, self.channels = missing, conv.in_channels
        self.kernel = conv.kernel()[:, :, 0].permute(2, 1, 0).flatten(0, 1) * doubling(missing)  # (taps C, 2C)
        self.out = -layer.out.kernel().flatten(1).T  # (C, C), of the gate's negative
        self.store: Any = None  # (columns, B, taps, C)
        self.gates: Any = None  # (B, 2C)

    def start_row(self, from_above: Tensor) -> None:
        """The part of the row's output that comes from above: (columns, B, 2C)."""
        if self.store is None:
            batch, reach = from_above.shape[1], (self.taps - 1) * self.dilation
            self.store = from_above.new_empty(self.width + reach, batch, self.taps, self.channels)
            self.matrices = self.store.flatten(2).unbind()  # (B, taps C) each
            self.places = [self._places(column) for column in range(self.width)]
            self.gates = from_above.new_empty(batch, 2 * self.channels)
            self.a, self.b = self.gates.chunk(2, dim=1)
        self.store[:] = -self.missing  # zeros, but for the biases left out
        self.row, self.from_above = from_above, from_above.unbind()

    def _places(self, column: int) -> list[Tensor]:
        """Where a column's features (B, C) are kept: as the last tap of its own matrix, an earlier one of others."""
        return [self.store[column + k * self.dilation, :, self.taps - 1 - k] for k in range(self.taps)]

    def pixel(self, h: Tensor, column: int) -> Tensor:
        """(B, C) -> (B, C)."""
        for place in self.places[column]:
            place.copy_(h)
        torch.addmm(self.from_above[column], self.matrices[column], self.kernel, out=self.gates)
        self.gates.sigmoid_()
        self.b.addcmul_(self.a, self.b, value=-2)
        return torch.addmm(h, self.b, self.out)

    def columns(self, h: Tensor, first: int, end: int) -> Tensor:
        """(n, B, C) -> (n, B, C)."""
        for k in range(self.taps):
            ahead = k * self.dilation
            self.store[first + ahead : end + ahead, :, self.taps - 1 - k] = h
        seen = self.store[first:end].flatten(2).flatten(0, 1)  # (n B, taps C)
        gates = torch.addmm(self.row[first:end].flatten(0, 1), seen, self.kernel).sigmoid_()
        a, b = gates.chunk(2, dim=1)
        b.addcmul_(a, b, value=-2)
        return torch.addmm(h.flatten(0, 1), b, self.out).view(h.shape)


def doubling(like: Tensor) -> Tensor:
    """(2C,) of like's C channels: 2 for a, 1 for b."""
    return torch.cat([torch.full_like(like, 2), torch.ones_like(like)])


def _bias(layer: GatedLayer) -> Any:
    """(C,), of the 1x1 layer."""
    return layer.out.bias
