"""Members of a tar and their offsets, in one pass over the headers; nothing is unpacked.

tarfile takes a damaged or truncated header for the end, and stops at the first end even if another tar follows. Here
every byte is accounted for: a file is read whole or refused, with the position in bytes.
"""

import posixpath
import tarfile
from collections.abc import Iterator
from typing import NamedTuple

from data_prep.errors import InputError

BLOCK = tarfile.BLOCKSIZE
ZEROS = bytes(1 << 16)


class Member(NamedTuple):
    """One member. `offset` and `size` locate its bytes in the file; `kind` is "file", "folder", "hard link", "symbolic
    link", "sparse file" or another word for an unreadable kind; `link` is the name that a link points to."""

    name: str
    offset: int
    size: int
    kind: str
    link: str

    @property
    def is_folder(self) -> bool:
        return self.kind == "folder"

    def followed(self, every: dict[str, list["Member"]]) -> tuple["Member | None", str]:
        """Resolve links: (the member that holds the bytes, "" or the reason why there is none).

        Args:
          every: all members by name.
        """
        member: Member = self
        for _ in range(16):
            if member.kind == "file":
                return member._replace(name=self.name), ""
            if member.kind not in ("hard link", "symbolic link"):
                return None, f"a {member.kind} in the tar, which is not read"
            name = member.link
            if member.kind == "symbolic link":
                name = posixpath.normpath(posixpath.join(posixpath.dirname(member.name), name))
            found = every.get(name) or every.get(f"./{name}") or []
            if len(found) != 1:
                why = "several members have" if found else "nothing in the tar has"
                return None, f"a {self.kind} to a name that {why}"
            member = found[0]
        return None, "a link in a circle"


def members(path: str, file) -> Iterator[list[Member]]:
    """Members of a file of one tar, or of several concatenated; a list for each.

    Args:
      path: name for messages.
      file: opened for reading bytes, seekable.
    Raises:
      InputError: it is not a whole, uncompressed tar.
    """
    start = 0
    while True:
        found, end = _one_tar(path, file, start)
        yield found
        start = _next_data(file, end)
        if start is None:
            return
        if (start - end) % BLOCK:
            raise InputError(f"{path}: byte {start}: data after the end of the tar")


def _one_tar(path: str, file, start: int) -> tuple[list[Member], int]:
    """Members of the tar at byte `start`, and the position of its end marks."""
    found, position = [], start
    file.seek(start)
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            for info in tar:
                if tar.offset <= position:
                    raise InputError(f"{path}: byte {position}: {info.name!r} has a negative size")
                position = tar.offset
                tar.members.clear()  # tarfile keeps every header; a shard has tens of thousands
                found.append(Member(info.name, info.offset_data, info.size, _kind(info), info.linkname))
            end = tar.offset
    except (tarfile.TarError, EOFError, ValueError, IndexError, ArithmeticError, MemoryError, RecursionError) as error:
        later = start and position == start
        reason = "data after the end of the tar" if later else f"not a whole, uncompressed tar ({error})"
        raise InputError(f"{path}: byte {position}: {reason}") from error
    file.seek(end)
    rest = file.read(BLOCK)
    if start and end == start:
        raise InputError(f"{path}: byte {start}: data after the end of the tar")
    if not rest or rest.strip(b"\0"):
        raise InputError(f"{path}: byte {end}: {'damaged tar header' if rest else 'the tar is cut short'}")
    return found, end


def _next_data(file, start: int) -> int | None:
    """Position of the first byte that is not zero from `start` on; None if there is none."""
    file.seek(start)
    while chunk := file.read(len(ZEROS)):
        if chunk != ZEROS[: len(chunk)]:
            return file.tell() - len(chunk.lstrip(b"\0"))
    return None


def _kind(info: tarfile.TarInfo) -> str:
    if info.issparse():
        return "sparse file"
    if info.isreg():
        return "file"
    names = ((info.isdir, "folder"), (info.islnk, "hard link"), (info.issym, "symbolic link"), (info.isfifo, "pipe"))
    return next((name for test, name in names if test()), "device or another special file")
