"""The command `inpaint`: `inpaint fill`, `inpaint evaluate` and so on, also as `python -m inpaint`.

A command's own module, and torch with it, is imported when its name has been read.
"""

import argparse
import os
import sys
from importlib import import_module

from data_prep.errors import exit_on_signals, run_main
from data_prep.printing import Parser
from data_prep.version import add_version

# By name: the module whose main(argv, program) is the command, and what it does.
COMMANDS = {
    "build": ("data_prep.build_h5", "photos with captions become one HDF5 file"),
    "train": ("inpaint.commands.train", "train a model on such a file, or on drawn scenes"),
    "evaluate": ("inpaint.commands.evaluate", "score a checkpoint on photos it has not seen"),
    "fill": ("inpaint.commands.fill", "fill the hole of photos with samples"),
    "score": ("inpaint.commands.score", "score what is in a photo's hole, and other fills of it"),
    "serve": ("inpaint.commands.serve", "fill photos on a page in the browser"),
    "export": ("inpaint.commands.export", "write a run's weights as one file, for others to load"),
}


def main(argv=None):
    """Run the command line `argv` (sys.argv[1:] if None) and give the exit code."""
    name, rest = parse(sys.argv[1:] if argv is None else argv)
    return import_module(COMMANDS[name][0]).main(rest, f"{program()} {name}")


def parse(argv):
    """A command line -> the command's name, and the words behind it."""
    lines = "\n".join(f"  {name:<10}{text}" for name, (_, text) in COMMANDS.items())
    parser = Parser(
        prog=program(),
        usage="%(prog)s [-h] [--version] COMMAND ...",
        description="Fill the hole of captioned photos: exact probabilities of what was there, and samples.",
        epilog=f"commands:\n{lines}\n\n`{program()} COMMAND --help` shows a command's options.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_version(parser)
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help=f"one of {', '.join(COMMANDS)}")
    return parser.parse_args(argv[:1]).command, argv[1:]


def program() -> str:
    """How this program was called."""
    return "inpaint" if os.path.basename(sys.argv[0]) == "inpaint" else "python -m inpaint"


def console():
    """What the installed `inpaint` runs. Raises SystemExit with the exit codes that docs/training.md lists."""
    exit_on_signals()  # from now on: importing torch takes seconds
    name = "".join(sys.argv[1:2])
    if name in COMMANDS:
        import_module(COMMANDS[name][0])
    run_main(main, program=f"{program()} {name}")


if __name__ == "__main__":
    console()
