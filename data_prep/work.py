"""FILE.h5.work: the folder of a build's shards, so that a killed build can resume. No other program's file is touched.

The folder is used only if it has this program's marker, or is empty; a link is not followed. Only files with names of a
build are removed: a folder for each key, its shards, and unfinished files. If there is anything else in it, the build
refuses to start.
"""

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_prep.errors import InputError
from data_prep.files import UNFINISHED
from data_prep.locks import held

MARKER, LOCK = "made-by-build_h5", "lock"
MARK = "The decoded photos of an unfinished build. build_h5.py goes on from here and removes this folder itself.\n"
KEY = re.compile(r"[0-9a-f]{16}")
SHARD = re.compile(r"[0-9]{6,}\.shard")


@contextmanager
def work_folder(out: Path, key: str) -> Iterator[tuple[Path, str]]:
    """Folder of the shards of `key`: kept if the build is interrupted, removed when it is done.

    It is in FILE.h5.work, which is locked; shards of other keys are removed.

    Yields:
      (the folder, a note for the user if the file system has no locks, else "").
    Raises:
      InputError: another build is writing `out`, or FILE.h5.work is not this program's, or has other files in it.
    """
    work, busy = out.with_name(out.name + ".work"), f"{out}: another build is writing it"
    with contextlib.ExitStack() as stack:
        while True:
            try:
                _take(work)
                note = stack.enter_context(held(work / LOCK, busy))
                break
            except (FileNotFoundError, InputError) as error:  # a build that ends just now removes the folder
                if not isinstance(error.__cause__ or error, FileNotFoundError):
                    raise
        _put_marker(work)  # or that build removed it after we saw it
        folder = _only_ours(work, key[:16])
        try:
            yield folder, note
            _clear(folder, SHARD, UNFINISHED)
            _remove(folder)
            _leave(work)
        finally:
            _clear(folder, UNFINISHED)


def _take(work: Path) -> None:
    """Make the folder with its marker, or check that it is ours. Raises FileNotFoundError if it was removed
    meanwhile."""
    with contextlib.suppress(FileExistsError):
        work.mkdir()
    if not stat.S_ISDIR(os.lstat(work).st_mode):
        raise InputError(f"{work}: is in the way of the build, which needs a folder of that name: move it")
    entries = _entries(work)
    if not entries or entries.keys() == {LOCK} and _is_empty_file(work / LOCK):
        return _put_marker(work)
    if MARKER not in entries or not _is_marker(work / MARKER):
        raise InputError(f"{work}: is not a folder of this program: move it, or choose another --out")


def _is_empty_file(path: Path) -> bool:
    status = os.lstat(path)
    return stat.S_ISREG(status.st_mode) and not status.st_size


def _is_marker(path: Path) -> bool:
    """Whether it is our marker, or the start of one that a kill cut short."""
    status = os.lstat(path)
    return stat.S_ISREG(status.st_mode) and status.st_size <= len(MARK) and MARK.encode().startswith(path.read_bytes())


def _put_marker(work: Path) -> None:
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(work / MARKER, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(MARK)


def _only_ours(work: Path, key: str) -> Path:
    """Check that the folder has only our files, remove shards of other keys, and make the folder of `key`."""
    entries = _entries(work)
    for name, mode in entries.items():
        if name in (MARKER, LOCK):
            continue
        if not (KEY.fullmatch(name) and stat.S_ISDIR(mode)):
            raise _foreign(work / name)
        for inner, kind in _entries(work / name).items():
            if not ((SHARD.fullmatch(inner) or UNFINISHED.fullmatch(inner)) and stat.S_ISREG(kind)):
                raise _foreign(work / name / inner)
    for name in entries.keys() - {MARKER, LOCK, key}:
        _clear(work / name, SHARD, UNFINISHED)
        _remove(work / name)
    folder = work / key
    folder.mkdir(exist_ok=True)
    _clear(folder, UNFINISHED)
    return folder


def _foreign(path: Path) -> InputError:
    return InputError(f"{path}: is not a file of this program's and lies in its way: move it, or choose another --out")


def _entries(folder: Path) -> dict[str, int]:
    """Name -> mode of each entry of a folder, links not followed."""
    with os.scandir(folder) as entries:
        return {entry.name: entry.stat(follow_symlinks=False).st_mode for entry in entries}


def _clear(folder: Path, *patterns: re.Pattern) -> None:
    """Remove files whose names match a pattern."""
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(folder):
            if any(pattern.fullmatch(name) for pattern in patterns):
                (folder / name).unlink(missing_ok=True)


def _remove(folder: Path) -> None:
    """Remove a folder if it is empty."""
    with contextlib.suppress(OSError):
        folder.rmdir()


def _leave(work: Path) -> None:
    """Remove the folder if it has only our files. The lock goes after the marker: a process that locks a new file knows
    that the marker will not vanish any more."""
    if set(os.listdir(work)) <= {MARKER, LOCK}:
        (work / MARKER).unlink(missing_ok=True)
        (work / LOCK).unlink(missing_ok=True)
        _remove(work)
