"""How fast build_h5.py is beside a bare loop of the same decode and resize, with 1 and with 2 workers.

    INPAINT_DATA=../shared/data python benchmarks/build_speed.py

The photos are COCO originals (INPAINT_DATA/coco_sample), repeated through links until starting up does not dominate.
Each round times the bare loop (the loop alone, on one core, photos in the page cache), then the whole command with 1
worker and with 2, start-up, captions and writing included; ratios are taken within a round, their median is reported.
Expected: 1 worker at least 0.9 of the bare loop, 2 workers at least 1.8 times 1 worker.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image, ImageOps

REPOSITORY = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("INPAINT_DATA", REPOSITORY / ".." / "shared" / "data"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=1920, help="photos a build (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="repetitions (default: %(default)s)")
    args = parser.parse_args()
    if not (DATA / "coco_sample").is_dir():
        print(f"error: {DATA / 'coco_sample'}: no such folder; set INPAINT_DATA", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "coco"
        paths = repeat_photos(DATA / "coco_sample", root, args.photos)
        bare_loop(paths[:200])  # fills the page cache: all photos are links to these
        seconds = {"bare loop, 1 core": [], "build_h5.py --workers 1": [], "build_h5.py --workers 2": []}
        for _ in range(args.rounds):
            seconds["bare loop, 1 core"].append(bare_loop(paths))
            for workers in (1, 2):
                seconds[f"build_h5.py --workers {workers}"].append(build(root, Path(folder) / "out.h5", workers))
    print(f"{args.photos} photos, {args.rounds} rounds, {os.cpu_count()} cores, Pillow {Image.__version__}")
    for name, taken in seconds.items():
        rates = ", ".join(f"{args.photos / value:.0f}" for value in taken)
        print(f"{name:<26}{args.photos / statistics.median(taken):>8.0f} img/s   rounds: {rates}")
    bare, one, two = seconds.values()
    ratios = (("1 worker / bare loop", bare, one, 0.9), ("2 workers / 1 worker", one, two, 1.8))
    for name, slow, fast, wanted in ratios:
        ratio = statistics.median(a / b for a, b in zip(slow, fast, strict=True))
        print(f"{name:<26}{ratio:>8.2f}         wanted: at least {wanted}")
    return 0


def repeat_photos(sample: Path, root: Path, count: int) -> list[Path]:
    """A COCO root of `count` photos, links to those of `sample` with new ids and the same captions."""
    listed = json.loads((sample / "annotations" / "captions_val2014.json").read_text())
    captions = {image["id"]: [] for image in listed["images"]}
    for annotation in listed["annotations"]:
        captions[annotation["image_id"]].append(annotation["caption"])
    (root / "annotations").mkdir(parents=True)
    (root / "train2014").mkdir()
    images, annotations, paths = [], [], []
    for number in range(count):
        original = listed["images"][number % len(listed["images"])]
        name = f"COCO_train2014_{number:012d}.jpg"
        paths.append(root / "train2014" / name)
        paths[-1].symlink_to((sample / "val2014" / original["file_name"]).resolve())
        images.append({"id": number, "file_name": name})
        annotations += [{"image_id": number, "caption": caption} for caption in captions[original["id"]]]
    content = {"images": images, "annotations": annotations}
    (root / "annotations" / "captions_train2014.json").write_text(json.dumps(content))
    return paths


def bare_loop(paths: list[Path]) -> float:
    """Seconds to open, decode, turn upright, crop and resize every photo, and nothing else."""
    start = time.perf_counter()
    for path in paths:
        image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image.crop((left, top, left + side, top + side)).resize((64, 64), Image.Resampling.LANCZOS)
    return time.perf_counter() - start


def build(root: Path, out: Path, workers: int) -> float:
    """Seconds that the whole command takes."""
    script = REPOSITORY / "data_prep" / "build_h5.py"
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, script, "--coco", root, "--out", out, "--workers", str(workers)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())
