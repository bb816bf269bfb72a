"""Error energy: how far the linear predictors were off at the pixels just before, as context of the params.

Lossless coders choose their distribution's width by it [1]. Here each predictor's squared error at the pixels to the
left, above, above left and above right, as a logarithm, enters the first 1x1 layer of the head, and the params
themselves, so that a component's weight and width can follow how well its own predictor has done.

The errors are a convolution of the canvas, `error_kernel`; gradients do not reach the predictors through it.

[1] Wu and Memon 1997, Context-based, adaptive, lossless image coding
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.canvas import Canvas
from models.head import Head
from models.layers.maps import Conv1x1
from models.layers.masked import conv2d
from models.predictors import ABOVE, NEIGHBOURS, SIDE, LinearPredictors

LEAST = 1 / 255  # of an error, half a level: what a prediction's rounding leaves
MIDDLE, SPREAD = -6.0, 3.0  # of the logarithms on photos, roughly
ROWS, COLUMNS = ABOVE + 2, 2 * SIDE + 3  # of the window of `error_kernel`


class Energy(NamedTuple):
    """What enters the head's first layer, (B, width, ...), and what is added to the params, (B, P, ...)."""

    hidden: Tensor
    params: Tensor


class ErrorEnergy(nn.Module):
    """Adds to a head what the predictors' errors say.

    Args:
      count: k, the number of predictors of each channel.
      head: to which it adds; at first nothing.
    """

    def __init__(self, canvas: Canvas, count: int, head: Head, params: int):
        super().__init__()
        self.canvas = canvas
        errors = 3 * count * len(NEIGHBOURS)
        bias = head.into_first._parameters["bias"]
        assert bias is not None  # a head's layers have biases
        self.to_hidden = Conv1x1(errors, len(bias), bias=False)
        self.to_params = Conv1x1(errors, params, bias=False)
        for layer in (self.to_hidden, self.to_params):
            nn.init.zeros_(layer.weight)

    def forward(self, canvas: Tensor, predictors: LinearPredictors) -> Energy:
        """(B, 4, rows, columns), every pixel known -> each pixel's from those before it, at the hole's pixels."""
        with torch.autocast(canvas.device.type, enabled=False):
            x = F.pad(canvas[:, :3], (SIDE + 1, SIDE + 1, ABOVE + 1, 0))
            errors = conv2d(x, own_error_kernel(predictors), None)  # (B, 3 k, rows + 1, columns + 2)
            logs = log_energy(errors)
            top, left, h, w = self.canvas.top + 1, self.canvas.left + 1, self.canvas.height, self.canvas.width
            near = [logs[:, :, top + i : top + i + h, left + j : left + j + w] for i, j in NEIGHBOURS]
            energy = torch.cat(near, dim=1)  # (B, 12 k, h, w)
        return Energy(self.to_hidden(energy), self.to_params(energy))


def log_energy(errors: Tensor) -> Tensor:
    """The logarithm of squared errors in -1..1, about 0 and of about size 1."""
    return (torch.log(errors.square() + LEAST**2) - MIDDLE) / SPREAD


def own_error_kernel(predictors: LinearPredictors) -> Tensor:
    """A kernel (3 k, 3, ABOVE + 1, 2 SIDE + 1) that gives a pixel's own errors."""
    kernel = -predictors.kernel().detach()
    which = torch.arange(len(kernel))
    kernel[which, which * 3 // len(kernel), ABOVE, SIDE] += 1
    return kernel


def error_kernel(predictors: LinearPredictors) -> Tensor:
    """A kernel (12 k, 3, ROWS, COLUMNS) that gives the errors at the four NEIGHBOURS of a pixel."""
    own = own_error_kernel(predictors)
    shifted = [F.pad(own, (1 + j, 1 - j, 1 + i, -i)) for i, j in NEIGHBOURS]
    return torch.cat(shifted)
