"""Photos with captions go in, one HDF5 file comes out.

    python data_prep/build_h5.py --coco ROOT --out coco.h5
    python data_prep/build_h5.py --demo --out demo.h5 --preview demo.png
    python data_prep/build_h5.py --verify coco.h5

A source may be given several times, of one kind or several; their splits are joined in the order given. Interrupted or
killed, the same command goes on where it stopped. Beside FILE.h5 lies FILE.rejects.csv: each image left out, and why.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # so that it runs as a script, from anywhere

from data_prep.errors import InputError, exit_on_signals, run_main

if __name__ == "__main__":
    exit_on_signals()  # from now on: importing the rest takes a while

import argparse
import os

from data_prep.build import Options, Summary, build, check_photos, outputs_of
from data_prep.build_arguments import AddCaptions, AddRoot, AddSource, AddSplit, hole_argument, positive, scenes
from data_prep.h5file import IMAGE_SIZE, LARGEST_IMAGE, SPLITS, valid_hole
from data_prep.outputs import check_outputs
from data_prep.photos import NO_SPLIT
from data_prep.printing import Parser, as_called, printable
from data_prep.progress import Progress
from data_prep.recognise import PREVIEW
from data_prep.sources.demo import COUNTS, TRUTH, read_demo
from data_prep.version import add_version

SET_NAMES = ("mnist", "fashion-mnist", "cifar10", "celeba")  # image_sets.SETS


def main(argv=None, program=None) -> int:
    """Run the command line `argv` (sys.argv[1:] if None) and give the exit code.

    Args:
      program: what was typed before it, for --help; None for this script.
    """
    parser = _parser(program)
    args = parser.parse_args(argv)
    if args.verify and (args.sources or args.out or args.preview):
        parser.error("--verify FILE.h5 stands alone: it builds nothing")
    if args.verify:
        from data_prep.verify import verify

        print(printable(verify(args.verify)))
        return 0
    if not args.sources or args.out is None:
        parser.error("a source and --out FILE.h5 are needed, or --verify FILE.h5")
    _settle_geometry(parser, args)
    if args.image_size > LARGEST_IMAGE:
        parser.error(f"--image-size {args.image_size}: at most {LARGEST_IMAGE}")
    if not valid_hole(args.hole, args.image_size):
        parser.error(
            f"--hole {','.join(map(str, args.hole))} does not lie inside {args.image_size} x {args.image_size}"
        )
    options = Options(args.image_size, args.hole, args.fast_decode, args.limit)
    try:
        outputs = outputs_of(args.out) + ([(args.preview, PREVIEW)] if args.preview else [])
        check_outputs(outputs, *_files_given(args.sources), overwrite=args.overwrite)
        sources = [_in_split(_read(source, args), source["split"]) for source in args.sources]
        check_photos(outputs, sources, args.overwrite)
        truth = TRUTH if all(source["kind"] == "demo" for source in args.sources) else None
        with Progress(unit="img") as progress:
            summary = build(sources, args.out, options, args.workers, truth, progress.set, args.overwrite)
        _print(_report(summary))
        if args.preview:
            from data_prep.preview import preview

            preview(args.out, args.preview, args.overwrite)
            _print(printable(f"preview         {args.preview}"))
    except BrokenPipeError:  # stdout's reader has gone: nothing of the input
        raise
    except OSError as error:
        raise InputError(f"{error.filename or args.out}: {error.strerror or error}") from error
    return 0


def _print(text: str) -> None:
    """Print at once, so that a full disk behind stdout is not taken for the file's."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise InputError(f"standard output: cannot be written: {error.strerror}; all files are") from error


def _files_given(sources: list[dict]) -> tuple[list, list]:
    """Files that the command line names as sources, and folders whose files it reads."""
    files = [source["captions"] for source in sources if source.get("captions")]
    folders = [source["root"] for source in sources if source.get("root")]
    for source in sources:
        if isinstance(source["path"], list):
            files += source["path"]
        elif source["kind"] != "torchvision":
            folders.append(source["path"])
    return files, folders


def _settle_geometry(parser, args) -> None:
    """Fill in a missing image size and hole; `full` is the whole image."""
    kinds = {source["kind"] for source in args.sources}
    for source in args.sources:
        if source["kind"] == "torchvision" and "root" not in source:
            parser.error(f"--torchvision {source['path']} needs --root DIR behind it")
    if args.next_split is not None:
        parser.error(f"--split {args.next_split} needs a source behind it")
    if args.image_size is None:
        from data_prep.sources.image_sets import SETS

        sides = {SETS[source["path"]].side for source in args.sources if source["kind"] == "torchvision"}
        if len(sides) > 1 or (sides and kinds != {"torchvision"}):
            parser.error("these sources' images are of different sizes: give --image-size")
        args.image_size = min(sides, default=IMAGE_SIZE)
    side = args.image_size
    if args.hole == "full":
        args.hole = (0, 0, side, side)
    elif args.hole is None:
        args.hole = (side // 4, side // 4, max(1, side // 2), max(1, side // 2))


def _read(source: dict, args):
    """Read one source: names and locations of its photos."""
    kind, path = source["kind"], source["path"]
    if kind == "coco":
        from data_prep.sources.coco import read_coco

        return read_coco(path)
    if kind == "ift6266":
        from data_prep.sources.ift6266 import read_ift6266

        return read_ift6266(path)
    if kind == "folder":
        from data_prep.sources.folder import read_folder

        return read_folder(path, source.get("captions"))
    if kind == "webdataset":
        from data_prep.sources.webdataset import read_webdataset

        return read_webdataset(path)
    if kind == "torchvision":
        from data_prep.sources.image_sets import read_image_set

        return read_image_set(path, source["root"])
    return read_demo(args.seed, args.limit, args.image_size, args.hole, args.scenes)


def _in_split(source, split: str | None):
    """Put all photos of a source into one split, if --split says so."""
    if split is not None:
        every = [photo._replace(may_be_test=False) for name in SPLITS for photo in source.photos[name]]
        source.photos = {name: every if name == split else [] for name in SPLITS}
        source.warnings = [line for line in source.warnings if NO_SPLIT not in line]
    return source


def _report(summary: Summary) -> str:
    """The summary of a build, lines of text."""
    lines = [f"{'split':<8}{'images':>10}{'captions':>10}{'words':>12}   words in a caption: median, 95 %, most"]
    for split, images in summary.images.items():
        words = summary.words[split]
        captions = sum(words.lengths.values())
        lengths = ", ".join(str(words.length_quantile(share)) for share in (0.5, 0.95, 1.0))
        lines.append(
            f"{split:<8}{images:>10,}{captions:>10,}{words.words.total():>12,}   {lengths if captions else '-'}"
        )
    lines.append(f"vocabulary      {summary.vocabulary:,} words in the training captions")
    lines += [f"left out        {count:,}: {reason}" for reason, count in summary.reasons.most_common()]
    if summary.orphans:
        lines.append(f"no such image   {summary.orphans:,} captions")
    if summary.repaired:
        lines.append(f"not Unicode     {summary.repaired:,} captions, repaired with U+FFFD, here or before")
    lines += summary.told
    if summary.resumed:
        lines.append(f"continued       {summary.resumed:,} photos were done before")
    lines.append(f"wrote           {summary.path} ({summary.path.stat().st_size / 1e6:,.1f} MB)")
    return "\n".join(map(printable, lines))


def _parser(program: str | None) -> argparse.ArgumentParser:
    described = as_called(__doc__, "data_prep/build_h5.py", program)
    form = argparse.RawDescriptionHelpFormatter
    parser = Parser(program or "build_h5.py", description=described, formatter_class=form)
    source = parser.add_argument_group("sources")
    source.add_argument("--coco", metavar="ROOT", action=AddSource, help="COCO's layout; zips are read in place")
    source.add_argument("--ift6266", metavar="ROOT", action=AddSource, help="the 2017 course's archive")
    source.add_argument("--folder", metavar="DIR", action=AddSource, help="photos, each with its captions in NAME.txt")
    source.add_argument(
        "--captions", metavar="FILE", action=AddCaptions, help="... or in one file: JSON, CSV, TSV and others"
    )
    source.add_argument(
        "--webdataset", metavar="TAR", nargs="+", action=AddSource, help="shards, folders of them, {00..10}.tar"
    )
    source.add_argument(
        "--torchvision",
        metavar="NAME",
        choices=SET_NAMES,
        action=AddSource,
        help=f"{', '.join(SET_NAMES)}, at their own size, classes as captions, from the files",
    )
    source.add_argument("--root", metavar="DIR", action=AddRoot, help="... in the folder that torchvision calls root")
    source.add_argument("--demo", action=AddSource, nargs=0, help="scenes that the program draws itself")
    source.add_argument(
        "--split",
        choices=SPLITS,
        action=AddSplit,
        dest="next_split",
        help="put all of the source behind this into one split",
    )
    parser.set_defaults(sources=[])
    add = parser.add_argument
    add("--out", metavar="FILE.h5", type=Path, help="the file to write")
    add("--workers", metavar="N", type=positive, default=_cpus(), help="decoding processes (default: %(default)s)")
    add("--limit", metavar="N", type=positive, help="at most N images of each split")
    add("--fast-decode", action="store_true", help="let the JPEG decoder shrink first: faster, not exact")
    add("--preview", metavar="GRID.png", type=Path, help="draw border, center and captions of some images")
    add(
        "--image-size",
        metavar="N",
        type=positive,
        help=f"pixels a side (default: {IMAGE_SIZE}, or --torchvision's own)",
    )
    add(
        "--hole",
        metavar="T,L,H,W",
        type=hole_argument,
        help="top,left,height,width, or full for the whole image (default: its middle half, 16,16,32,32)",
    )
    add("--seed", metavar="N", type=int, default=0, help="of the demo's scenes (default: %(default)s)")
    add("--scenes", metavar="N", type=scenes, default=COUNTS["train"], help="of the demo, to train on (%(default)s)")
    add("--verify", metavar="FILE.h5", type=Path, help="re-hash and check a file; exit code 0 only if it is whole")
    add("--overwrite", action="store_true", help="replace files that this program did not write, but never a source")
    add_version(parser)
    return parser


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    run_main(main)
