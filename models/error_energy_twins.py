"""The twins of error_energy.py, for a pixel and for a wave of pixels: one product with all that the errors are made of,
and one with their logarithms."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from models.error_energy import COLUMNS, ROWS, Energy, ErrorEnergy, error_kernel, log_energy
from models.layers.twins import Cursor, twin_of
from models.layers.waves import WAVES, WaveCursor, WaveMap
from models.predictors import LinearPredictors


class EnergyLayers:
    """Both layers that read the logarithms, as one."""

    def __init__(self, layer: ErrorEnergy):
        layers = layer.to_hidden.kernel().flatten(1), layer.to_params.kernel().flatten(1)
        self.weight, self.sizes = torch.cat(layers), [len(weight) for weight in layers]

    def energy(self, errors: Tensor) -> Energy:
        """Of errors (B, 12 k)."""
        return Energy(*F.linear(log_energy(errors), self.weight).split(self.sizes, dim=1))


@twin_of(ErrorEnergy)
class ErrorEnergyStep(EnergyLayers):
    def __init__(self, layer: ErrorEnergy, cursor: Cursor):
        super().__init__(layer)
        self.canvas = layer.canvas
        self.windows: Any = None
        self.kernel: Any = None

    def start(self, with_margin: Tensor, predictors: LinearPredictors) -> None:
        """Set what to read: a canvas `padded` by one further pixel, which the caller fills, and the predictors."""
        windows = with_margin[:, :3].unfold(2, ROWS, 1).unfold(3, COLUMNS, 1)  # (B, 3, rows, columns, ROWS, COLUMNS)
        self.windows = self.canvas.hole_of(windows).permute(2, 3, 0, 1, 4, 5)
        self.kernel = error_kernel(predictors).flatten(1)

    def __call__(self, i: int, j: int) -> Energy:
        """Of the hole's pixel (i, j)."""
        return self.energy(F.linear(self.windows[i, j].flatten(1), self.kernel))


@twin_of(ErrorEnergy, WAVES)
class ErrorEnergyWave(EnergyLayers):
    def __init__(self, layer: ErrorEnergy, cursor: WaveCursor):
        super().__init__(layer)
        self.canvas: Any = None
        self.kernel: Any = None
        self.offsets: list[tuple[int, int]] = []

    def start(self, canvas: WaveMap, predictors: LinearPredictors) -> None:
        """Set what to read: the canvas, which the caller moves and fills, and the predictors."""
        kernel = F.pad(error_kernel(predictors).permute(2, 3, 0, 1), (0, 1))  # (ROWS, COLUMNS, 12 k, 4): not the mask
        taps = [tap for tap in ((i, j) for i in range(ROWS) for j in range(COLUMNS)) if kernel[tap].any()]
        self.offsets = [(i - ROWS + 1, j - COLUMNS // 2) for i, j in taps]
        self.kernel, self.canvas = torch.cat([kernel[tap] for tap in taps], dim=1), canvas  # (12 k, taps 4)

    def __call__(self, here: slice) -> Energy:
        """Of a wave, whose pixels are these of the hole's: (n B, ...)."""
        return self.energy(F.linear(self.canvas.taps(self.offsets).flatten(0, 1), self.kernel))
