"""The twins of the predictors: they predict one pixel from those already on the canvas."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from models.layers.twins import Cursor, twin_of
from models.predictors import (
    ABOVE,
    NEIGHBOURS,
    SIDE,
    CopyCandidates,
    KnownCandidates,
    LinearPredictors,
    SurroundedPredictors,
    TwoSidedPredictors,
    windows_of,
)


@twin_of(LinearPredictors)
class LinearPredictorsStep:
    def __init__(self, layer: LinearPredictors, cursor: Cursor):
        self.canvas, self.weight = layer.canvas, layer.kernel().flatten(1)
        self.windows: Any = None

    def start(self, with_margin: Tensor, border: Tensor) -> None:
        """Set what to read: a `padded` canvas, which the caller fills pixel by pixel, and the border (B, 4, H, W)."""
        self.windows = windows_of(self.canvas, with_margin)

    def __call__(self, i: int, j: int) -> Tensor:
        """(B, 3 k) of the hole's pixel (i, j)."""
        return F.linear(self.windows[i, j].flatten(1), self.weight)


@twin_of(TwoSidedPredictors)
class TwoSidedPredictorsStep(LinearPredictorsStep):
    def __init__(self, layer: TwoSidedPredictors, cursor: Cursor):
        super().__init__(layer, cursor)
        self.around = layer.around
        self.from_around: Any = None

    def start(self, with_margin: Tensor, border: Tensor) -> None:
        super().start(with_margin, border)
        self.from_around = self.around(border.to(with_margin.dtype))

    def __call__(self, i: int, j: int) -> Tensor:
        around: Tensor = self.from_around[:, :, i, j]
        return super().__call__(i, j) + around


@twin_of(SurroundedPredictors)
class SurroundedPredictorsStep(LinearPredictorsStep):
    def __init__(self, layer: SurroundedPredictors, cursor: Cursor):
        super().__init__(layer, cursor)
        self.pulls = layer.pulls
        self.pulled: Any = None
        self.rest: Any = None

    def start(self, with_margin: Tensor, border: Tensor) -> None:
        super().start(with_margin, border)
        pulled, share = self.pulls(border.to(with_margin.dtype))
        self.pulled, self.rest = pulled, 1 - share

    def __call__(self, i: int, j: int) -> Tensor:
        prediction: Tensor = torch.addcmul(self.pulled[:, :, i, j], self.rest[:, :, i, j], super().__call__(i, j))
        return prediction


@twin_of(KnownCandidates)
@twin_of(CopyCandidates)
class CopyCandidatesStep:
    def __init__(self, layer: CopyCandidates, cursor: Cursor):
        self.canvas, self.nearest = layer.canvas, layer.nearest
        self.windows: Any = None
        self.far: Any = None

    def start(self, with_margin: Tensor, border: Tensor) -> None:
        """See LinearPredictorsStep."""
        self.windows = windows_of(self.canvas, with_margin)
        far = self.nearest(border.to(with_margin.dtype))
        self.far = torch.stack(far, dim=-1).permute(2, 3, 0, 1, 4)  # (h, w, B, 3, 4)

    def __call__(self, i: int, j: int) -> Tensor:
        """(B, 24) of the hole's pixel (i, j)."""
        window = self.windows[i, j]
        near = [window[:, :, ABOVE + row, SIDE + column] for row, column in NEIGHBOURS]
        return torch.cat([torch.stack(near, dim=2), self.far[i, j]], dim=2).flatten(1)
