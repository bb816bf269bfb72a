"""Panels for TensorBoard: original | border | samples | mean, and the captions as text."""

import torch

from data_prep.printing import printable
from inpaint.sampling import grid_rows
from inpaint.tiles import as_pixels, hatch, paste
from inpaint.torchvision_compat import torchvision


def image_panel(model, photos, indices, samples=3, seed=0):
    """Fill photos with samples and tile them into one image.

    Args:
      model: an Inpainter; its mode (train or eval) is restored.
      photos: a `Photos` split.
      indices: which of its images, one a row.
      samples: number of samples a row.
      seed: of the samples; fixed, so that panels of different steps use the same noise.

    Returns:
      uint8 (3, H', W'), for `SummaryWriter.add_image`.
    """
    rows = grid_rows(model, photos, indices, samples, seed)
    tiles = torch.cat([_tiles(row, photos.hole) for row in rows])  # (n * columns, 3, H, W)
    return torchvision.utils.make_grid(tiles, nrow=len(tiles) // len(rows), padding=2, pad_value=255)


def caption_text(photos, indices):
    """The captions of a panel's rows as Markdown, for `SummaryWriter.add_text`: a numbered list, top row first."""
    lines = [printable(" ".join(caption.split())) or "(no caption)" for caption in photos.first_captions(indices)]
    return "\n".join(f"{row}. {_escaped(line)}" for row, line in enumerate(lines, start=1))


def _tiles(row, hole):
    """uint8 (columns, 3, H, W): original, border, samples, mean."""
    centers = [row.original, *row.samples, *([] if row.mean is None else [as_pixels(row.mean)])]
    border = row.border[None]
    filled = paste(border.expand(len(centers), -1, -1, -1), torch.stack(centers), hole)
    return torch.cat([filled[:1], hatch(border, hole), filled[1:]])


def _escaped(text):
    """Markdown that shows the text as it is: neither an entity of HTML nor the start of a list is read as one."""
    entities = {"&": "&amp;", "<": "&lt;"}
    return "".join(entities.get(c) or (f"\\{c}" if c in r"\`*_{}[]>#+-.!|" else c) for c in text)
