"""Score what is in a photo's hole, and other programs' fills of it, by the exact log-likelihood.

inpaint score photo.jpg --box 120,80,64,48 --against lama.png diffusion.png --out scored
"""

import argparse
import sys

from data_prep.printing import Parser, printable
from data_prep.version import add_version
from inpaint.commands.arguments import add_checkpoint, add_device, add_hole, add_overwrite, caption_of
from inpaint.hole_scores import score
from inpaint.processes import out_of_memory_reported


def parse(argv, program=None):
    parser = Parser(
        prog=program,
        description="Score a photo's pixels in a hole, given all its other pixels: NAME.json; NAME_surprise.png, nats "
        "of each pixel less those that the model expected there; and NAME_entropy.png, those that it expected. Flat "
        "regions are always likely; surprise does not favor them.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("image", metavar="IMAGE", help="a photo")
    add_hole(parser.add_mutually_exclusive_group(required=True))
    others = "other fills of the same hole, images of the photo's size; only their pixels in the hole count"
    parser.add_argument("--against", nargs="+", default=[], metavar="FILL.png", help=others)
    several = "the photo's caption; given several times: all of them at once; default: NAME.txt beside it"
    parser.add_argument("--caption", action="append", metavar="TEXT", help=several)
    add_checkpoint(parser)
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the results")
    add_device(parser)
    add_overwrite(parser)
    add_version(parser)
    return parser.parse_args(argv)


def main(argv=None, program=None):
    """Run the command line `argv` (sys.argv[1:] if None); `program` is what was typed before it, for --help."""
    args = parse(argv, program)
    with out_of_memory_reported():
        record = score(
            args.image,
            args.checkpoint,
            args.out,
            box=args.box,
            mask=args.mask,
            against=args.against,
            caption=caption_of(args),
            device=args.device,
            overwrite=args.overwrite,
        )
    for line in table(record):
        print(printable(line))
    for found in record["scores"]:
        if found["known_pixels_changed"]:
            count = f"{found['known_pixels_changed']:,} known pixels are not the photo's; they do not count"
            print(printable(f"note: {found['file']}: {count}"), file=sys.stderr)


def table(record):
    """The scores as lines of text, the likeliest first."""
    yield f"{'log-likelihood':>16}{'bits/dim':>10}{'surprise':>12}   in nats; {record['drawn_pixels']:,} pixels"
    for found in record["scores"]:
        bits, surprise = found["bits_per_unknown_subpixel"], found["surprise_nats"]
        bits = "-" if bits is None else f"{bits:.3f}"
        surprise = "-" if surprise is None else f"{surprise:+,.1f}"
        yield f"{found['log_likelihood_nats']:>16,.1f}{bits:>10}{surprise:>12}   {found['file']}"
