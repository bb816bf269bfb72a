"""Images taken apart into border and center, and put together again. uint8 tensors throughout."""

import torch

from data_prep.hole import channels_first


def cut_center(images, hole, known=None):
    """Cut the center out of images: their hole is zeroed in place; with a mask, all that is unknown.

    Args:
      images: uint8 (n, 3, H, W).
      hole: (top, left, h, w).
      known: bool (n, 1, H, W), true where a pixel stays; None for all outside the hole.

    Returns:
      A new uint8 (n, 3, h, w).
    """
    inside = channels_first(hole)
    center = images[inside].clone()
    if known is None:
        images[inside] = 0
    else:
        images.masked_fill_(~known, 0)
    return center


def paste(border, center, hole):
    """Put `center` into the hole of `border`; all other pixels stay byte-equal.

    Args:
      border: uint8 (n, 3, H, W).
      center: uint8 (n, 3, h, w).
      hole: (top, left, h, w).

    Returns:
      A new uint8 (n, 3, H, W).
    """
    image = border.clone()
    image[channels_first(hole)] = center
    return image


def hatch(border, hole, known=None):
    """The border with its hole hatched in two greys, so that it is not taken for black pixels.

    Args:
      border: uint8 (n, 3, H, W).
      hole: (top, left, h, w).
      known: bool (n, 1, H, W): only the hole's unknown pixels are hatched; None for all of them.
    """
    _, _, h, w = hole
    rows, columns = torch.arange(h)[:, None], torch.arange(w)
    stripes = torch.where((rows + columns) % 8 < 4, 104, 152).to(torch.uint8)  # (h, w)
    hatched = paste(border, stripes.to(border.device), hole)
    return hatched if known is None else torch.where(known, border, hatched)


def as_pixels(mean):
    """Round a float mean in 0..255 to uint8."""
    return mean.round().clamp(0, 255).to(torch.uint8)
