"""Files that are either whole or not there: written under a hidden name beside the target, then moved over it.

A kill at any moment leaves the previous file as it was; an exception, Ctrl-C or SIGTERM also removes the
unfinished one.
"""

import contextlib
import json
import math
import os
from pathlib import Path

from data_prep.errors import InputError


@contextlib.contextmanager
def replacing(path):
    """Give a temporary path to write to, and move it to `path` when the block ends well.

    The temporary name keeps the suffix, so that `Image.save` knows its format, and is the same every time, so that what
    a killed run left behind is overwritten by the next one. One writer a path at a time.

    Args:
      path: where the file shall appear (str or Path); missing folders are made.

    Yields:
      The Path to write. It need not exist before; it must exist when the block ends.

    Raises:
      InputError: the folder cannot be made or written, the disk is full, `path` is a folder.
    """
    path = Path(path)
    if not path.name:
        raise InputError(f"{path}: is a folder")
    temporary = path.with_name(f".{path.stem[:40]}.unfinished{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def write_json(path, value):
    """Write `value` to `path` as indented JSON; a number that is NaN or infinite becomes null.

    Raises:
      InputError: as `replacing` does.
    """
    text = json.dumps(_finite(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    with replacing(path) as temporary:
        temporary.write_text(text.encode("utf-8", "replace").decode(), encoding="utf-8")


def _finite(value):
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
