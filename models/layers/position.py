"""Where a pixel lies, told to a stack."""

import math

import torch
from torch import Tensor, nn

from models.canvas import Canvas
from models.layers.maps import Conv1x1


class Position(nn.Module):
    """Adds a position encoding to a map of the canvas (B, channels, rows, columns): linear in sines and cosines of row
    and column with periods 2 to 64."""

    PERIODS = tuple(2**k for k in range(1, 7))
    waves: Tensor

    def __init__(self, canvas: Canvas, channels: int):
        super().__init__()
        rows = torch.arange(canvas.rows).reshape(-1, 1).expand(-1, canvas.columns) - canvas.top
        columns = torch.arange(canvas.columns).expand(canvas.rows, -1) - canvas.left
        angles = [2 * math.pi / period * x for x in (rows, columns) for period in self.PERIODS]
        waves = torch.stack([wave(angle) for angle in angles for wave in (torch.sin, torch.cos)])
        self.register_buffer("waves", waves.unsqueeze(0), persistent=False)  # (1, 24, rows, columns)
        self.to_channels = Conv1x1(len(waves), channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.to_channels(self.waves)
        return y


def position_of(canvas: Canvas, channels: int, wanted: bool) -> nn.Module:
    """`Position`, or what adds nothing."""
    return Position(canvas, channels) if wanted else nn.Identity()
