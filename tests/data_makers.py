"""Photos, COCO folders and command lines that the tests of data_prep share."""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

SCRIPT = Path(__file__).resolve().parent.parent / "data_prep" / "build_h5.py"


def picture(seed=0, size=(80, 60), mode="RGB"):
    """A photo-like Image: a smooth gradient with some noise, different for every seed."""
    rng = np.random.default_rng(seed)
    width, height = size
    corners = rng.integers(0, 256, (2, 2, 3)).astype(np.uint8)
    smooth = np.asarray(Image.fromarray(corners).resize(size, Image.Resampling.BILINEAR), np.int64)
    noisy = np.clip(smooth + rng.integers(-9, 10, (height, width, 3)), 0, 255).astype(np.uint8)
    return Image.fromarray(noisy).convert(mode)


def encoded(image, kind="JPEG", **options):
    """The bytes of an image file."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def coco(root, sets, captions=2):
    """Lay out a COCO root: `sets` gives each set's photos, {"train2014": {name: bytes}}; ids count from 1 in each."""
    (root / "annotations").mkdir(parents=True)
    for set_name, photos in sets.items():
        images, annotations = [], []
        (root / set_name).mkdir()
        for number, (name, data) in enumerate(photos.items(), 1):
            (root / set_name / name).write_bytes(data)
            images.append({"id": number, "file_name": name})
            annotations += [{"image_id": number, "caption": f"Photo {number}, said {k}."} for k in range(captions)]
        write_json(root, set_name, {"images": images, "annotations": annotations})
    return root


def write_json(root, set_name, content):
    (root / "annotations" / f"captions_{set_name}.json").write_text(json.dumps(content))


def jpegs(count, prefix="p", size=(80, 60)):
    """`count` small photos, {name: bytes}; those of another prefix are other photos."""
    seeds = {number: number if prefix == "p" else [number, *prefix.encode()] for number in range(count)}
    return {f"{prefix}{number:04d}.jpg": encoded(picture(seed, size), quality=90) for number, seed in seeds.items()}


def command(*arguments):
    return [sys.executable, str(SCRIPT), *map(str, arguments)]


def run(*arguments, **options):
    """Run build_h5.py as a user does."""
    return subprocess.run(command(*arguments), capture_output=True, text=True, **options)


def is_one_line(done, code=1):
    """Whether a command failed with the exit code and one line on stderr, as docs/training.md says."""
    return done.returncode == code and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
