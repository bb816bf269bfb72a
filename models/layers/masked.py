"""Masked convolutions: the one place that keeps a kernel from reading what it must not.

A kernel's rectangle covers only what it may read. What a rectangle cannot express (columns to the right in the current
row, color groups of the current pixel) is masked here, by a constant that is no part of the weights.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FEW = 16  # channels
BLOCK = 16  # channels that oneDNN's bfloat16 kernels take together


class MaskedConv2d(nn.Conv2d):
    """A convolution with a constant mask over its kernel, or none.

    Args:
      mask: (C_out, C_in, height, width) of ones and zeros, or None.
    """

    mask: Tensor | None

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: tuple[int, int],
        bias: bool,
        mask: Tensor | None,
        stride: int = 1,
        dilation: int = 1,
    ):
        super().__init__(inputs, outputs, kernel, bias=bias, stride=stride, dilation=dilation)
        self.register_buffer("mask", mask, persistent=False)
        if mask is not None:  # the initialization counts masked inputs, too
            with torch.no_grad():
                self.weight.mul_(mask.mean().clamp(min=0.1) ** -0.5)

    def kernel(self) -> Tensor:
        """(C_out, C_in, height, width), zero where masked."""
        return self.weight if self.mask is None else self.weight * self.mask


class Reach(NamedTuple):
    """How many rows above, and columns to the left and right, a kernel covers beside the pixel itself."""

    above: int
    left: int
    right: int = 0


def reach_of(kernel_size: int) -> Reach:
    """What a masked kernel reads of its square; an even one reads nothing to the right."""
    return Reach(kernel_size // 2, kernel_size // 2, (kernel_size - 1) // 2)


class CausalKernel(MaskedConv2d):
    """A convolution whose kernel ends with the current row: (B, C_in, H, W) -> (B, C_out, H, W), or with stride 2 (B,
    C_out, ceil(H / 2), ceil(W / 2)). Zeros stand for what lies outside the map.

    Args:
      reach: before dilation.

    Attributes:
      above, left, right: the reach in pixels, after dilation.
      shifted: whether it reads maps that were shifted down by a row.
    """

    shifted = False

    def __init__(
        self,
        inputs: int,
        outputs: int,
        reach: Reach,
        bias: bool = True,
        mask: Tensor | None = None,
        stride: int = 1,
        dilation: int = 1,
    ):
        above, left, right = reach
        super().__init__(inputs, outputs, (above + 1, left + 1 + right), bias, mask, stride, dilation)
        self.above, self.left, self.right = above * dilation, left * dilation, right * dilation

    def forward(self, x: Tensor, extra: Tensor | None = None) -> Tensor:
        """`extra`, of the output's shape, is added to the output."""
        missing = self._missing_channels(x)
        x = F.pad(x, (self.left, self.right, self.above, 0, 0, missing))
        if self.in_channels >= FEW:
            kernel = F.pad(self.kernel(), (0, 0, 0, 0, 0, missing)) if missing else self.kernel()
            y = conv2d(x, kernel, self.bias, self.stride, dilation=self.dilation)
        else:  # a map of so few channels may be intensities, which bfloat16 would blur by a level
            with torch.autocast(x.device.type, enabled=False):
                y = conv2d(x.to(self.weight.dtype), self.kernel(), self.bias, self.stride, dilation=self.dilation)
        return y if extra is None else y + extra

    def _missing_channels(self, x: Tensor) -> int:
        """How many channels of zeros to add to the input in bfloat16 on a CPU.

        Without AMX, oneDNN's gradient of a dilated kernel is garbage if BLOCK does not divide the input channels: half
        the weights' values, NaN, or a segmentation fault (torch 2.13). In a training step of a layer of 132
        channels zeros cost nothing with AMX, where float32 takes 2.6 to 3.1 times as long, and 1.4 times float32
        without.
        """
        in_bfloat16 = x.dtype == torch.bfloat16 or torch.is_autocast_enabled(x.device.type)
        if x.device.type != "cpu" or not in_bfloat16 or self.in_channels < FEW or self.dilation == (1, 1):
            return 0
        return -self.in_channels % BLOCK


def shift_down(x: Tensor) -> Tensor:
    """Shift a map down by a row, zeros on top: (B, C, H, W) -> the same shape."""
    return F.pad(x, (0, 0, 1, -1))


def shift_right(x: Tensor) -> Tensor:
    """Shift a map right by a column, zeros on the left: (B, C, H, W) -> the same shape."""
    return F.pad(x, (1, -1))


def color_mask(outputs: int, inputs: int, mask_type: str) -> Tensor:
    """Which channels of a pixel may read which, in three groups R, G, B of equal size: float32 (outputs, inputs).

    Type A: G reads R, B reads R and G. Type B: each also reads itself.
    """
    reader = torch.arange(outputs).unsqueeze(1) * 3 // outputs
    read = torch.arange(inputs).unsqueeze(0) * 3 // inputs
    return (read < reader if mask_type == "A" else read <= reader).float()


def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, ...] = (1, 1),
    padding: tuple[int, ...] = (0, 0),
    dilation: tuple[int, ...] = (1, 1),
) -> Tensor:
    """F.conv2d; in float64, where torch's is slow, as one matrix product."""
    if x.dtype != torch.float64:
        return F.conv2d(x, weight, bias, stride, padding, dilation)
    _, _, rows, columns = weight.shape
    x = F.pad(x, (padding[1], padding[1], padding[0], padding[0])).permute(0, 2, 3, 1)  # (B, H, W, C_in)
    height, width = (x.shape[1 + d] - dilation[d] * (weight.shape[2 + d] - 1) for d in (0, 1))
    taps = [
        x[:, i * dilation[0] :][:, : height : stride[0], j * dilation[1] :][:, :, : width : stride[1]]
        for i in range(rows)
        for j in range(columns)
    ]
    x = taps[0] if len(taps) == 1 else torch.cat(taps, dim=3)  # (B, h, w, rows columns C_in)
    return F.linear(x, weight.permute(0, 2, 3, 1).flatten(1), bias).permute(0, 3, 1, 2)
