"""The layers of causal stacks, as they run over whole maps (B, C, H, W) in training and scoring.

Drawing runs the same stack row by row and pixel by pixel: each layer here has a twin in steps.py that does so and
computes the same numbers. A stack made of these layers needs no twin of its own. Its code must work for both, so
operations that depend on where the channels are (gates, concatenation) are layers, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers.masked import CausalKernel, MaskedConv2d, Reach, color_mask, conv2d


class Conv1x1(MaskedConv2d):
    """A 1x1 convolution: (B, C_in, H, W) -> (B, C_out, H, W).

    Args:
      mask_type: None; or A or B for channels in color groups (see `color_mask`).
    """

    def __init__(self, inputs: int, outputs: int, bias: bool = True, mask_type: str | None = None):
        mask = None if mask_type is None else color_mask(outputs, inputs, mask_type)[:, :, None, None]
        super().__init__(inputs, outputs, (1, 1), bias, mask)

    def forward(self, x: Tensor) -> Tensor:
        return conv2d(x, self.kernel(), self.bias)


class VerticalConv(CausalKernel):
    """Reads `rows` rows, the last one the current one, and `side` columns to either side, before dilation.

    For `Stack.vertical`: its input is shifted down by a row, so all that is read lies above.
    """

    shifted = True

    def __init__(
        self, inputs: int, outputs: int, rows: int, side: int, bias: bool = True, stride: int = 1, dilation: int = 1
    ):
        super().__init__(inputs, outputs, Reach(rows - 1, side, side), bias, None, stride, dilation)


class CausalConv(CausalKernel):
    """Reads the current pixel, columns to its left, and in the rows above also columns to its right.

    For `Stack.horizontal`: its input is shifted right by a pixel, so the last pixel read is the left neighbour.

    Args:
      mask_type: None; or B for channels in color groups.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        reach: Reach,
        mask_type: str | None = None,
        bias: bool = True,
        stride: int = 1,
        dilation: int = 1,
    ):
        above, left, right = reach
        mask = None
        if right or mask_type:
            mask = torch.ones(outputs, inputs, above + 1, left + 1 + right)
            mask[:, :, above, left + 1 :] = 0
            if mask_type:
                mask[:, :, above, left] = color_mask(outputs, inputs, mask_type)
        super().__init__(inputs, outputs, reach, bias, mask, stride, dilation)


class Gate(nn.Module):
    """tanh(a) sigmoid(b) of the two halves of the channels: 2C -> C."""

    def forward(self, x: Tensor) -> Tensor:
        a, b = x.chunk(2, dim=1)
        if a.requires_grad:
            return torch.tanh(a) * torch.sigmoid(b)
        return (2 * torch.sigmoid(2 * a) - 1) * torch.sigmoid(b)  # a third of torch.tanh's time on a CPU


class GLU(nn.Module):
    """a sigmoid(b) of the halves of the channels: 2C -> C. Over the last dimension, which keeps maps channels-last."""

    def forward(self, x: Tensor) -> Tensor:
        return F.glu(x.movedim(1, -1), dim=-1).movedim(-1, 1)


class ConcatELU(nn.Module):
    """elu(x) and elu(-x): C channels -> 2C."""

    def forward(self, x: Tensor) -> Tensor:
        return F.elu(torch.cat([x, -x], dim=1))


def elu_of(concatenated: bool) -> tuple[nn.Module, int]:
    """ConcatELU or ELU, and how many channels it makes of one."""
    return (ConcatELU(), 2) if concatenated else (nn.ELU(), 1)


class Concat(nn.Module):
    """Concatenate the channels of two maps."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.cat([x, y], dim=1)


@dataclass
class Context:
    """What a stack is conditioned on, known before the first pixel is drawn.

    Attributes:
      tower: (B, C, rows, columns), the border tower's features on the canvas, zero outside the hole.
      caption: (B, K), the caption's summary; None unless captions enter every layer.
      border: (B, 4, H, W), the intensities of the whole border in -1..1 and the mask of known pixels.
    """

    tower: Tensor
    caption: Tensor | None
    border: Tensor

    def halved(self) -> "Context":
        """For maps of half the resolution: every second pixel of every second row."""
        return Context(self.tower[:, :, ::2, ::2], self.caption, self.border)

    @staticmethod
    def joined(contexts: Sequence["Context"]) -> "Context":
        """Concatenate along the batch."""
        captions = [context.caption for context in contexts if context.caption is not None]
        tower, border = (torch.cat(maps) for maps in zip(*((c.tower, c.border) for c in contexts), strict=True))
        return Context(tower, torch.cat(captions) if captions else None, border)

    def to(self, dtype: torch.dtype) -> "Context":
        caption = None if self.caption is None else self.caption.to(dtype)
        return Context(self.tower.to(dtype), caption, self.border.to(dtype))


class ContextChannels(NamedTuple):
    """How many channels a `Context` has; tower: 0 without one; caption: 0 without captions in every layer."""

    tower: int
    caption: int


class Condition(nn.Module):
    """Conditions a layer: a map (B, outputs, rows, columns), linear in the tower's features and the caption; None if
    there is neither."""

    def __init__(self, channels: ContextChannels, outputs: int):
        super().__init__()
        self.outputs = outputs
        self.tower = Conv1x1(channels.tower, outputs, bias=False) if channels.tower else None
        self.caption = nn.Linear(channels.caption, outputs, bias=False) if channels.caption else None

    def forward(self, context: Context) -> Tensor | None:
        y = None if self.tower is None else self.tower(context.tower)
        if self.caption is None:
            return y
        caption = self.caption(context.caption)[:, :, None, None]
        return caption.expand(-1, -1, *context.tower.shape[2:]) if y is None else y + caption


def dilation_of(layer: int) -> int:
    """1, 2, 4, 8, 1, 2 ...: four 3x3 layers reach 15 pixels, eight reach 30."""
    return 2 ** (layer % 4)
