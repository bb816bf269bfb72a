"""Pixels as a decoder reads them: checked, in -1..1, zero where unknown, with the mask of known pixels."""

import torch
from torch import Tensor

from models.canvas import Hole
from models.intensity import normalize
from models.layers.region import Region, window
from models.likelihoods.base import LEVELS, Likelihood


def at_hole(x: Tensor, hole: Hole) -> Tensor:
    """View the hole: (B, C, S, S) -> (B, C, h, w)."""
    return window(x, Region.whole(*x.shape[2:]), Region.of_hole(hole, *x.shape[2:]))


def image_of(border: Tensor, known: Tensor | None, hole: Hole, likelihood: Likelihood) -> Tensor:
    """Intensities in -1..1, zero where unknown, and the mask: float32 (B, 4, S, S).

    Args:
      border: uint8 (B, 3, S, S).
      known: bool (B, 1, S, S), true where a pixel is known; None for all outside the hole and none inside. What is
        known inside is quantized as the likelihood says.
    """
    if known is None:
        mask = torch.ones(1, 1, *border.shape[2:], device=border.device)
        at_hole(mask, hole).zero_()
    else:
        mask = known.float()  # (B, 1, S, S)
        if likelihood.levels < LEVELS:
            border = border.clone()
            inside = at_hole(border, hole)
            inside.copy_(likelihood.quantize(inside))
    image = normalize(border) * mask  # (B, 3, S, S)
    image = torch.cat([image, mask.expand(border.shape[0], -1, -1, -1)], dim=1)  # (B, 4, S, S)
    return image.to(memory_format=torch.channels_last)


def check_pixels(name: str, x: Tensor, shape: tuple[int, ...]) -> None:
    """Raises: ValueError unless x is uint8 of that shape."""
    if x.dtype != torch.uint8 or tuple(x.shape) != shape:
        raise ValueError(f"{name} must be uint8 {shape}, not {_kind(x)}")


def check_known(known: Tensor | None, border: Tensor) -> None:
    """Raises: ValueError unless `known` is None or a mask for the border."""
    if known is None:
        return
    shape = (border.shape[0], 1, *border.shape[2:])
    if known.dtype != torch.bool or tuple(known.shape) != shape:
        raise ValueError(f"known must be bool {shape}, not {_kind(known)}")


def _kind(x: Tensor) -> str:
    return f"{str(x.dtype).removeprefix('torch.')} {tuple(x.shape)}"
