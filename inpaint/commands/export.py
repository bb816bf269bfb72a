"""Write a run's averaged weights as one safetensors file, for others to load.

inpaint export runs/coco/best.pt coco.safetensors --half
"""

import argparse

from data_prep.printing import Parser, printable
from data_prep.version import add_version
from inpaint.exporting import export


def parse(argv, program=None):
    parser = Parser(
        prog=program,
        description="Write a checkpoint's averaged weights, with the model's options and where they come from, as one "
        "safetensors file. Every command that takes a checkpoint reads it.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="best.pt or last.pt of a run")
    parser.add_argument("out", metavar="OUT.safetensors", help="the file to write")
    parser.add_argument("--half", action="store_true", help="store float16: half the size")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that this program did not write")
    add_version(parser)
    args = parser.parse_args(argv)
    if not args.out.endswith(".safetensors"):
        parser.error(f"{args.out}: the name must end in .safetensors")
    return args


def main(argv=None, program=None):
    """Run the command line `argv` (sys.argv[1:] if None); `program` is what was typed before it, for --help."""
    args = parse(argv, program)
    size = export(args.checkpoint, args.out, args.half, args.overwrite)
    print(printable(f"wrote {args.out} ({size / 1e6:.1f} MB)"))
