"""Fill the hole of photos with a trained model's samples.

inpaint fill photo.jpg --checkpoint best.pt --caption "a dog on a beach" --samples 8 --out filled
inpaint fill photos/ --checkpoint best.pt --captions captions.csv --out filled
inpaint fill photo.jpg --box 120,80,64,48 --out filled
"""

import argparse
import sys

from data_prep.printing import Parser, printable
from data_prep.version import add_version
from inpaint import typed
from inpaint.commands.arguments import add_checkpoint, add_device, add_hole, add_overwrite, caption_of
from inpaint.detail import COARSE, EXACT
from inpaint.filling import PRECISIONS, TEMPERATURE, fill
from inpaint.processes import out_of_memory_reported


def main(argv=None, program=None):
    """Run the command line `argv` (sys.argv[1:] if None); `program` is what was typed before it, for --help."""
    args = parse(argv, program)
    with out_of_memory_reported():
        return run(args)


def parse(argv, program=None):
    parser = Parser(
        prog=program,
        description="Fill the hole of photos: NAME_0.png (the likeliest), NAME_1.png ..., NAME.json and NAME_grid.png. "
        "A photo is turned upright, cut to its centered square and resized to the model's size; then only the hole "
        "changes. With --box or --mask it keeps its size, and only the pixels that they name change.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("images", nargs="+", metavar="IMAGE_OR_DIR", help="photos, and folders of photos")
    add_checkpoint(parser)
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the results")
    captions = parser.add_mutually_exclusive_group()
    several = "caption of all photos; given several times: all of them at once"
    captions.add_argument("--caption", action="append", metavar="TEXT", help=several)
    captions.add_argument(
        "--captions",
        metavar="FILE",
        help="captions by file name: .jsonl, .csv, .tsv, .json and others; default: NAME.txt beside a photo",
    )
    add_hole(parser.add_mutually_exclusive_group())
    parser.add_argument(
        "--detail",
        nargs="?",
        choices=(COARSE, EXACT),
        const=COARSE,
        help="fill a hole larger than the model's at the photo's own resolution: coarse to fine; or, exact, tile by "
        "tile, with the exact likelihood of the whole hole. Without it the model's fill is enlarged",
    )
    parser.add_argument("--samples", type=typed.positive_int, default=4, metavar="K", help="samples a photo")
    parser.add_argument("--seed", type=typed.seed, default=0, metavar="N", help="same seed, same samples")
    tamer = "1: the model's own; under 1, tamer samples"
    parser.add_argument("--temperature", type=typed.temperature, default=TEMPERATURE, metavar="T", help=tamer)
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="fp64",
        help="arithmetic of drawing pixel by pixel; fp32 is faster and now and then rounds a pixel to the other side",
    )
    both = (
        "2: rows from left to right or from right to left, and log-likelihoods of such drawings (contour: the mean of "
        "photo and mirrored photo); slower, see docs"
    )
    parser.add_argument("--directions", type=int, choices=(1, 2), default=1, help=both)
    add_device(parser)
    add_overwrite(parser)
    add_version(parser)
    args = parser.parse_args(argv)
    if args.detail and not (args.box or args.mask):
        parser.error("--detail needs --box or --mask")
    return args


def run(args):
    """Fill, and say what was done; the exit code, 1 when a photo was left out."""
    done = fill(
        args.images,
        args.checkpoint,
        args.out,
        caption=caption_of(args),
        captions=args.captions,
        box=args.box,
        mask=args.mask,
        detail=args.detail,
        samples=args.samples,
        seed=args.seed,
        temperature=args.temperature,
        precision=args.precision,
        directions=args.directions,
        device=args.device,
        progress=True,
        overwrite=args.overwrite,
    )
    for note in done.notes:
        print(printable(f"note: {note}"), file=sys.stderr)
    for path, reason in done.rejects:
        print(printable(f"error: {path}: {reason}"), file=sys.stderr)
    if done.records and done.records[0]["sample_is_mean"] and (args.samples > 1 or args.temperature != TEMPERATURE):
        print("note: a sample of this model is its mean, whatever --samples, --seed and --temperature", file=sys.stderr)
    print(printable(f"filled {len(done.records)} of {len(done.records) + len(done.rejects)} photos: {args.out}"))
    return 1 if done.rejects else 0
