"""Colors made grey, as Pillow does: for models of grey images, and for photos that hold no colors."""

import numpy as np
import torch
from PIL import Image

from models import Inpainter


def for_model(model: Inpainter, pixels: np.ndarray) -> np.ndarray:
    """A photo as a model of its kind reads it: uint8 (H, W, 3), three equal channels for a model of grey images."""
    if model.config["channels"] == 1:
        return np.asarray(Image.fromarray(pixels).convert("L").convert("RGB"))
    return pixels


def luma(colors: torch.Tensor) -> torch.Tensor:
    """Each pixel's brightness in all three channels: uint8 (B, 3, h, w), to the level what Pillow's mode L has."""
    weights = torch.tensor([19595, 38470, 7471], dtype=torch.int32, device=colors.device)  # of 65536
    grey = ((colors.int() * weights[:, None, None]).sum(dim=1, keepdim=True) + 32768) >> 16
    return grey.to(torch.uint8).expand_as(colors)
