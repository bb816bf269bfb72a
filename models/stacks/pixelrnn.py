"""PixelRNN [1]: the rows of a map, or its diagonals, read by LSTMs whose gates are convolutions.

`rowlstm` goes from row to row; its receptive field is a triangle that widens upwards. `diagbilstm` goes along both
diagonals; its receptive field is everything before a pixel. layers/lstm.py has the two layers.
Departs from [1] as listed in DEPARTS; every layer's gates are conditioned on the border tower's map and, with captions
in all layers, on the caption's summary.

[1] van den Oord, Kalchbrenner, Kavukcuoglu 2016, arXiv:1601.06759
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor

from models.canvas import Canvas
from models.departures import COLORS_BY_HEAD, MASK_AS_INPUT, POSITION, SILU_HEAD, TOWER, Departure
from models.layers.lstm import DiagonalBiLSTM, RowLSTM
from models.layers.maps import (
    CausalConv,
    Condition,
    Context,
    ContextChannels,
    Conv1x1,
    VerticalConv,
    dilation_of,
)
from models.layers.masked import Reach
from models.layers.modules import module_list
from models.layers.position import position_of
from models.stacks.base import Stack
from models.stacks.families import decoder


@dataclass(frozen=True)
class Options:
    width: int  # between layers, 2C
    blocks: int  # layers
    residual_connections: bool = True
    skip_connections: bool = True
    position: bool = True


@dataclass(frozen=True)
class RowOptions(Options):
    dilation: bool = True


class PixelRNNStack(Stack):
    """See the module; `width` features."""

    PAPER = "1601.06759"
    DEPARTS: ClassVar[tuple[Departure, ...]] = (TOWER, POSITION, SILU_HEAD, COLORS_BY_HEAD, MASK_AS_INPUT)
    GATES: ClassVar[int]  # channels of a layer's condition, in units of C

    def __init__(self, canvas: Canvas, context: ContextChannels, options: Options):
        super().__init__(canvas)
        self.channels = channels = options.width
        self.residual = options.residual_connections
        self.above = VerticalConv(4, channels, rows=3, side=3)
        self.left = CausalConv(4, channels, Reach(above=0, left=2), bias=False)
        self.position = position_of(canvas, channels, options.position)
        half = channels // 2
        self.layers = module_list(self.layer(i, half, options) for i in range(options.blocks))
        self.conditions = module_list(Condition(context, self.GATES * half) for _ in self.layers)
        self.widen = module_list(Conv1x1(half, channels) for _ in self.layers)
        self.skips = module_list(Conv1x1(channels, channels) for _ in self.layers if options.skip_connections)

    @abstractmethod
    def layer(self, index: int, channels: int, options: Any) -> RowLSTM | DiagonalBiLSTM:
        """The LSTM layer number `index`, with C channels."""

    def vertical(self, above: Tensor, context: Context) -> list[Tensor]:
        return [self.position(self.above(above)), *(condition(context) for condition in self.conditions)]

    def horizontal(self, left: Tensor, pixel: Tensor, from_above: list[Tensor]) -> Tensor:
        y = self.left(left, from_above[0])  # (B, 2C, H, W)
        out = None
        for i, (layer, condition) in enumerate(zip(self.layers, from_above[1:], strict=True)):
            new = self.widen[i](layer(y, pixel, condition))
            y = y + new if self.residual else new
            if self.skips:
                skip = self.skips[i](y)
                out = skip if out is None else out + skip
        return F.relu(y if out is None else out)


@decoder("rowlstm")
class RowLSTMStack(PixelRNNStack):
    SIZES = {
        "xs": RowOptions(width=16, blocks=2),
        "s": RowOptions(width=64, blocks=5),
        "m": RowOptions(width=128, blocks=7),
        "l": RowOptions(width=256, blocks=12),
    }
    DEPARTS = (
        Departure("input-to-state kernels of successive layers are dilated", {"dilation": False}),
        *PixelRNNStack.DEPARTS,
    )
    GATES = 4
    cone = True

    def layer(self, index: int, channels: int, options: RowOptions) -> RowLSTM:
        return RowLSTM(channels, dilation_of(index) if options.dilation else 1)


@decoder("diagbilstm")
class DiagonalBiLSTMStack(PixelRNNStack):
    DEPARTS = (*PixelRNNStack.DEPARTS, Departure("the LSTM from the right also reads the pixel itself"))
    SIZES = {
        "xs": Options(width=16, blocks=2),
        "s": Options(width=64, blocks=5),
        "m": Options(width=128, blocks=7),
        "l": Options(width=256, blocks=12),
    }
    GATES = 8  # for the direction from the left and for that from the right

    def layer(self, index: int, channels: int, options: Options) -> DiagonalBiLSTM:
        return DiagonalBiLSTM(channels)
