"""Locks that end with their process: one build per file, one run per folder.

A lock is a small permanent file with a system lock on it, which a killed process releases. The file is opened without
following links and never truncated, so a link planted under its name does no harm.
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
    """Hold the lock file `path`, created if missing, for the block. Only writers need it.

    Args:
      path: the lock file.
      busy: message of the error if another process holds it.
    Yields:
      "", or a note for the user if the file system has no locks.
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
    """Descriptor of the locked file, and the note that `held` yields."""
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
    """Whether `path` is still the file of the descriptor."""
    try:
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
