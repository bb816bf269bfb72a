"""Holes in four free photos, filled: docs/temperatures.png and docs/detail.png.

python examples/pictures.py --out docs
"""

import argparse
from pathlib import Path

import numpy as np
import skimage
import torch
from PIL import Image, ImageDraw, ImageFont

from inpaint.detail import fill_detail
from inpaint.holes import fill_hole
from inpaint.ready import ready
from models import Inpainter

TEMPERATURES = (1.0, 0.9, 0.8, 0.7, 0.6)
CAPTIONS = {  # photos that come with scikit-image, CC0 or in the public domain
    "coffee.png": "a cup of coffee on a wooden table",
    "chelsea.png": "a cat looks at the camera",
    "astronaut.png": "a smiling woman in an orange suit",
    "rocket.jpg": "a rocket at night",
}
BOXES = {
    "coffee.png": (420, 130, 64, 64),
    "chelsea.png": (250, 60, 64, 64),
    "astronaut.png": (300, 250, 96, 96),
    "rocket.jpg": (180, 300, 96, 96),
}
LARGE = {"coffee.png": (400, 100, 128, 128), "rocket.jpg": (150, 250, 128, 128)}
SAMPLES = 4  # of which the likeliest is shown
TILE, LINE, GAP = 144, 20, 6  # pixels: a tile's side, a heading's height, between tiles
Box = tuple[int, int, int, int]


class Photo:
    """A photo of scikit-image with a hole."""

    def __init__(self, name: str, box: Box):
        self.box, self.caption = box, CAPTIONS[name]
        self.pixels = np.asarray(Image.open(Path(skimage.__file__).parent / "data" / name).convert("RGB"))
        self.unknown = np.zeros(self.pixels.shape[:2], bool)
        x, y, width, height = box
        self.unknown[y : y + height, x : x + width] = True

    def with_colors(self, colors, size: int) -> Image.Image:
        """The hole, in these colors, and as much again around it, `size` pixels wide."""
        pixels = self.pixels.copy()
        pixels[self.unknown] = colors
        x, y, width, height = self.box
        around = (x - width // 2, y - height // 2, x + width + width // 2, y + height + height // 2)
        return Image.fromarray(pixels).crop(around).resize((size, size), Image.Resampling.NEAREST)

    def between(self, fills: list, size: int) -> list[Image.Image]:
        """The hole in grey, fills of it, and the original."""
        return [self.with_colors(colors, size) for colors in (128, *fills, self.pixels[self.unknown])]


def temperatures(model: Inpainter, photo: Photo) -> list[Image.Image]:
    options = {"samples": SAMPLES, "dtype": torch.float32}
    arguments = (model, photo.pixels, photo.unknown, photo.caption)
    return photo.between([fill_hole(*arguments, temperature=t, **options).colors[0] for t in TEMPERATURES], TILE)


def details(model: Inpainter, photo: Photo) -> list[Image.Image]:
    options = {"samples": SAMPLES, "dtype": torch.float32, "temperature": 0.8}
    arguments = (model, photo.pixels, photo.unknown, photo.caption)
    enlarged = fill_hole(*arguments, **options).colors[0]
    tiled = [fill_detail(*arguments, exact=exact, **options).colors[0] for exact in (False, True)]
    return photo.between([enlarged, *tiled], 2 * photo.box[2])


def write(path: Path, headings: list[str], rows: list[list[Image.Image]]) -> None:
    """Write rows of tiles with a heading over each column."""
    size = rows[0][0].width
    canvas = Image.new("RGB", (len(headings) * (size + GAP) + GAP, LINE + len(rows) * (size + GAP) + GAP), "white")
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(13)
    for column, heading in enumerate(headings):
        pen.text((GAP + column * (size + GAP), 3), heading, fill="black", font=font)
        for row, tiles in enumerate(rows):
            canvas.paste(tiles[column], (GAP + column * (size + GAP), LINE + GAP + row * (size + GAP)))
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", metavar="FILE", help="without it, the weights of the package")
    parser.add_argument("--out", default=".", metavar="DIR", help="the folder to write to")
    args = parser.parse_args()
    model, out = ready(args.checkpoint).model, Path(args.out)
    headings = ["hole", *(f"temperature {temperature}" for temperature in TEMPERATURES), "original"]
    rows = [temperatures(model, Photo(name, box)) for name, box in BOXES.items()]
    write(out / "temperatures.png", headings, rows)
    rows = [details(model, Photo(name, box)) for name, box in LARGE.items()]
    write(out / "detail.png", ["hole", "enlarged", "--detail", "--detail exact", "original"], rows)


if __name__ == "__main__":
    main()
