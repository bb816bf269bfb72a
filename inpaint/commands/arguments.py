"""Options that several commands have, each with one help text: what is to be filled, and by what."""

from inpaint import typed


def add_hole(group):
    """Add --box and --mask to a group of options."""
    pixels = "in the upright photo's own pixels"
    group.add_argument("--box", type=typed.box, metavar="X,Y,W,H", help=f"the hole, {pixels}")
    mask = f"image of the photo's size, {pixels}: white is what to fill (level 224 and up; black is below 32)"
    group.add_argument("--mask", metavar="MASK.png", help=mask)


def add_checkpoint(parser):
    """Add --checkpoint, without which the weights of the package are taken."""
    weights = "best.pt or last.pt of a run, or exported weights; without it, those of the package"
    parser.add_argument("--checkpoint", metavar="FILE", help=weights)


def caption_of(args):
    """What --caption says: None, one caption, or a list of those that are given at once."""
    return args.caption[0] if args.caption and len(args.caption) == 1 else args.caption


def add_device(parser):
    """Add --device."""
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="where to compute")


def add_overwrite(parser):
    """Add --overwrite."""
    parser.add_argument("--overwrite", action="store_true", help="replace files that this program did not write")
