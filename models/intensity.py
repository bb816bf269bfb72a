"""The one place where intensities 0..255 become -1..1, and back."""

import torch
from torch import Tensor

HALF_RANGE = 127.5  # levels from the middle, 0, to either end


def normalize(x: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Intensities 0..255 of any dtype -> -1..1."""
    return x.to(dtype) / HALF_RANGE - 1


def denormalize(x: Tensor) -> Tensor:
    """-1..1 -> 0..255, not rounded."""
    return HALF_RANGE * x + HALF_RANGE


def denormalize_(x: Tensor) -> Tensor:
    """`denormalize` in place."""
    return x.mul_(HALF_RANGE).add_(HALF_RANGE)
