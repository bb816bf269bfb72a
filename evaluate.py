"""Score a checkpoint on photos it has not seen, and say whether captions help.

python evaluate.py --checkpoint runs/demo/best.pt
python evaluate.py --checkpoint FILE.pt --data FILE.h5 --split val --json OUT.json --grid OUT.png
torchrun --nproc-per-node 2 evaluate.py --checkpoint FILE.pt        the same figures, sooner
"""

import argparse
import sys
from pathlib import Path

from data_prep.errors import InputError, run_main
from data_prep.h5file import SPLITS
from inpaint import atomic, checkpoints, grid
from inpaint.dataset import Photos
from inpaint.evaluation import evaluate
from inpaint.processes import pick_device, process_group
from inpaint.sampling import grid_rows, some_indices
from inpaint.summary import summarise, table

GRID_ROWS = 8


def parse(argv):
    parser = argparse.ArgumentParser(
        description="Score a checkpoint: nats per image, what a caption is worth, PSNR and SSIM, a grid of samples.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--checkpoint", required=True, metavar="FILE.pt", help="best.pt or last.pt of a run")
    parser.add_argument("--data", metavar="FILE.h5", help="photos to score; default: the file it was trained from")
    parser.add_argument("--split", default="val", choices=SPLITS, help="which of the file's splits")
    parser.add_argument("--limit", type=at_least(1), metavar="N", help="score the first N images only")
    parser.add_argument("--json", metavar="OUT.json", help="write the figures there")
    parser.add_argument("--grid", metavar="OUT.png", help=f"write samples of {GRID_ROWS} images there")
    parser.add_argument("--samples", type=at_least(1), default=4, metavar="K", help="samples a row of the grid")
    parser.add_argument("--seed", type=at_least(0), default=0, metavar="N", help="of samples, swaps and bootstrap")
    parser.add_argument("--batch-size", type=at_least(1), default=64, metavar="N", help="changes the speed only")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="where to compute")
    return parser.parse_args(argv)


def at_least(least):
    def number(text):
        value = int(text)
        if not least <= value < 2**63:
            raise argparse.ArgumentTypeError(f"{text} is not a whole number from {least} on")
        return value

    number.__name__ = "whole number"  # argparse's word for what it expected
    return number


def main(argv=None):
    args = parse(argv)
    device = pick_device(args.device)
    with process_group() as rank:
        checkpoint = checkpoints.read(args.checkpoint)
        model = checkpoints.rebuild(checkpoint, args.checkpoint).to(device).eval()
        photos = Photos(data_file(args, checkpoint), args.split)
        check_fit(args.checkpoint, model, photos)
        options = {"limit": args.limit, "seed": args.seed, "batch_size": args.batch_size}
        evaluation = evaluate(model, photos, progress=rank == 0 and sys.stderr.isatty(), **options)
        if rank != 0:
            return
        summary = {"schema": 1, "checkpoint": args.checkpoint, **summarise(evaluation)}
        print(table(summary))
        if args.json:
            atomic.write_json(args.json, summary)
            print(f"figures: {args.json}")
        if args.grid:
            indices = some_indices(len(evaluation.indices), GRID_ROWS, args.seed)
            rows = grid_rows(model, photos, indices, args.samples, args.seed)
            grid.write(args.grid, rows, photos.hole, sample_is_mean=not evaluation.proper)
            print(f"grid: {args.grid}")


def data_file(args, checkpoint):
    """The photos to score: --data, or the file that the checkpoint was trained from, where it still is."""
    if args.data:
        return args.data
    trained_from = checkpoint["config"].get("data")
    if not isinstance(trained_from, str) or not Path(trained_from).is_file():
        raise InputError(f"{args.checkpoint}: its data file {trained_from} is not there any more; give --data")
    return trained_from


def check_fit(checkpoint, model, photos):
    """Refuse photos whose size or hole is another than the model's."""
    if (photos.image_size, tuple(photos.hole)) != (model.image_size, tuple(model.hole)):
        raise InputError(
            f"{photos.path}: {photos.image_size} pixels with the hole {list(photos.hole)}, "
            f"but {checkpoint} is for {model.image_size} pixels with the hole {list(model.hole)}"
        )


if __name__ == "__main__":
    run_main(main)
