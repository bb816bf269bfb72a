"""Locks that die with their process: one build a file, one run a folder.

A lock is a small file that stays where it is; what counts is the system's lock on it, which a killed process lets go
of. The file is opened without following a link and is never truncated, so a link planted under its name harms nothing.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from data_prep.errors import InputError

NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}  # what a file system without locks answers


@contextlib.contextmanager
def held(path: str | Path, busy: str) -> Iterator[str]:
    """Hold the lock file `path`, made where it is missing, until the block is left. Reading needs no lock; this is for
    writers.

    Args:
      path: the lock file. busy: the error's text where another process holds it.
    Yields:
      "" or, where the file system has no locks, a sentence for the user that says so.
    Raises:
      InputError: another process holds it, `path` is a link or no regular file, or it cannot be opened.
    """
    descriptor, note = _locked(path, busy)
    while not _is_there(path, descriptor):  # its last holder removed it before it let go of it
        os.close(descriptor)
        descriptor, note = _locked(path, busy)
    try:
        yield note
    finally:
        os.close(descriptor)


def _locked(path: str | Path, busy: str) -> tuple[int, str]:
    """A descriptor of the file, locked, and the note that `held` gives."""
    import fcntl  # POSIX

    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        reason = "is a link, not a lock" if error.errno == errno.ELOOP else f"cannot be locked: {error.strerror}"
        raise InputError(f"{path}: {reason}") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise InputError(f"{path}: is no regular file, so it cannot be locked")
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the process's own: forked workers don't inherit it
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                raise InputError(busy) from error
            if error.errno not in NO_LOCKS:
                raise InputError(f"{path}: cannot be locked: {error.strerror}") from error
            return (
                descriptor,
                f"{path}: this file system has no locks ({error.strerror}): nothing stops a second writer",
            )
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, ""


def _is_there(path: str | Path, descriptor: int) -> bool:
    """Whether `path` still is the file of the descriptor."""
    try:
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
