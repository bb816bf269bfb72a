"""Version of the program, and its commit if it runs from its git checkout."""

import argparse
import contextlib
import os
import re
import subprocess
from pathlib import Path

from data_prep.recognise import PROGRAM

ROOT = Path(__file__).resolve().parent.parent


def program_version() -> str:
    """Version of the source tree of this file, else of the installed package."""
    project = _own_project()
    if project is not None:
        return re.search(r'^version = "([^"]+)"', project, re.MULTILINE)[1]
    from importlib.metadata import PackageNotFoundError, version  # here: it takes a while to import

    try:
        return version(PROGRAM)
    except PackageNotFoundError:
        return "unknown"


def commit() -> str | None:
    """Commit of the program, with a note if files differ from it; None outside its git checkout.

    Installed or unpacked inside the checkout of another project it is None too: that commit would be the other
    project's.
    """
    if _own_project() is None:
        return None
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        if Path(_git("rev-parse", "--show-toplevel")).resolve() != ROOT:
            return None
        _git("ls-files", "--error-unmatch", "--", "data_prep/version.py")
        changed = _git("status", "--porcelain", "--untracked-files=no")
        return _git("rev-parse", "HEAD") + (", with changes that are not committed" if changed else "")
    return None


def add_version(parser: argparse.ArgumentParser) -> None:
    """Add --version to a parser."""
    parser.add_argument("--version", action=_ShowVersion, nargs=0, help="show the program's version and exit")


class _ShowVersion(argparse.Action):
    def __call__(self, parser, namespace, value, option_string=None):
        own = commit()
        print(f"{PROGRAM} {program_version()}" + (f" (commit {own})" if own else ""))
        parser.exit()


def _own_project() -> str | None:
    """Text of pyproject.toml beside the packages, if it is this program's."""
    try:
        text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    return text if re.search(f'^name = "{PROGRAM}"', text, re.MULTILINE) else None


def _git(*words: str) -> str:
    """Output of git for this tree, whatever repository the environment names (a hook sets GIT_DIR)."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        ["git", *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=20
    )
    return done.stdout.strip()
