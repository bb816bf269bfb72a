"""A hole in each of four free photos, filled at several temperatures: docs/temperatures.png.

python examples/temperatures.py --out docs/temperatures.png
"""

import argparse
from pathlib import Path

import numpy as np
import skimage
import torch
from PIL import Image, ImageDraw, ImageFont

from inpaint.holes import fill_hole
from inpaint.ready import ready
from models import Inpainter

TEMPERATURES = (1.0, 0.9, 0.8, 0.7, 0.6)
HOLES = {  # photos that come with scikit-image, CC0 or in the public domain
    "coffee.png": ((420, 130, 64, 64), "a cup of coffee on a wooden table"),
    "chelsea.png": ((250, 60, 64, 64), "a cat looks at the camera"),
    "astronaut.png": ((300, 250, 96, 96), "a smiling woman in an orange suit"),
    "rocket.jpg": ((180, 300, 96, 96), "a rocket at night"),
}
TILE, LINE, GAP = 144, 20, 6  # pixels: a tile's side, a heading's height, between tiles


def near(pixels: np.ndarray, box: tuple[int, int, int, int]) -> Image.Image:
    """The hole and as much again around it, enlarged."""
    x, y, width, height = box
    around = (x - width // 2, y - height // 2, x + width + width // 2, y + height + height // 2)
    return Image.fromarray(pixels).crop(around).resize((TILE, TILE), Image.Resampling.NEAREST)


def tiles(model: Inpainter, name: str, box: tuple[int, int, int, int], caption: str) -> list[Image.Image]:
    """The hole in grey, the likeliest of four fills at each temperature, and the original."""
    pixels = np.asarray(Image.open(Path(skimage.__file__).parent / "data" / name).convert("RGB"))
    x, y, width, height = box
    unknown = np.zeros(pixels.shape[:2], bool)
    unknown[y : y + height, x : x + width] = True
    shown = [near(np.where(unknown[..., None], np.uint8(128), pixels), box)]
    for temperature in TEMPERATURES:
        fills = fill_hole(model, pixels, unknown, caption, samples=4, temperature=temperature, dtype=torch.float32)
        filled = pixels.copy()
        filled[unknown] = fills.colors[0]
        shown.append(near(filled, box))
    return [*shown, near(pixels, box)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", metavar="FILE", help="without it, the weights of the package")
    parser.add_argument("--out", default="temperatures.png", metavar="FILE.png", help="the picture to write")
    args = parser.parse_args()
    model = ready(args.checkpoint).model
    headings = ["hole", *(f"temperature {temperature}" for temperature in TEMPERATURES), "original"]
    canvas = Image.new("RGB", (len(headings) * (TILE + GAP) + GAP, LINE + len(HOLES) * (TILE + GAP) + GAP), "white")
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(13)
    for column, heading in enumerate(headings):
        pen.text((GAP + column * (TILE + GAP), 3), heading, fill="black", font=font)
    for row, (name, (box, caption)) in enumerate(HOLES.items()):
        for column, tile in enumerate(tiles(model, name, box, caption)):
            canvas.paste(tile, (GAP + column * (TILE + GAP), LINE + GAP + row * (TILE + GAP)))
    canvas.save(args.out)


if __name__ == "__main__":
    main()
