"""Lay out five free photos, with captions, as a COCO folder: the grids beside this file are made from it.

    python recipes/figures/public_photos.py FOLDER
    python data_prep/build_h5.py --coco FOLDER --out photos.h5
    python evaluate.py --checkpoint FILE.pt --data photos.h5 --split val --samples 4 --grid grid.png

The photos come with scikit-image, whose documentation gives their origin: `astronaut`, `rocket` and `hubble_deep_field`
are NASA's and in the public domain, `chelsea` and `coffee` are CC0. The captions are ours.
"""

import argparse
import json
import sys
from pathlib import Path

from PIL import Image
from skimage import data

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # so that it runs as a script, from anywhere

from data_prep.errors import run_main
from data_prep.files import replacing, save_png, write_json
from data_prep.outputs import check_outputs
from data_prep.recognise import PROGRAM, Kind, png_kind

INFO = {"contributor": PROGRAM, "description": "free photos that come with scikit-image"}

CAPTIONS = {
    "astronaut": "a smiling astronaut in an orange suit in front of a flag",
    "chelsea": "a close up of the face of a brown cat",
    "coffee": "a cup of coffee and a spoon on a saucer on a wooden table",
    "rocket": "a rocket on its launch pad under a dark blue sky",
    "hubble_deep_field": "galaxies and stars in the black night sky",
}


PHOTO = png_kind("public photo")
LISTING = Kind("a listing that this script wrote", lambda path: json.loads(path.read_bytes())["info"] == INFO)


def main(argv=None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where to lay them out")
    parser.add_argument("--overwrite", action="store_true", help="replace files that this script did not write")
    args = parser.parse_args(argv)
    folder = args.folder
    photos = {name: folder / "val" / f"{name}.png" for name in CAPTIONS}
    captions = folder / "annotations" / "captions_val.json"
    check_outputs([*((path, PHOTO) for path in photos.values()), (captions, LISTING)], overwrite=args.overwrite)
    listing = {"info": INFO, "images": [], "annotations": []}
    for number, (name, caption) in enumerate(CAPTIONS.items(), start=1):
        with replacing(photos[name], PHOTO, args.overwrite) as temporary:
            save_png(Image.fromarray(getattr(data, name)()), temporary, "public photo")
        listing["images"].append({"id": number, "file_name": f"{name}.png"})
        listing["annotations"].append({"id": number, "image_id": number, "caption": caption})
    write_json(captions, listing, LISTING, args.overwrite)


if __name__ == "__main__":
    run_main(main)
