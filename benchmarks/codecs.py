"""What lossless codecs need for the center given the border, beside which a model's bits/dim can be read.

    python benchmarks/codecs.py --data flickr8k.h5 [--split val] [--limit 1000]

A codec's cost of the center is the size of the whole photo minus the size of the photo with its hole blank: the nearest
that a codec comes to a conditional code, and no exact one: a blank hole costs a little, and what a codec learns of the
hole helps it with the border, which is why more effort can look worse. JPEG XL is measured where the package
pillow-jxl-plugin is installed.
"""

import argparse
import contextlib
import io
import math

import numpy as np
from PIL import Image

from data_prep.errors import run_main
from inpaint.dataset import Photos

FORMATS = {
    "PNG": {"format": "PNG", "optimize": True},
    "WebP lossless": {"format": "WEBP", "lossless": True, "quality": 100, "method": 6},
    "JPEG XL, effort 7": {"format": "JXL", "lossless": True, "effort": 7},
    "JPEG XL, effort 9": {"format": "JXL", "lossless": True, "effort": 9},
}


def size_of(pixels: np.ndarray, options: dict) -> int:
    """Bytes of an image (H, W, 3) uint8 in a format."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, **options)
    return len(file.getvalue())


def codec_bits_per_dim(photos: Photos, indices: np.ndarray, options: dict) -> tuple[float, float]:
    """Bits per sub-pixel of the center: mean over images and its standard error."""
    _, _, h, w = photos.hole
    whole, blank = photos.whole(indices), photos.images(indices)[0]
    bits = []
    for image, border in zip(whole, blank, strict=True):
        full, rest = (size_of(x.permute(1, 2, 0).numpy(), options) for x in (image, border))
        bits.append(8 * (full - rest) / (3 * h * w))
    return float(np.mean(bits)), float(np.std(bits) / math.sqrt(len(bits)))


def histogram_bits_per_dim(photos: Photos, indices: np.ndarray) -> float:
    """Bits per sub-pixel under the frequencies of the 256 values of each channel, taken from these very centers."""
    center = photos.images(indices)[1].numpy()  # (N, 3, h, w)
    entropies = []
    for channel in range(3):
        p = np.bincount(center[:, channel].ravel(), minlength=256) / center[:, channel].size
        entropies.append(-(p[p > 0] * np.log2(p[p > 0])).sum())
    return float(np.mean(entropies))


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, metavar="FILE.h5", help="file that build_h5.py wrote")
    parser.add_argument("--split", default="val", help="which split (default: %(default)s)")
    parser.add_argument(
        "--limit", type=int, default=1000, metavar="N", help="the first N images (default: %(default)s)"
    )
    options = parser.parse_args(argv)
    with contextlib.suppress(ImportError):
        import pillow_jxl  # noqa: F401  registers the format with Pillow
    Image.init()
    photos = Photos(options.data, options.split)
    indices = np.arange(min(options.limit, len(photos)))
    print(f"bits/dim of the center given the border, {len(indices)} photos of {options.data}, {options.split}")
    print(f"{'uniform':20}{8:6.2f}")
    print(f"{'channel histograms':20}{histogram_bits_per_dim(photos, indices):6.2f}")
    for name, how in FORMATS.items():
        if how["format"] not in Image.SAVE:
            print(f"{name:20}   not measured: this Pillow cannot write it")
            continue
        mean, error = codec_bits_per_dim(photos, indices, how)
        print(f"{name:20}{mean:6.2f} ± {error:.2f}")


if __name__ == "__main__":
    run_main(main)
