"""Print names and texts of users' files so that they can neither steer the terminal nor break a line."""

import argparse
import unicodedata

HARMLESS = "\u200c\u200d"  # invisible, but part of how Persian, Hindi and emoji are spelt
HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # controls, formats (among them those that turn the direction), line ends


def printable(text) -> str:
    """str(text) on one line: control characters, line ends and marks of direction as escapes, such as \\x1b."""
    text = str(text)
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(character) if _hides(character) else character for character in text)


def _hides(character: str) -> bool:
    return unicodedata.category(character) in HIDDEN and character not in HARMLESS


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


class Parser(argparse.ArgumentParser):
    """ArgumentParser whose errors are printable whatever is on the command line."""

    def error(self, message: str):
        super().error(printable(message))


def as_called(text: str, script: str, program: str | None) -> str:
    """A help text with the commands in it as they are typed: `python SCRIPT` is `program` ("inpaint train") where there
    is one, and torchrun's SCRIPT its module."""
    if program is None:
        return text
    return text.replace(f"python {script}", program).replace(f" {script}", f" -m {program.removeprefix('python -m ')}")
