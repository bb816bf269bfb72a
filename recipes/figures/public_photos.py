"""Lay out five free photos, with captions, as a COCO folder: what the grid in README is made from.

    python recipes/figures/public_photos.py FOLDER
    python data_prep/build_h5.py --coco FOLDER --out photos.h5
    python evaluate.py --checkpoint FILE.pt --data photos.h5 --split val --samples 4 --grid grid.png

The photos come with scikit-image, whose documentation gives their origin: `astronaut`, `rocket` and `hubble_deep_field`
are NASA's and in the public domain, `chelsea` and `coffee` are CC0. The captions are ours.
"""

import json
import sys
from pathlib import Path

from PIL import Image
from skimage import data

CAPTIONS = {
    "astronaut": "a smiling astronaut in an orange suit in front of a flag",
    "chelsea": "a close up of the face of a brown cat",
    "coffee": "a cup of coffee and a spoon on a saucer on a wooden table",
    "rocket": "a rocket on its launch pad under a dark blue sky",
    "hubble_deep_field": "galaxies and stars in the black night sky",
}


def main(folder: Path) -> None:
    photos, annotations = folder / "val", folder / "annotations"
    photos.mkdir(parents=True, exist_ok=True)
    annotations.mkdir(exist_ok=True)
    listing = {"images": [], "annotations": []}
    for number, (name, caption) in enumerate(CAPTIONS.items(), start=1):
        Image.fromarray(getattr(data, name)()).save(photos / f"{name}.png")
        listing["images"].append({"id": number, "file_name": f"{name}.png"})
        listing["annotations"].append({"id": number, "image_id": number, "caption": caption})
    (annotations / "captions_val.json").write_text(json.dumps(listing, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
