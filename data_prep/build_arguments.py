"""Arguments of the build's command line: sources in their order, and what belongs to each."""

import argparse

from data_prep.sources.demo import MOST_SCENES


class AddSource(argparse.Action):
    """Collects sources of all kinds in the order of the command line."""

    def __call__(self, parser, namespace, value, option_string=None):
        source = {"kind": self.dest, "path": value, "split": namespace.next_split}
        namespace.sources, namespace.next_split = [*namespace.sources, source], None


class AddCaptions(argparse.Action):
    """Sets the captions file of the folder before it."""

    def __call__(self, parser, namespace, value, option_string=None):
        if not namespace.sources or namespace.sources[-1]["kind"] != "folder":
            parser.error("--captions FILE must follow the --folder DIR that it belongs to")
        if "captions" in namespace.sources[-1]:
            parser.error("--captions FILE: one for each --folder DIR")
        namespace.sources[-1]["captions"] = value


class AddSplit(argparse.Action):
    """Sets the split of the source behind it."""

    def __call__(self, parser, namespace, value, option_string=None):
        if namespace.next_split is not None:
            parser.error(f"--split {namespace.next_split} needs a source behind it")
        namespace.next_split = value


class AddRoot(argparse.Action):
    """Sets the folder of the data set before it."""

    def __call__(self, parser, namespace, value, option_string=None):
        if not namespace.sources or namespace.sources[-1]["kind"] != "torchvision":
            parser.error("--root DIR must follow the --torchvision NAME that it belongs to")
        if "root" in namespace.sources[-1]:
            parser.error("--root DIR: one for each --torchvision NAME")
        namespace.sources[-1]["root"] = value


def positive(text: str) -> int:
    if not (text.isdecimal() and len(text) < 19 and int(text)):
        raise argparse.ArgumentTypeError(f"{text[:60]!r} is not a whole number from 1 on")
    return int(text)


def scenes(text: str) -> int:
    scenes = positive(text)
    if scenes > MOST_SCENES:
        raise argparse.ArgumentTypeError(f"{text[:60]!r} is more than {MOST_SCENES:,}")
    return scenes


def hole_argument(text: str) -> tuple[int, ...] | str:
    if text == "full":
        return text
    parts = text.split(",")
    if len(parts) != 4 or not all(part.isdecimal() and len(part) < 19 for part in parts):
        raise argparse.ArgumentTypeError(f"{text[:60]!r} is neither top,left,height,width nor full")
    return tuple(map(int, parts))
