"""The sample grid: a row for each image, with its border, samples, mean, original and caption.

Drawn by Pillow: torchvision's make_grid, which the TensorBoard panel uses, has no lettering, and textwrap counts
characters, not pixels.
"""

import dataclasses

import torch
from PIL import Image, ImageDraw, ImageFont

from data_prep.files import replacing, save_png
from data_prep.recognise import GRID
from inpaint.tiles import as_pixels, hatch, paste

TILE = 128  # tiles are enlarged by a whole factor to about this many pixels
GAP = 6
CAPTION_WIDTH = 260
MAX_LINES = 8
LINE = 16  # height of a line of text


@dataclasses.dataclass
class Row:
    """One row of the grid.

    Attributes:
      border: uint8 (3, H, W).
      samples: uint8 (K, 3, h, w).
      mean: float (3, h, w) in 0..255, or None.
      original: the true center, uint8 (3, h, w).
      caption: "" for none, or a list of those that were given at once.
      known: bool (1, H, W), true where a pixel is known; None for all outside the hole.
    """

    border: torch.Tensor
    samples: torch.Tensor
    mean: torch.Tensor | None
    original: torch.Tensor
    caption: str | list[str]
    known: torch.Tensor | None = None


def draw(rows, hole, sample_is_mean=False):
    """Draw the grid: border | samples | mean | original, captions beside them, a heading over each column.

    Args:
      rows: at least one `Row`; all have equally many samples, and all or none have a mean.
      hole: (top, left, h, w); its unknown pixels are hatched in the border's column.
      sample_is_mean: label the samples as means (bernoulli).

    Returns:
      A PIL image, RGB.
    """
    height, width = rows[0].border.shape[1:]
    scale = max(1, round(TILE / max(height, width)))
    tiles = [row_images(row, hole) for row in rows]
    titles = headings(rows[0], sample_is_mean)
    font = ImageFont.load_default(13)
    step_x, step_y = width * scale + GAP, height * scale + GAP
    top = 2 * GAP + LINE
    step_y = max(step_y, 3 * LINE + GAP)
    columns = len(titles)
    canvas = Image.new("RGB", (GAP + columns * step_x + CAPTION_WIDTH + GAP, top + len(rows) * step_y), "white")
    pen = ImageDraw.Draw(canvas)
    for column, heading in enumerate([*titles, "caption"]):
        pen.text((GAP + column * step_x, GAP), _fit(heading, step_x - GAP, font), fill="black", font=font)
    for r, (row, images) in enumerate(zip(rows, tiles, strict=True)):
        y = top + r * step_y
        for column, image in enumerate(images):
            tile = Image.fromarray(image.permute(1, 2, 0).contiguous().cpu().numpy())
            tile = tile.resize((width * scale, height * scale), Image.Resampling.NEAREST)
            canvas.paste(tile, (GAP + column * step_x, y))
        text = row.caption if isinstance(row.caption, str) else " / ".join(row.caption)
        lines = wrap(text, CAPTION_WIDTH - GAP, font, min(MAX_LINES, (step_y - GAP) // LINE)) or ["(no caption)"]
        color = "black" if text.strip() else "gray"
        for i, line in enumerate(lines):
            pen.text((GAP + columns * step_x, y + LINE * i), line, fill=color, font=font)
    return canvas


def write(path, rows, hole, sample_is_mean=False, overwrite=False):
    """Draw the grid (see `draw`) and write it as PNG, atomically. Replaces only an earlier grid, unless `overwrite`.

    Raises:
      InputError: the file cannot be written.
    """
    with replacing(path, GRID, overwrite) as temporary:
        save_png(draw(rows, hole, sample_is_mean), temporary, "grid")


def wrap(text, width, font, max_lines):
    """Break `text` into at most `max_lines` lines of at most `width` pixels; a text cut short ends in "...".

    Characters that UTF-8 cannot encode are replaced; words wider than a line are broken.
    """
    words = text[:2000].encode("utf-8", "replace").decode().split()
    lines = []
    while words:
        if len(lines) == max_lines:
            lines[-1] = _fit(lines[-1] + " ...", width, font)
            break
        line = words.pop(0)
        while words and font.getlength(f"{line} {words[0]}") <= width:
            line = f"{line} {words.pop(0)}"
        fits = min(len(line), int(width) // 2)  # no letter is narrower than 2 pixels
        while font.getlength(line[:fits]) > width and fits > 1:
            fits -= 1
        if fits < len(line):
            words.insert(0, line[fits:])
        lines.append(line[:fits])
    return lines


def row_images(row, hole):
    """A row's images, uint8 (columns, 3, H, W), in the order of `headings`."""
    filled = [*row.samples]
    if row.mean is not None:
        filled.append(as_pixels(row.mean))
    filled.append(row.original)
    centers = torch.stack([center.cpu() for center in filled])  # (columns - 1, 3, h, w)
    border = row.border.cpu()[None]
    return torch.cat([hatch(border, hole, row.known), paste(border.expand(len(centers), -1, -1, -1), centers, hole)])


def headings(row, sample_is_mean):
    """Headings of the image columns."""
    word = "sample = mean" if sample_is_mean else "sample"
    count = len(row.samples)
    samples = [word] if count == 1 else [f"{word} {k}" if not sample_is_mean else word for k in range(count)]
    return ["border", *samples, *(["mean"] if row.mean is not None else []), "original"]


def _fit(text, width, font):
    """Cut `text` to `width` pixels; a text cut short ends in "..."."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text + "..."
