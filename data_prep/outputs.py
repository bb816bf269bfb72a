"""What a command may write over: nothing but its own earlier outputs.

One rule for every command:
- an output that is the same file as an input, or as another output, is a mistake in the command line: exit code 2,
  whatever --overwrite says. Names are compared by the files they lead to, so links, `./` and case don't matter.
- a target that is there already is replaced where it is recognisably an earlier output of the same kind, or empty.
  Anything else is left as it is: one line and exit code 1, or --overwrite.
- a link to a file is not followed: with --overwrite it is replaced itself, and what it leads to stays. A folder, pipe,
  socket or device, or a link to one, is never replaced.

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

OTHER = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a device",
    stat.S_IFCHR: "a device",
}


def check_outputs(
    outputs: Iterable[tuple[str | Path, Kind]],
    inputs: Iterable[str | Path] = (),
    beside: Iterable[str | Path] = (),
    overwrite: bool = False,
) -> None:
    """See that a command may write all of its outputs; to be called before its work starts.

    Args:
      outputs: (path, kind) of each file that will be written. inputs: files that are read.
      beside: files that belong to an input (a photo's sidecar), and folders of sources: these files and all below the
        folders count as inputs too, except earlier outputs of the kind that is to be written.
      overwrite: whether the user allowed to replace files that the program did not write.
    Raises:
      CommandError: an output is an input, or two outputs are one file. InputError: see `check_target`.
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
    """See that one file may be written.

    Args:
      kind: what is to be written; None for files in the program's own folders, which are replaced as they are.
    Raises:
      InputError: it is there and is not of that kind, and not `overwrite`; it is a folder, a pipe or a device, or a
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
    """The same for all names of one file, links and spellings alike, whether it is there or not. `known` keeps what was
    found of folders, for the next of many paths."""
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
    """Of a folder that need not be there, every link in its path resolved: the identity of the nearest folder that is,
    the names below it, and whether case counts for nothing in them."""
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
    """Whether a folder's file system takes names that differ only in case for one, as macOS's usual one does."""
    with contextlib.suppress(OSError):
        with os.scandir(folder) as entries:
            probe = next((entry.path for entry in entries if _swapped(entry.path) != entry.path), None)
        probe = probe or folder
        if _swapped(probe) != probe:
            return os.path.lexists(_swapped(probe)) and os.path.samestat(os.lstat(probe), os.lstat(_swapped(probe)))
    return sys.platform == "darwin"


def _swapped(path: str) -> str:
    """A path with the other case in its last name."""
    folder, name = os.path.split(path)
    return os.path.join(folder, name.swapcase())


def _and_above(folder: Path) -> list[Path]:
    return [folder.absolute(), *folder.absolute().parents]


def _refuse_sources(targets: list[Path], beside: list) -> None:
    """CommandError where a target is one of the files `beside`, or lies below one of those folders."""
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
    """The identity of each file below a folder, links followed, each folder once."""
    seen = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if _new(os.path.join(place, name), seen)]
        yield from (identity(os.path.join(place, name)) for name in files)


def _new(folder: str, seen: set) -> bool:
    known = identity(folder)
    return known not in seen and not seen.add(known)


def _check_folder(path: Path) -> None:
    """InputError unless the folder of `path` can be written, or made."""
    for folder in path.absolute().parents:
        if os.path.lexists(folder):
            if not os.path.exists(folder):
                raise InputError(f"{path}: cannot be written: {folder} is a link to nothing")
            if not os.access(folder, os.W_OK | os.X_OK):
                raise InputError(f"{path}: cannot be written: no permission in {folder}")
            return
