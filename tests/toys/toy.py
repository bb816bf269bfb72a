"""The smallest causal stack: one convolution over all rows above, one over the row so far."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from models.canvas import Canvas
from models.layers.maps import CausalConv, Condition, Context, ContextChannels, VerticalConv
from models.layers.masked import Reach
from models.stacks.base import Stack
from models.stacks.families import decoder


@dataclass(frozen=True)
class Options:
    width: int


@decoder("toy")
class ToyStack(Stack):
    SIZES = {"xs": Options(16), "s": Options(32), "m": Options(64), "l": Options(128)}
    horizontal_reads_rows = False

    def __init__(self, canvas: Canvas, context: ContextChannels, options: Options):
        super().__init__(canvas)
        self.channels = options.width
        self.above = VerticalConv(4, options.width, rows=canvas.rows, side=canvas.columns - 1)
        self.left = CausalConv(4, options.width, Reach(above=0, left=canvas.columns - 1))
        self.condition = Condition(context, options.width)

    def vertical(self, above: Tensor, context: Context) -> list[Tensor]:
        return [self.above(above, self.condition(context))]

    def horizontal(self, left: Tensor, pixel: Tensor, from_above: list[Tensor]) -> Tensor:
        return F.silu(self.left(left, from_above[0]))  # (B, width, rows, columns)
