"""What lossless codecs need for the center given the border, beside which a model's bits/dim can be read.

    python benchmarks/codecs.py --data flickr8k.h5 flickr8k --data clean.h5 coco [--split val test] [--json]

A codec's cost of the center is the size of the whole photo minus the size of the photo with its hole blank: the nearest
that a codec comes to a conditional code, and no exact one: a blank hole costs a little, and what a codec learns of the
hole helps it with the border, which is why more effort can look worse. JPEG XL is measured where the package
pillow-jxl-plugin is installed.

Photos that were stored as JPEGs of 64 x 64 carry JPEG's traces, 8 x 8 blocks of rounded frequencies. A model can learn
them; the codecs here don't know them. Given the folder of the photos behind a file, the program says what they are:
decoded JPEGs, of which quality and how large as files, or larger photos that were only resized. Resized photos are
measured a second time, saved as JPEGs and decoded, so that the difference is JPEG's alone. `--beside photos` scores the
same centers by a model, each with its photo's first caption, and tells the codecs' cost over it, photo by photo.
"""

import argparse
import contextlib
import functools
import io
import json
import math
import os
import shlex
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from PIL import Image, features

import inpaint
from data_prep.decode import Rejected, decode
from data_prep.errors import CommandError, InputError, run_main
from data_prep.h5file import SPLITS, FileInfo, describe
from data_prep.hole import channels_last
from inpaint.dataset import Photos
from inpaint.tiles import cut_center
from models import Inpainter

FORMATS = {
    "PNG": {"format": "PNG", "optimize": True},
    "WebP lossless": {"format": "WEBP", "lossless": True, "quality": 100, "method": 6},
    "JPEG XL lossless, effort 7": {"format": "JXL", "lossless": True, "effort": 7},
    "JPEG XL lossless, effort 9": {"format": "JXL", "lossless": True, "effort": 9},
}
JPEG = {"format": "JPEG", "quality": 95, "subsampling": 0}  # as the photos of 64 x 64 were saved, color at full size
AT_ONCE = 20  # photos that a model scores together
DECODED, RESIZED = "decoded JPEGs", "only resized"


def encoded(pixels: np.ndarray, options: dict) -> bytes:
    """An image (H, W, 3) uint8 as a file of a format."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, **options)
    return file.getvalue()


def codec_bits(images: np.ndarray, hole: tuple[int, int, int, int], options: dict) -> np.ndarray:
    """Bits per sub-pixel of the center, float64 (N,), of images (N, H, W, 3) uint8."""
    _, _, h, w = hole
    bits = []
    for image in images:
        blank = image.copy()
        blank[channels_last(hole)] = 0
        bits.append(8 * (len(encoded(image, options)) - len(encoded(blank, options))) / (3 * h * w))
    return np.array(bits)


def histogram_bits_per_dim(images: np.ndarray, hole: tuple[int, int, int, int]) -> float:
    """Bits per sub-pixel under the frequencies of the 256 values of each channel, taken from these very centers."""
    centers = images[channels_last(hole)]  # (N, h, w, 3)
    entropies = []
    for channel in range(3):
        values = centers[..., channel].ravel()
        p = np.bincount(values, minlength=256) / values.size
        entropies.append(-(p[p > 0] * np.log2(p[p > 0])).sum())
    return float(np.mean(entropies))


@torch.no_grad()
def model_bits(model: Inpainter, images: np.ndarray, captions: list[str]) -> np.ndarray:
    """Bits per sub-pixel of the center by a model, float64 (N,), of images (N, H, W, 3) uint8."""
    bits = []
    for start in range(0, len(images), AT_ONCE):
        border = torch.from_numpy(images[start : start + AT_ONCE].transpose(0, 3, 1, 2).copy())
        center = cut_center(border, model.hole)
        nats = -model.log_prob(border, center, captions[start : start + AT_ONCE]).double().sum(dim=(1, 2, 3))
        bits.append(nats.numpy() / (math.log(2) * center[0].numel()))
    return np.concatenate(bits)


def beside(model: Inpainter, images: np.ndarray, captions: list[str], bits: dict[str, np.ndarray]) -> dict:
    """A model's figures, and each codec's cost over it, paired, with the share of photos that cost the codec more."""
    own, over = model_bits(model, images, captions), {}
    for name, theirs in bits.items():
        mean, stderr = mean_of(theirs - own)
        over[name] = {"mean": mean, "stderr": stderr, "better_on": round(float((theirs > own).mean()), 3)}
    return dict(zip(("bits_per_dim", "stderr"), mean_of(own), strict=True)) | {"codecs_over_it": over}


def mean_of(values: np.ndarray) -> tuple[float, float]:
    """The mean and its standard error."""
    return round(float(values.mean()), 4), round(float(values.std(ddof=1) / math.sqrt(len(values))), 4)


@functools.cache
def tables_of_jpeg(quality: int) -> dict:
    """The quantization tables that a JPEG of a quality carries, as Pillow reads them."""
    return Image.open(io.BytesIO(encoded(np.zeros((8, 8, 3), np.uint8), JPEG | {"quality": quality}))).quantization


def quality_of(photo: Image.Image) -> int | None:
    """The quality that a JPEG's quantization tables stand for; None if they are no libjpeg's."""
    for quality in range(100, 0, -1):
        tables = tables_of_jpeg(quality)
        if all(tables.get(number) == table for number, table in photo.quantization.items()):
            return quality
    return None


def as_files(files: list[bytes], image_size: int) -> float:
    """Bits of a whole file, header included, per sub-pixel of its image: the mean over files."""
    return round(8 * float(np.mean([len(file) for file in files])) / (3 * image_size**2), 4)


def originals(folder: Path, names: list[str], images: np.ndarray, data: str | Path) -> list[bytes]:
    """The files of photos in a folder, held against the pixels of the HDF5 file.

    Raises: InputError for a photo that is missing, there twice, or another than the file's.
    """
    places: dict[str, list[Path]] = {}
    for place in sorted(folder.rglob("*")):
        places.setdefault(place.name, []).append(place)
    files = []
    for name, image in zip(names, images, strict=True):
        found = places.get(Path(name).name, [])
        if len(found) != 1:
            raise InputError(f"{folder}: {name} is there {len(found)} times")
        file = found[0].read_bytes()
        try:
            same = np.array_equal(decode(file, len(image)), image)
        except Rejected as error:
            raise InputError(f"{found[0]}: {error}") from error
        if not same:
            raise InputError(f"{found[0]}: is not the photo in {data}")
        files.append(file)
    return files


def kind_of_photos(files: list[bytes], image_size: int, folder: Path) -> dict:
    """What the photos behind a file are. Raises InputError for both kinds in one folder."""
    photos = [Image.open(io.BytesIO(file)) for file in files]
    if all(photo.size == (image_size, image_size) and photo.format == "JPEG" for photo in photos):
        qualities = {quality_of(photo) for photo in photos}
        quality = qualities.pop() if len(qualities) == 1 else None
        return {"kind": DECODED, "quality": quality, "bits_per_dim_as_files": as_files(files, image_size)}
    if min(min(photo.size) for photo in photos) >= 2 * image_size:
        return {"kind": RESIZED, "shorter_side": [f([min(p.size) for p in photos]) for f in (min, _median, max)]}
    side = f"{image_size} x {image_size}"
    raise InputError(f"{folder}: neither JPEGs of {side} alone, nor photos alone that are twice as large and more")


def _median(sides: list[int]) -> int:
    return int(np.median(sides))


def measured(images: np.ndarray, hole: tuple[int, int, int, int], before: dict | None = None) -> tuple[list, dict]:
    """Every codec's figures, as they are stored, and its bits by image.

    Args:
      images: (N, H, W, 3) uint8.
      before: the bits by image of the same photos before they were JPEGs, to tell what JPEG adds.
    """
    codecs = [{"codec": "uniform", "bits_per_dim": 8.0}]
    codecs.append({"codec": "channel histograms", "bits_per_dim": round(histogram_bits_per_dim(images, hole), 4)})
    bits = {}
    for name, how in FORMATS.items():
        if how["format"] not in Image.SAVE:
            print(f"{name}: not measured: this Pillow cannot write it", file=sys.stderr)
            continue
        bits[name] = codec_bits(images, hole, how)
        codecs.append({"codec": name} | dict(zip(("bits_per_dim", "stderr"), mean_of(bits[name]), strict=True)))
        if before:
            added = mean_of(bits[name] - before[name])
            codecs[-1]["over_resized"] = dict(zip(("mean", "stderr"), added, strict=True))
    return codecs, bits


def measure(
    info: FileInfo, folder: Path | None, split: str, limit: int, jpegs: Path | None, model: Inpainter | None = None
) -> list[dict]:
    """The figures of one split of a file; of resized photos also those after JPEG.

    Args:
      folder: of the photos that the file was built from; None to leave open what they are.
      jpegs: folder for the JPEGs made of resized photos; None to keep none.
      model: scores the same centers; None for no model.
    """
    photos = Photos(info, split)
    indices = np.arange(min(limit, len(photos)))
    images, size = photos.whole(indices).permute(0, 2, 3, 1).numpy(), photos.image_size  # (N, H, W, 3)
    names = info.splits[split].file_name[: len(indices)]
    what = {"data": Path(info.path).stem, "split": split, "images": len(indices)}
    kind = {"kind": "not told"}
    if folder:
        kind = kind_of_photos(originals(folder, names, images, info.path), size, folder)
    codecs, bits = measured(images, photos.hole)
    results = [what | {"photos": kind, "codecs": codecs}]
    captions = photos.first_captions(indices)
    if model:
        results[0]["beside"] = beside(model, images, captions, bits)
    if kind["kind"] == RESIZED:
        files = [encoded(image, JPEG) for image in images]
        if jpegs:
            jpegs.mkdir(parents=True, exist_ok=True)
            for name, file in zip(names, files, strict=True):
                with open(jpegs / Path(name).name, "xb") as written:
                    written.write(file)
        images = np.stack([np.asarray(Image.open(io.BytesIO(file))) for file in files])
        kind = {"kind": DECODED, "quality": JPEG["quality"], "bits_per_dim_as_files": as_files(files, size)}
        codecs, bits = measured(images, photos.hole, bits)
        results.append(what | {"photos": kind, "codecs": codecs})
        if model:
            results[1]["beside"] = beside(model, images, captions, bits)
    return results


def table(result: dict) -> str:
    """A set's figures for reading."""
    words = ", ".join(f"{value}" if key == "kind" else f"{key} {value}" for key, value in result["photos"].items())
    lines = [f"{result['data']}, {result['split']}, {result['images']:,} photos: {words}"]
    for codec in result["codecs"]:
        line = f"  {codec['codec']:28}{codec['bits_per_dim']:6.2f}"
        line += f" ± {codec['stderr']:.2f}" if "stderr" in codec else ""
        if "over_resized" in codec:
            added = codec["over_resized"]
            line += f"   over the same only resized: {added['mean']:+.3f} ± {added['stderr']:.3f}"
        lines.append(line)
    if "beside" in result:
        lines.append(f"  {'the model':28}{result['beside']['bits_per_dim']:6.3f} ± {result['beside']['stderr']:.3f}")
        for name, over in result["beside"]["codecs_over_it"].items():
            told = f"{over['mean']:+.3f} ± {over['stderr']:.3f}, more on {over['better_on']:.0%} of the photos"
            lines.append(f"    {name:27} {told}")
    return "\n".join(lines)


def versions() -> str:
    """What made the files whose sizes count."""
    parts = [f"Pillow {Image.__version__}", f"libwebp {features.version('webp')}", f"zlib {features.version('zlib')}"]
    with contextlib.suppress(metadata.PackageNotFoundError):
        parts.append(f"pillow-jxl-plugin {metadata.version('pillow-jxl-plugin')}")
    return ", ".join(parts)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add(
        "--data",
        required=True,
        action="append",
        nargs="+",
        metavar=("FILE.h5", "PHOTOS"),
        help="file that build_h5.py wrote, and the folder of its photos; may be given several times",
    )
    add("--split", nargs="+", choices=SPLITS, default=["val"], help="which, where they have images (default: val)")
    add("--limit", type=int, default=1000, metavar="N", help="the first N images (default: %(default)s)")
    add("--jpegs", type=Path, metavar="DIR", help="leave resized photos as JPEGs there, to score a model on them, too")
    add("--beside", metavar="CHECKPOINT", help="score the same centers by a model, photos for the package's")
    add("--json", action="store_true", help="print the figures as JSON, as they are stored in benchmarks/results")
    options = parser.parse_args(argv)
    if options.limit < 1:
        raise CommandError("--limit: at least 1")
    with contextlib.suppress(ImportError):
        import pillow_jxl  # noqa: F401  registers the format with Pillow
    Image.init()
    results, model = [], inpaint.load(options.beside) if options.beside else None
    for data, *folder in options.data:
        if len(folder) > 1:
            raise CommandError(f"--data {data}: one folder of photos, not {len(folder)}")
        info, folder = describe(data), Path(folder[0]) if folder else None
        splits = [split for split in options.split if info.splits[split].n]
        if not splits:
            raise InputError(f"{data}: no images in {', '.join(options.split)}")
        for split in splits:
            results += measure(info, folder, split, options.limit, options.jpegs, model)
    if options.jpegs and all(result["photos"]["kind"] != RESIZED for result in results):
        raise InputError(f"--jpegs {options.jpegs}: none written: no photos are known to be only resized")
    if options.json:
        command = shlex.join([os.path.basename(sys.argv[0]), *(sys.argv[1:] if argv is None else argv)])
        print(json.dumps({"command": command, "software": versions(), "results": results}, indent=1))
    else:
        print("bits/dim of the center given the border\n" + "\n".join(map(table, results)))


if __name__ == "__main__":
    run_main(main)
