"""The twin of PixelCNN's stack that computes a wave of pixels: what the twins of its layers would do, in half as many
operations. A wave is small, so an operation's dispatch takes most of its time.

The conditions of all blocks, and with them the kernels' biases, are one product. A constant channel, 1, comes with
them, so that a block's last 1x1 layer finds its bias in its weights, and the residual in the same product. Skip
connections add up in their products.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from models.layers.twins import RowContext, stepwise, twin_of
from models.layers.waves import WAVES, CausalConvWave, Kernel, VerticalConvWave, WaveCursor, WaveMap
from models.stacks.pixelcnn import Block, PixelCNNStack


@twin_of(PixelCNNStack, WAVES)
class PixelCNNStackWave:
    """`vertical` and `horizontal` for a wave, (n, B, C)."""

    def __init__(self, stack: PixelCNNStack, cursor: WaveCursor):
        self.above, self.left = VerticalConvWave(stack.above, cursor), CausalConvWave(stack.left, cursor)
        self.position = stepwise(stack.position, cursor)
        self.own: Any = None if stack.own is None else stepwise(stack.own, cursor)
        blocks = list(stack.blocks)
        self.blocks = [BlockWave(block, cursor) for block in blocks]
        self.skips = [skip.kernel().flatten(1).T for skip in stack.skips]
        self.skip_bias: Any = sum(skip.bias for skip in stack.skips) if self.skips else None
        self.conditions = Conditions(blocks)

    def vertical(self, above: WaveMap, context: RowContext) -> list[Tensor]:
        return [self.position(self.above(above)), *self.conditions(context)]

    def horizontal(self, left: Tensor, pixel: Tensor, from_above: list[Tensor]) -> Tensor:
        y = self.left(left, from_above[0])  # (n, B, 2h)
        if self.own is not None:
            y = y + self.own(pixel)
        shape, y, out = y.shape, y.flatten(0, 1), self.skip_bias
        for i, (block, condition) in enumerate(zip(self.blocks, from_above[1:], strict=True)):
            y = block(y, condition, shape)
            if self.skips:
                out = torch.addmm(out, y, self.skips[i])
        return F.relu(y if out is None else out).view(shape)


class Conditions:
    """What enters the kernels of all blocks beside their taps: for each (n B, h + 1), the last channel 1."""

    def __init__(self, blocks: list[Block]):
        conditions: list[Any] = [block.condition for block in blocks]
        biases: list[Any] = [block.spatial.bias for block in blocks]
        self.count = len(blocks)
        self.bias = torch.cat([F.pad(bias, (0, 1), value=1.0) for bias in biases])
        towers = [F.pad(c.tower.kernel().flatten(1), (0, 0, 0, 1)) for c in conditions if c.tower is not None]
        captions = [F.pad(c.caption.weight, (0, 0, 0, 1)) for c in conditions if c.caption is not None]
        self.tower = torch.cat(towers) if towers else None
        self.caption = torch.cat(captions) if captions else None

    def __call__(self, context: RowContext) -> tuple[Tensor, ...]:
        count, batch, _ = context.tower.shape
        if self.tower is None:
            y = self.bias.expand(count * batch, -1)
        else:
            y = F.linear(context.tower.flatten(0, 1), self.tower, self.bias)
        if self.caption is not None:
            assert context.caption is not None  # the blocks were made for captions
            y = y + F.linear(context.caption, self.caption).repeat(count, 1)
        return y.chunk(self.count, dim=1)


class BlockWave:
    """(n B, 2h) and the condition (n B, h + 1) -> (n B, 2h)."""

    def __init__(self, block: Block, cursor: WaveCursor):
        spatial = block.spatial
        self.norm, self.residual = stepwise(block.norm, cursor), block.residual
        self.reduce: Any = None
        if block.reduce is not None:
            self.reduce = block.reduce.bias, block.reduce.kernel().flatten(1).T
        self.map = WaveMap(cursor, spatial.above, spatial.left, spatial.right)
        kernel = Kernel(spatial, CausalConvWave.taps_of(spatial), spatial.above)
        self.offsets, self.kernel = kernel.offsets, F.pad(kernel.weight, (0, 1))  # nothing to the constant channel
        self.expand: Any = None
        if block.expand is not None:
            bias: Any = block.expand.bias
            self.expand = torch.cat([block.expand.kernel().flatten(1).T, bias.unsqueeze(0)])  # (h + 1, 2h)

    def __call__(self, x: Tensor, condition: Tensor, shape: torch.Size) -> Tensor:
        y = F.relu(self.norm(x))
        if self.reduce is not None:
            bias, weight = self.reduce
            y = torch.addmm(bias, y, weight).relu_()  # (n B, h)
        self.map.put(y.view(*shape[:2], -1))
        taps = self.map.taps(self.offsets).flatten(0, 1)  # (n B, taps h)
        y = torch.addmm(condition, taps, self.kernel)  # (n B, h + 1)
        if self.expand is None:
            return x + y[:, :-1] if self.residual else y[:, :-1]
        y = y.relu_()
        return torch.addmm(x, y, self.expand) if self.residual else y @ self.expand
