"""Squares of 64 x 64 pixels, cut out of large photos: training photos that were only made smaller, not saved as JPEGs.

python examples/squares.py photos/land:10 photos/indoors:25 --out squares
python data_prep/build_h5.py --coco coco_train64 --split train --folder squares --out more.h5

Each folder comes with the number of squares from each of its JPEGs. A square is made smaller by 2.2 times or more, so
that nothing is left of its photo's JPEG blocks. The most detailed of three squares is taken, as many are bare sky. Its
caption is "a photo of" and the letters of its photo's name. The same photos give the same squares.
"""

import argparse
import random
import re
import sys
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 64
SMALLEST = 141  # pixels of the photo a side, 2.2 times SIDE
DRAWN = 3  # squares, of which one is taken


def square(photo: Image.Image, chance: random.Random) -> Image.Image:
    """A square anywhere in a photo, of any size, made smaller to SIDE x SIDE."""
    side = round(SMALLEST * (min(photo.size) / SMALLEST) ** chance.random())
    left, top = chance.randint(0, photo.width - side), chance.randint(0, photo.height - side)
    return photo.resize((SIDE, SIDE), Image.Resampling.LANCZOS, box=(left, top, left + side, top + side))


def detail(image: Image.Image) -> float:
    """The mean difference between neighbours in a row, in intensities."""
    return float(np.abs(np.diff(np.asarray(image, dtype=float), axis=1)).mean())


def cut(photo: Path, number: int, out: Path) -> int:
    """Write `number` squares of a photo, PNG and caption, into `out`; returns how many: 0 of a grey or small photo."""
    chance = random.Random(photo.name)
    with Image.open(photo) as opened:
        image = opened.copy()
    if image.mode != "RGB" or min(image.size) < SMALLEST:
        return 0
    caption = " ".join(["a photo of", *re.findall("[a-z]+", photo.stem.lower())]) + "\n"
    for k in range(number):
        best = max((square(image, chance) for _ in range(DRAWN)), key=detail)
        best.save(out / f"{photo.stem}-{k}.png")
        (out / f"{photo.stem}-{k}.txt").write_text(caption)
    return number


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", metavar="FOLDER:N", help="a folder of photos, and squares of each")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder for the squares")
    args = parser.parse_args()
    wanted = []
    for given in args.folders:
        folder, _, number = given.rpartition(":")
        if not Path(folder).is_dir() or not number.isdecimal():
            parser.error(f"{given}: not a folder, a colon and a number")
        wanted.append((Path(folder), int(number)))
    photos = [(photo, number) for folder, number in wanted for photo in sorted(folder.rglob("*.jpg"))]
    try:
        args.out.mkdir(parents=True)
    except OSError as error:
        parser.exit(1, f"error: {args.out}: {error.strerror}\n")
    written = 0
    for photo, number in photos:
        if (args.out / f"{photo.stem}-0.png").exists():
            print(f"left out: {photo}: another photo has its name", file=sys.stderr)
            continue
        try:
            written += cut(photo, number, args.out)
        except OSError as error:
            print(f"left out: {photo}: {error}", file=sys.stderr)
    print(f"{written:,} squares in {args.out}")


if __name__ == "__main__":
    main()
