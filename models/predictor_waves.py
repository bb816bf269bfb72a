"""The twins of the predictors that predict a wave of pixels (layers/waves.py) from those already on the canvas."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from models.layers.twins import twin_of
from models.layers.waves import WAVES, WaveCursor, WaveMap
from models.predictors import (
    ABOVE,
    NEIGHBOURS,
    SIDE,
    CopyCandidates,
    KnownCandidates,
    LinearPredictors,
    SurroundedPredictors,
    TwoSidedPredictors,
)

TAPS = [(i, j) for i in range(ABOVE + 1) for j in range(2 * SIDE + 1) if i < ABOVE or j < SIDE]


def by_pixel(x: Tensor) -> Tensor:
    """(B, C, h, w) -> (h w, B, C)."""
    return x.permute(2, 3, 0, 1).flatten(0, 1).contiguous()


@twin_of(LinearPredictors, WAVES)
class LinearPredictorsWave:
    def __init__(self, layer: LinearPredictors, cursor: WaveCursor):
        kernel = F.pad(layer.kernel().permute(2, 3, 0, 1), (0, 1))  # (rows, columns, 3 k, 4): nothing of the mask
        self.weight = torch.cat([kernel[tap] for tap in TAPS], dim=1)  # (3 k, taps 4)
        self.offsets = [(i - ABOVE, j - SIDE) for i, j in TAPS]
        self.canvas: Any = None

    def start(self, canvas: WaveMap, border: Tensor) -> None:
        """Set what to read: the canvas, which the caller moves and fills, and the border (B, 4, H, W)."""
        self.canvas = canvas

    def __call__(self, here: slice) -> Tensor:
        """(n, B, 3 k) of a wave, whose pixels are these of the hole's."""
        return F.linear(self.canvas.taps(self.offsets), self.weight)


@twin_of(TwoSidedPredictors, WAVES)
class TwoSidedPredictorsWave(LinearPredictorsWave):
    def __init__(self, layer: TwoSidedPredictors, cursor: WaveCursor):
        super().__init__(layer, cursor)
        self.around = layer.around
        self.from_around: Any = None

    def start(self, canvas: WaveMap, border: Tensor) -> None:
        super().start(canvas, border)
        self.from_around = by_pixel(self.around(border))

    def __call__(self, here: slice) -> Tensor:
        around: Tensor = self.from_around[here]
        return super().__call__(here) + around


@twin_of(SurroundedPredictors, WAVES)
class SurroundedPredictorsWave(LinearPredictorsWave):
    def __init__(self, layer: SurroundedPredictors, cursor: WaveCursor):
        super().__init__(layer, cursor)
        self.pulls = layer.pulls
        self.pulled: Any = None
        self.rest: Any = None

    def start(self, canvas: WaveMap, border: Tensor) -> None:
        super().start(canvas, border)
        pulled, share = self.pulls(border)
        self.pulled, self.rest = by_pixel(pulled), by_pixel(1 - share)

    def __call__(self, here: slice) -> Tensor:
        return torch.addcmul(self.pulled[here], self.rest[here], super().__call__(here))


@twin_of(KnownCandidates, WAVES)
@twin_of(CopyCandidates, WAVES)
class CopyCandidatesWave:
    def __init__(self, layer: CopyCandidates, cursor: WaveCursor):
        self.nearest = layer.nearest
        self.canvas: Any = None
        self.far: Any = None

    def start(self, canvas: WaveMap, border: Tensor) -> None:
        """See LinearPredictorsWave."""
        self.canvas = canvas
        far = torch.stack(self.nearest(border), dim=-1)  # (B, 3, h, w, 4)
        self.far = far.permute(2, 3, 0, 1, 4).flatten(0, 1)  # (h w, B, 3, 4)

    def __call__(self, here: slice) -> Tensor:
        """(n, B, 24)."""
        near = torch.stack([self.canvas[offset] for offset in NEIGHBOURS], dim=3)[:, :, :3]  # (n, B, 3, 4)
        return torch.cat([near, self.far[here]], dim=3).flatten(2)
