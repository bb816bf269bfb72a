"""Border and center put together, for looking at and for the filled photo itself. uint8 tensors throughout."""

import torch


def paste(border, center, hole):
    """The border with `center` in its hole; every other pixel is the border's own, byte for byte.

    Args:
      border: uint8 (n, 3, H, W).
      center: uint8 (n, 3, h, w).
      hole: (top, left, h, w).

    Returns:
      A new uint8 (n, 3, H, W).
    """
    top, left, h, w = hole
    image = border.clone()
    image[..., top : top + h, left : left + w] = center
    return image


def hatch(border, hole):
    """The border with its hole hatched in two greys, which no one takes for black pixels."""
    _, _, h, w = hole
    rows, columns = torch.arange(h)[:, None], torch.arange(w)
    stripes = torch.where((rows + columns) % 8 < 4, 104, 152).to(torch.uint8)  # (h, w)
    return paste(border, stripes.to(border.device), hole)


def as_pixels(mean):
    """A float mean in 0..255 rounded to the uint8 image that shows it."""
    return mean.round().clamp(0, 255).to(torch.uint8)
