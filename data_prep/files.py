"""Atomic writes: under a hidden name beside the target, then moved over it.

A kill or a power cut leaves the previous file; an exception, Ctrl-C or SIGTERM also removes the unfinished one. Several
processes may write one path: each writes a separate unfinished file, and the last to finish wins. Unfinished files of
killed processes are removed by the next process that writes into the folder. tempfile's names do not tell whose a file
is, so nobody could remove them, and its files are for their owner alone (mode 0600).
"""

import contextlib
import functools
import hashlib
import json
import math
import os
import re
import secrets
import stat
import time
from pathlib import Path

from data_prep.errors import InputError, signals_held
from data_prep.outputs import check_target
from data_prep.recognise import software

UNFINISHED = re.compile(r"\..*\.(?P<pid>\d+)-(?P<machine>[0-9a-f]{6})-[0-9a-f]{8}\.unfinished", re.DOTALL)
LONGEST_STEM = 100  # bytes of the target's name that an unfinished file's name takes over
LARGE = 4_000_000  # pixels from which on a PNG is compressed lightly, three times as fast
ABANDONED = 24 * 3600  # seconds without a write, after which an unfinished file of whatever process is swept
_swept = set()  # folders that this process has swept


@contextlib.contextmanager
def replacing(path, kind=None, overwrite=False, durable=True):
    """Yield a temporary path to write to, and move it to `path` if the block succeeds.

    The temporary file exists and is empty; write it in place. Its name has no suffix, so tell `Image.save` the format.
    The result has the permissions of a new file.

    Args:
      path: target (str or Path); missing folders are made.
      kind, overwrite: which files may be replaced, see `outputs.check_target`; checked before and after the block.
      durable: sync to disk, so that the file survives a power cut; False for files that are verified and cheap to
        remake.

    Yields:
      The Path to write.

    Raises:
      InputError: the folder cannot be made or written, the disk is full, or `path` must not be replaced.
    """
    path = Path(path)
    check_target(path, kind, overwrite)
    with contextlib.ExitStack() as undo, _told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent)
        temporary, descriptor = _created(path)
        undo.callback(os.close, descriptor)
        undo.callback(_remove, temporary)
        yield temporary
        if not os.path.samestat(os.lstat(temporary), os.fstat(descriptor)):
            raise InputError(f"{temporary}: another file was put there while it was written")
        if durable:
            os.fsync(descriptor)
        check_target(path, kind, overwrite)
        os.replace(temporary, path)
        if durable:
            _sync_folder(path.parent)


class Together:
    """Files that belong together: each is written under a hidden name, and at the end of the block all are moved into
    place, the first one last. If the block fails, a signal ends it or one of them cannot be synced, none is."""

    def __init__(self):
        self._files = []

    def add(self, path, kind=None, overwrite=False):
        """The Path to write for `path`; see `replacing`, also for what it raises."""
        path = Path(path)
        check_target(path, kind, overwrite)
        with _told(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            _sweep(path.parent)
            temporary, descriptor = _created(path)
            status = os.fstat(descriptor)
            os.close(descriptor)  # unlike `replacing`, whose open one keeps the inode's number: there may be thousands
        self._files.append((path, temporary, status, kind, overwrite))
        return temporary

    def __enter__(self):
        return self

    def __exit__(self, exception, error, traceback):
        try:
            if isinstance(error, OSError) and self._files:
                with _told(self._files[-1][0]):
                    raise error
            if error is None:
                with signals_held():
                    self._move()
        finally:
            for _, temporary, *_ in self._files:
                _remove(temporary)

    def _move(self):
        for path, temporary, status, kind, overwrite in self._files:
            with _told(path), open(temporary, "rb") as file:
                if not os.path.samestat(os.fstat(file.fileno()), status):
                    raise InputError(f"{temporary}: another file was put there while it was written")
                os.fsync(file.fileno())
            check_target(path, kind, overwrite)
        for path, temporary, *_ in reversed(self._files):
            with _told(path):
                os.replace(temporary, path)
        for folder in {path.parent for path, *_ in self._files}:
            _sync_folder(folder)


@contextlib.contextmanager
def _told(path):
    """What goes wrong with a file, as InputError."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error


def write_json(path, value, kind=None, overwrite=False):
    """Write `value` to `path` as indented JSON; NaN and infinity become null.

    Raises:
      InputError: see `replacing`, also for `kind` and `overwrite`.
    """
    with replacing(path, kind, overwrite) as temporary:
        put_json(temporary, value)


def put_json(path, value):
    """`write_json` for a file that is there, as `replacing` yields it."""
    text = json.dumps(_finite(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    path.write_text(text.encode("utf-8", "replace").decode(), encoding="utf-8")


def save_png(image, file, kind, icc=None):
    """Write a PIL image as PNG with the mark that `recognise.png_kind(kind)` looks for; `kind` is a word or two, `icc`
    the ICC profile of its pixels."""
    from PIL.PngImagePlugin import PngInfo

    mark = PngInfo()
    mark.add_text("Software", software(kind))
    level = 1 if image.width * image.height > LARGE else 6
    image.save(file, format="PNG", pnginfo=mark, icc_profile=icc, compress_level=level)


def _created(path):
    """Create an empty file beside `path` under a unique name; returns its path and descriptor."""
    stem = os.fsencode(path.name)[:LONGEST_STEM].decode("utf-8", "ignore")
    name = f".{stem}.{os.getpid()}-{_machine()}-{secrets.token_hex(4)}.unfinished"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return path.with_name(name), os.open(path.with_name(name), flags, 0o666)


def _remove(path):
    with contextlib.suppress(OSError):
        os.unlink(path)


@functools.cache
def _machine():
    """Six hexadecimal digits of the machine, or container, in which process ids are unique."""
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        space = ""
    return hashlib.sha256(f"{os.uname().nodename} {space}".encode()).hexdigest()[:6]


def _sweep(folder):
    """Remove unfinished files of killed processes from a folder; only once per folder, as it may hold many files."""
    key = os.path.realpath(folder)
    if key in _swept:
        return
    _swept.add(key)
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if _is_dead(entry):
                    os.unlink(entry.path)


def _is_dead(entry):
    """Whether an entry is an unfinished file of a process that has ended."""
    match = UNFINISHED.fullmatch(entry.name)
    if not match or not stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode):
        return False
    if match["machine"] == _machine() and not _runs(int(match["pid"])):
        return True
    return time.time() - entry.stat(follow_symlinks=False).st_mtime > ABANDONED


def _runs(pid):
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # another user's
        return True
    return True


def _sync_folder(folder):
    """Sync the move to disk. Some file systems cannot, and need not."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _finite(value):
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
