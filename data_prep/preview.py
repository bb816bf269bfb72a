"""--preview: a picture of a file's content, some images of each split: border, center, both, captions."""

import textwrap

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from data_prep.files import replacing, save_png
from data_prep.h5file import FileInfo, describe
from data_prep.hole import channels_last
from data_prep.recognise import PREVIEW

ROWS = 6  # images of each split
TILE, GAP, TEXT = 128, 8, 620  # pixels
LINES = 5  # captions shown of an image
PAPER, INK, HATCH = (255, 255, 255), (30, 30, 30), (170, 170, 170)


def preview(path, out, overwrite: bool = False) -> None:
    """Draw the first images of every split of `path` into the PNG `out`.

    Raises:
      InputError: `path` is not a valid file of the schema, or `out` must not be replaced.
    """
    info = describe(path)
    rows = [(name, i) for name, split in info.splits.items() for i in range(min(ROWS, split.n))]
    columns = GAP + 3 * (TILE + GAP)
    picture = Image.new("RGB", (columns + TEXT, GAP + len(rows) * (TILE + GAP)), PAPER)
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(13)
    for row, (name, i) in enumerate(rows):
        top = GAP + row * (TILE + GAP)
        for column, pixels in enumerate(_three_views(info, name, i)):
            tile = Image.fromarray(pixels).resize((TILE, TILE), Image.Resampling.NEAREST)
            picture.paste(tile, (GAP + column * (TILE + GAP), top))
        split = info.splits[name]
        lines = [f"{name} {i}: {split.file_name[i]} (id {split.image_id[i]})"]
        for caption in split.captions_of(i)[:LINES]:
            text = " ".join(caption[:1000].split())
            lines += textwrap.wrap(text, 92, initial_indent="- ", subsequent_indent="  ")[:2]
        pen.multiline_text((columns, top), "\n".join(lines[:8]), INK, font, spacing=3)
    with replacing(out, PREVIEW, overwrite) as temporary:
        save_png(picture, temporary, "preview")


def _three_views(info: FileInfo, name: str, i: int) -> list[np.ndarray]:
    """Border with its hole hatched, center alone, and whole image: uint8 (S, S, 3) each."""
    split, size, (height, width) = info.splits[name], info.image_size, info.hole[2:]
    inside = channels_last(info.hole)
    whole = _read(info, split.border_offset, i, size, size)
    center = _read(info, split.center_offset, i, height, width)
    border, alone = whole.copy(), np.full_like(whole, 255)
    stripes = np.add.outer(np.arange(height), np.arange(width)) % 4 == 0
    border[inside] = np.where(stripes[:, :, None], np.uint8(HATCH), np.uint8(PAPER))
    alone[inside] = center
    whole[inside] = center
    return [border, alone, whole]


def _read(info: FileInfo, offset: int, i: int, height: int, width: int) -> np.ndarray:
    size = height * width * 3
    with open(info.path, "rb") as file:
        file.seek(offset + i * size)
        return np.frombuffer(file.read(size), np.uint8).reshape(height, width, 3).copy()
