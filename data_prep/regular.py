"""Opening a user's file: a regular file and nothing else, so that no pipe hangs a command and no device is touched."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from data_prep.errors import InputError

OTHER = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a device",
    stat.S_IFCHR: "a device",
}
NOT_FOUND = (errno.ENOENT, errno.ENOTDIR)


def open_regular(path: str | Path, what: str = "file") -> BinaryIO:
    """Open a regular file, or a link to one, for reading bytes.

    Args:
      path: the file. what: what it should be, in a word or two, for the error where it is missing.
    Raises:
      InputError: it is missing, may not be read, or is a folder, a pipe, a socket or a device. It never waits.
    """
    try:
        _check(path, os.stat(path))
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except ValueError as error:  # a NUL in the name
        raise InputError(f"{path}: no such {what}") from error
    except OSError as error:
        if error.errno in NOT_FOUND:
            raise InputError(f"{path}: no such {what}") from error
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        _check(path, os.fstat(descriptor))  # again: the name may lead elsewhere by now
        os.set_blocking(descriptor, True)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_small(path: str | Path, limit: int, what: str = "file") -> bytes:
    """The bytes of a regular file of at most `limit` bytes.

    Raises:
      InputError: as `open_regular` does, or the file is larger.
    """
    with open_regular(path, what) as file:
        try:
            data = file.read(min(limit, os.fstat(file.fileno()).st_size) + 1)  # read reserves all that it is asked for
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    if len(data) > limit:
        raise InputError(f"{path}: too large for a {what}: more than {limit:,} bytes")
    return data


def _check(path: str | Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        found = OTHER.get(stat.S_IFMT(status.st_mode), "something else")
        raise InputError(f"{path}: is {found}, not a regular file")
