"""Score a checkpoint on photos it has not seen, and say whether captions help.

python evaluate.py --checkpoint runs/demo/best.pt
python evaluate.py --checkpoint FILE.pt --data FILE.h5 --split val --json OUT.json --grid OUT.png
python evaluate.py A.pt --versus B.pt                               two models on the same photos, paired
python evaluate.py A1.pt A2.pt A3.pt --versus B1.pt B2.pt B3.pt     the same over three seeds of each
python evaluate.py A.pt --report DIR                                all of it on one page, DIR/report.html
python evaluate.py A.pt --masks strokes --grid OUT.png              some of the hole's pixels known, the rest scored
torchrun --nproc-per-node 2 evaluate.py --checkpoint FILE.pt        sooner, the same to 1e-4 nats
"""

import argparse
import contextlib
from pathlib import Path

from data_prep.errors import InputError
from data_prep.files import write_json
from data_prep.h5file import SPLITS
from data_prep.outputs import check_outputs
from data_prep.printing import Parser, printable
from data_prep.recognise import EVALUATION, GRID, PAGE, REPORT
from data_prep.version import add_version
from inpaint import grid
from inpaint.allocator import keep_freed_memory
from inpaint.dataset import Photos
from inpaint.evaluation import sides, statistics, versus
from inpaint.evaluation.caption_figures import SCORED, CaptionOptions
from inpaint.evaluation.directions import over_one_direction
from inpaint.evaluation.figures import evaluate, mean_of
from inpaint.evaluation.summary import summarise, table
from inpaint.inference import check_any_mask, in_directions
from inpaint.masks import KINDS
from inpaint.processes import pick_device, process_group
from inpaint.sampling import grid_rows, some_indices

GRID_ROWS = 8


def parse(argv, program=None):
    parser = Parser(
        prog=program,
        description="Score a checkpoint: nats per image, what a caption is worth, PSNR and SSIM, a grid of samples.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("given", nargs="*", metavar="FILE.pt", help="the checkpoint, another way to give it")
    several = "best.pt or last.pt of a run, or of several that differ in their seed alone: their mean"
    parser.add_argument("--checkpoint", nargs="+", metavar="FILE.pt", help=several)
    against = "score this checkpoint, or its seeds, on the same photos, and compare"
    parser.add_argument("--versus", nargs="+", metavar="B.pt", default=[], help=against)
    parser.add_argument("--data", metavar="FILE.h5", help="photos to score; default: the file it was trained from")
    parser.add_argument("--split", default="val", choices=SPLITS, help="which of the file's splits")
    parser.add_argument("--limit", type=at_least(1), metavar="N", help="score the first N images only")
    masked = "which pixels of the hole are unknown; the same for every model and seed"
    parser.add_argument("--masks", default="box", choices=KINDS, help=masked)
    both = "2: the mean of the photo and the mirrored photo, row by row, exact, in twice the time; and what that gains"
    parser.add_argument("--directions", type=int, default=1, choices=(1, 2), help=both)
    scored = "score an image with all of its captions, and take the mean, or with its first alone"
    parser.add_argument("--captions", default="all", choices=SCORED, help=scored)
    mixture = "gain over the mean probability with K random captions, too; K more scorings of each image"
    parser.add_argument("--mixture", type=at_least(1, 1000), default=0, metavar="K", help=mixture)
    parser.add_argument("--json", metavar="OUT.json", help="write the figures there")
    parser.add_argument("--grid", metavar="OUT.png", help=f"write samples of {GRID_ROWS} images there")
    parser.add_argument("--report", metavar="DIR", help="write all of it as one page there, report.html")
    parser.add_argument("--samples", type=at_least(1, 100), default=4, metavar="K", help="samples a row of the grid")
    seeded = "of samples, captions lent and bootstrap"
    parser.add_argument("--seed", type=at_least(0), default=0, metavar="N", help=seeded)
    once = "images at once; moves an image's nats by less than 1e-4"
    parser.add_argument("--batch-size", type=at_least(1), default=64, metavar="N", help=once)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="where to compute")
    parser.add_argument("--overwrite", action="store_true", help="replace files that this program did not write")
    add_version(parser)
    args = parser.parse_args(argv)
    if bool(args.given) == bool(args.checkpoint):
        parser.error("give the checkpoints, as FILE.pt or --checkpoint FILE.pt")
    args.checkpoints = args.checkpoint or args.given
    return args


def at_least(least, most=2**63 - 1):
    def number(text):
        value = int(text)
        if not least <= value <= most:
            bounds = f"from {least} on" if most == 2**63 - 1 else f"from {least} to {most}"
            raise argparse.ArgumentTypeError(f"{text} is not a whole number {bounds}")
        return value

    number.__name__ = "whole number"  # argparse's word for what it expected
    return number


def main(argv=None, program=None):
    """Run the command line `argv` (sys.argv[1:] if None); `program` is what was typed before it, for --help."""
    args = parse(argv, program)
    check_written(args, args.data)
    device = pick_device(args.device)
    keep_freed_memory()
    with process_group() as rank:
        side, other = sides.read(args.checkpoints), sides.read(args.versus)
        one = side[0]
        for trained in (*side, *other):
            if args.masks != "box":
                check_any_mask(trained.model, trained.name)
        for theirs in other[:1]:
            versus.check_comparable(one.model, one.name, theirs.model, theirs.name)
            if theirs.binarize != one.binarize:
                raise InputError(f"{theirs.name}: cannot be compared with {one.name}: binarized in another way")
        data = data_file(args, one.checkpoint)
        if not args.data:  # only now it is known
            check_written(args, data)
        photos = Photos(data, args.split, one.binarize, args.masks)
        check_fit(one.name, one.model, photos)
        for trained in (*side, *other):
            trained.model.to(device)
        single = [(trained.name, trained.model) for trained in side]
        for trained in (*side, *other):
            drawn = trained is one and bool(args.grid or args.report)
            trained.model = in_directions(trained.model, args.directions, trained.name, drawn)
        options = {"batch_size": args.batch_size, "progress": rank == 0}
        asked = {"limit": args.limit, "seed": args.seed, "options": CaptionOptions(args.captions, args.mixture)}
        evaluation = mean_of([evaluate(t.model, photos, name=t.name, **asked, **options) for t in side])
        summary = named(side, evaluation, photos) | summarise(evaluation)
        over_one = over_one_direction(evaluation, single, photos, **options) if args.directions > 1 else None
        summary |= {"directions": args.directions, "over_one_direction": over_one}
        if other:
            compare(side, other, evaluation, photos, summary, options)
        if rank == 0:
            write(args, one.model, photos, one.checkpoint, evaluation, summary)


def named(side, evaluation, photos):
    """What the JSON says of the evaluated checkpoints: the first by itself, and all in `checkpoints`."""
    each = [
        {
            "checkpoint": trained.name,
            "checkpoint_sha256": trained.checkpoint.sha256,
            "seed": trained.seed,
            "nats_per_image": float(figures.nats.mean()),
            "over_none": float(gain.mean()) if len(gain := figures.gain_over("none")) else None,
        }
        for trained, figures in zip(side, evaluation.trainings, strict=True)
    ]
    return {
        "schema": 1,
        "checkpoint": side[0].name,
        "checkpoint_sha256": side[0].checkpoint.sha256,
        "checkpoints": each,
        "seeds": len(side),
        "of": statistics.subject([len(side)]),
        "binarize": side[0].binarize,
        "chosen_on_this_split": any(sides.chosen_on(trained.checkpoint, photos) for trained in side),
        "budget": sides.budget(side[0].checkpoint),
    }


def compare(side, other, evaluation, photos, summary, options):
    """Add the comparison with the other side to the summary."""
    models = [(trained.name, trained.model) for trained in other]
    found, fair = versus.compare(evaluation, models, photos, **options)
    found["chosen_on_this_split"] = any(sides.chosen_on(trained.checkpoint, photos) for trained in other)
    summary["versus"] = found | {"budget": sides.budget(other[0].checkpoint), **sides.compare_budgets(side, other)}
    if fair is not None:
        summary["caption_gain_nats_per_image"]["over_captionless"] = fair


def write(args, model, photos, checkpoint, evaluation, summary):
    """Print the table, and write the files that were asked for."""
    print(table(summary))
    if args.versus:
        print(versus.table(summary))
    if args.json:
        write_json(args.json, summary, EVALUATION, args.overwrite)
        print(printable(f"figures: {args.json}"))
    if args.grid or args.report:
        indices = some_indices(len(evaluation.indices), GRID_ROWS, args.seed)
        rows = grid_rows(model, photos, indices, args.samples, args.seed, progress=True)
    if args.grid:
        grid.write(args.grid, rows, photos.hole, not evaluation.proper, args.overwrite)
        print(printable(f"grid: {args.grid}"))
    if args.report:
        from inpaint.report import report  # matplotlib takes a second to load

        page = report.write(args.report, evaluation, summary, photos, checkpoint, rows, args.overwrite)
        print(printable(f"report: {page}"))


def check_written(args, data):
    """See that the files asked for may be written: over no input, and over earlier ones of their kind only."""
    outputs = [(args.json, EVALUATION), (args.grid, GRID), (args.report and Path(args.report, PAGE), REPORT)]
    inputs = [path for path in (*args.checkpoints, *args.versus, data) if path]
    with contextlib.suppress(OSError, ValueError):  # the report's curve is read from the run's log
        inputs += sorted(Path(args.checkpoints[0]).parent.glob("events.out.tfevents.*"))
    check_outputs([(path, kind) for path, kind in outputs if path], inputs, overwrite=args.overwrite)


def data_file(args, checkpoint):
    """The photos to score: --data, or the file that the checkpoint was trained from, where it still is."""
    if args.data:
        return args.data
    trained_from = checkpoint["config"].get("data")
    if not isinstance(trained_from, str) or not Path(trained_from).is_file():
        raise InputError(f"{args.checkpoints[0]}: its data file {trained_from} is not there any more; give --data")
    return trained_from


def check_fit(checkpoint, model, photos):
    """Refuse photos whose size or hole is another than the model's."""
    if (photos.image_size, tuple(photos.hole)) != (model.image_size, tuple(model.hole)):
        raise InputError(
            f"{photos.path}: {photos.image_size} pixels with the hole {list(photos.hole)}, "
            f"but {checkpoint} is for {model.image_size} pixels with the hole {list(model.hole)}"
        )
    if photos.channels != model.config["channels"]:
        kinds = {1: "grey images", 3: "images in color"}
        raise InputError(
            f"{photos.path}: {kinds[photos.channels]}, but {checkpoint} is for {kinds[model.config['channels']]}"
        )
