"""Maps of nats over a photo: what surprises the model at each unknown pixel, and what it expected there."""

import matplotlib
import numpy as np
from PIL import Image

from inpaint.holes import Seen

SURPRISE, ENTROPY = "RdBu_r", "viridis"  # matplotlib's color maps
PALE = 0.35  # share of the photo's own contrast that is left outside the hole


def limit_of(values: np.ndarray, drawn: np.ndarray) -> float:
    """The nats per pixel that get a map's strongest color: those that one pixel in a hundred exceeds, at least 0.1."""
    return max(0.1, float(np.quantile(np.abs(values[drawn]), 0.99)))


def draw(pixels: np.ndarray, unknown: np.ndarray, seen: Seen, values: np.ndarray, color_map: str) -> Image.Image:
    """Draw a map over a pale grey photo, at the photo's size.

    Args:
      pixels: uint8 (H, W, 3).
      unknown: bool (H, W), the pixels to color.
      seen: the hole as the model saw it.
      values: float (h, w), nats of each pixel of the model's hole.
      color_map: SURPRISE, white at 0, or ENTROPY.

    Returns: RGB.
    """
    limit = limit_of(values, seen.drawn.numpy())
    low = -limit if color_map == SURPRISE else 0.0
    shares = np.clip((values - low) / (limit - low), 0, 1)
    colors = matplotlib.colormaps[color_map](shares, bytes=True)[..., :3]  # uint8 (h, w, 3)
    grey = np.asarray(Image.fromarray(pixels).convert("L")).astype(np.float32)
    canvas = np.repeat((255 - PALE * (255 - grey))[..., None], 3, axis=2).astype(np.uint8)
    rows, columns = np.nonzero(unknown)
    top, left, *_ = seen.hole
    down = (rows - seen.window.top) * seen.window.image_size // seen.window.side - top
    across = (columns - seen.window.left) * seen.window.image_size // seen.window.side - left
    canvas[rows, columns] = colors[down, across]
    return Image.fromarray(canvas)
