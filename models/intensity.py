"""The one place where intensities 0..255 become -1..1, and back."""

import torch
from torch import Tensor


def normalize(x: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Intensities 0..255 of any dtype -> -1..1."""
    return x.to(dtype) / 127.5 - 1


def denormalize(x: Tensor) -> Tensor:
    """-1..1 -> 0..255, not rounded."""
    return 127.5 * x + 127.5
