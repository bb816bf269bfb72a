"""What a command may overwrite: only its earlier outputs.

The rule of every command:
- an output that is the same file as an input or another output is a mistake in the command line: exit code 2, even with
  --overwrite. Files are compared, not names, so links, `./` and case do not matter.
- an existing target is replaced if it is empty or recognisably an earlier output of the same kind. Otherwise it is
  kept: one line and exit code 1, unless --overwrite.
- a link to a file is not followed: --overwrite replaces the link, not its target. A folder, pipe, socket or device, or
  a link to one, is never replaced.

`check_outputs` is called before the work starts; `check_target` again when a file is moved into place.
"""

import contextlib
import os
import stat
import sys
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from data_prep.errors import CommandError, InputError
from data_prep.recognise import Kind
from data_prep.regular import OTHER


def check_outputs(
    outputs: Iterable[tuple[str | Path, Kind]],
    inputs: Iterable[str | Path] = (),
    beside: Iterable[str | Path] = (),
    overwrite: bool = False,
) -> None:
    """Check that a command may write all of its outputs; call it before the work starts.

    Args:
      outputs: (path, kind) of each file to write.
      inputs: files to read.
      beside: files that belong to an input (a photo's sidecar), and folders of sources. These files, and all files
        below the folders, count as inputs, except earlier outputs of the same kind.
      overwrite: whether files of other programs may be replaced.
    Raises:
      CommandError: an output is an input, or two outputs are one file.
      InputError: see `check_target`.
    """
    outputs, beside = [(Path(path), kind) for path, kind in outputs], list(beside)
    written, known = {}, {}
    for path, _ in outputs:
        first = written.setdefault(identity(path, known), path)
        if first is not path:
            raise CommandError(f"{first} and {path} are one file: each output needs its own")
    for folder in {folder for parent in {path.parent for path, _ in outputs} for folder in _and_above(parent)}:
        target = written.get(identity(folder, known))
        if target is not None and not target.is_dir():  # one that is a folder is told below
            raise CommandError(f"{target}: would be a file, and the folder of another output")
    for given in inputs:
        if identity(given, known) in written:
            raise CommandError(f"{written[identity(given, known)]}: would replace {given}, which is read")
    there = [path for path, kind in outputs if beside and os.path.lexists(path) and not kind.recognises(path)]
    if there:
        _refuse_sources(there, beside)
    for path, kind in outputs:
        check_target(path, kind, overwrite)


def check_target(path: str | Path, kind: Kind | None = None, overwrite: bool = False) -> None:
    """Check that one file may be written.

    Args:
      kind: kind of the output; None for files in the program's folders, which are always replaced.
    Raises:
      InputError: `path` exists, is not of that kind, and `overwrite` is False; it is a folder, a pipe, a device or a
        link; or its folder cannot be written.
    """
    path = Path(path)
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return _check_folder(path)
    except (OSError, ValueError) as error:  # a name too long, a file where a folder should be, a NUL in the name
        raise InputError(f"{path}: cannot be written: {getattr(error, 'strerror', None) or error}") from error
    kind_of_file = stat.S_IFMT(status.st_mode)
    if kind_of_file == stat.S_IFLNK and os.path.exists(path):
        kind_of_file = stat.S_IFMT(os.stat(path).st_mode)
    if kind_of_file in OTHER:
        raise InputError(f"{path}: is {OTHER[kind_of_file]}, not the name of a file to write")
    if not overwrite:
        if stat.S_ISLNK(status.st_mode):
            raise InputError(f"{path}: is a link: name the file itself, or replace the link with --overwrite")
        if kind is not None and status.st_size and not kind.recognises(path):
            raise InputError(f"{path}: is there and is not {kind.name}: choose another name, or give --overwrite")
    _check_folder(path)


def identity(path: str | Path, known: dict | None = None) -> tuple:
    """Key of a file, equal for all of its names (links, spellings), whether it exists or not. `known` caches folders
    between calls."""
    with contextlib.suppress(OSError, ValueError):
        status = os.stat(path)
        return status.st_dev, status.st_ino
    folder, name = os.path.split(path)
    if name in ("", ".", "..") or os.path.islink(path):
        folder, name = os.path.split(_real(path))
    known = {} if known is None else known
    if folder not in known:
        known[folder] = _place(_real(folder or "."))
    *place, ignores_case = known[folder]
    return *place, _one_case(name) if ignores_case else name


def _real(path: str) -> str:
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):  # a NUL in it, say
        return os.path.abspath(path)


def _place(path: str) -> tuple:
    """Place of a folder that may not exist, links resolved: identity of the nearest existing folder, the names below
    it, and whether it ignores case."""
    names = []
    while True:
        with contextlib.suppress(OSError, ValueError):
            status, ignores_case = os.stat(path), _ignores_case(path)
            return status.st_dev, status.st_ino, *(map(_one_case, names) if ignores_case else names), ignores_case
        path, name = os.path.split(path)
        names.insert(0, name)


def _one_case(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _ignores_case(folder: str) -> bool:
    """Whether a folder's file system ignores case, as is usual on macOS."""
    with contextlib.suppress(OSError):
        with os.scandir(folder) as entries:
            probe = next((entry.path for entry in entries if _swapped(entry.path) != entry.path), None)
        probe = probe or folder
        if _swapped(probe) != probe:
            return os.path.lexists(_swapped(probe)) and os.path.samestat(os.lstat(probe), os.lstat(_swapped(probe)))
    return sys.platform == "darwin"


def _swapped(path: str) -> str:
    """The path with the case of its last name swapped."""
    folder, name = os.path.split(path)
    return os.path.join(folder, name.swapcase())


def _and_above(folder: Path) -> list[Path]:
    return [folder.absolute(), *folder.absolute().parents]


def _refuse_sources(targets: list[Path], beside: list) -> None:
    """Raise CommandError if a target is one of the files `beside`, or below one of those folders."""
    belongs = {identity(given): given for given in beside}
    for path in targets:
        if identity(path) in belongs:
            raise CommandError(f"{path}: would replace {belongs[identity(path)]}, which belongs to an input")
    for folder in filter(os.path.isdir, beside):
        below = set(_identities_below(folder))
        for path in targets:
            if identity(path) in below:
                raise CommandError(f"{path}: would replace a file of the source {folder}")


def _identities_below(folder) -> Iterable[tuple]:
    """Identity of each file below a folder, links followed, each folder once."""
    seen = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if _new(os.path.join(place, name), seen)]
        yield from (identity(os.path.join(place, name)) for name in files)


def _new(folder: str, seen: set) -> bool:
    known = identity(folder)
    return known not in seen and not seen.add(known)


def _check_folder(path: Path) -> None:
    """Raise InputError unless the folder of `path` can be written, or made."""
    for folder in path.absolute().parents:
        if os.path.lexists(folder):
            if not os.path.exists(folder):
                raise InputError(f"{path}: cannot be written: {folder} is a link to nothing")
            if not os.access(folder, os.W_OK | os.X_OK):
                raise InputError(f"{path}: cannot be written: no permission in {folder}")
            return
