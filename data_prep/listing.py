"""List a user's folder: photos, texts, system files and unreadable files.

Links are followed. Each real folder is entered once, by its real path if that is below the root, so cycles end.
"""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from data_prep.names import NOT_READ, TEXTS, is_photo, is_system, not_read, skipped_as
from data_prep.photos import RESULTS
from data_prep.recognise import is_result

_LEAD = 64  # bytes that tell a photo from other files
TABLES = (*TEXTS, ".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".token")
TARS = (".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.bz2", ".tar.xz")


@dataclass
class Listing:
    """Paths inside the root, with forward slashes, sorted.

    Attributes:
      photos: by suffix or first bytes.
      texts: files that may hold captions.
      tars: archives, compressed or not.
      rejects: (path, reason) of unreadable photos and folders.
      skipped: number of skipped hidden and system files and folders, by name, and of this program's own results.
      others: number of all other files.
      twice: (path, path) of links to folders that were read under the second path.
    """

    photos: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    tars: list[str] = field(default_factory=list)
    rejects: list[tuple[str, str]] = field(default_factory=list)
    skipped: Counter = field(default_factory=Counter)
    others: int = 0
    twice: list[tuple[str, str]] = field(default_factory=list)


def listing(root, deep: bool = True) -> Listing:
    """List a folder, and its subfolders unless `deep` is False."""
    root, found = os.fspath(root), Listing()
    entered: dict[tuple[int, int], str] = {}
    waiting = [""]
    while waiting:  # the real tree first, then linked folders, then the links inside those
        links: list[str] = []
        for folder in waiting:
            for path in _entered(root, folder, entered, found) if deep else [""]:
                _list_folder(root, path, found, links)
        waiting = sorted(links) if deep else []
    for names in (found.photos, found.texts, found.tars, found.rejects, found.twice):
        names.sort()
    return found


def _entered(root: str, folder: str, entered: dict, found: Listing) -> Iterator[str]:
    """A folder and its subfolders, without links, each not entered before."""
    stack = [folder]
    while stack:
        path = stack.pop()
        try:
            status = os.stat(os.path.join(root, path))
        except OSError as error:
            found.rejects.append((f"{path}/", f"cannot be read: {error.strerror}"))
            continue
        first = entered.setdefault((status.st_dev, status.st_ino), path)
        if first != path:
            found.twice.append((path, first))
            continue
        inside: list[str] = []
        yield path
        try:
            with os.scandir(os.path.join(root, path)) as entries:
                inside = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError:  # told by _list_folder
            continue
        stack += [_join(path, name) for name in sorted(inside, reverse=True) if not is_system(name)]


def _list_folder(root: str, folder: str, found: Listing, links: list[str]) -> None:
    """Sort the entries of one folder into `found`, links to folders into `links`."""
    try:
        with os.scandir(os.path.join(root, folder)) as entries:
            listed = list(entries)
    except OSError as error:
        found.rejects.append((f"{folder}/", f"cannot be read: {error.strerror}"))
        return
    for entry in listed:
        path = _join(folder, entry.name)
        if is_system(entry.name):
            found.skipped[skipped_as(entry.name)] += 1
        elif _is_dir(entry):
            if entry.is_symlink():
                links.append(path)
        else:
            _sort_file(os.path.join(root, path), path, found)


def _sort_file(file: str, path: str, found: Listing) -> None:
    lower = path.lower()
    if lower.endswith((".png", ".json", ".csv")) and is_result(file):
        found.skipped[RESULTS] += 1
    elif is_photo(path):
        found.photos.append(path)
    elif lower.endswith(TABLES):
        found.texts.append(path)
    elif lower.endswith(TARS):
        found.tars.append(path)
    elif lower.endswith(NOT_READ):
        if (kind := _sniffed(file)) and kind != "tiff":  # raw files are TIFFs inside, with a small preview
            found.photos.append(path)
        else:
            found.rejects.append((path, not_read(path)))
    elif _sniffed(file):
        found.photos.append(path)
    else:
        found.others += 1


def _is_dir(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _sniffed(file: str) -> str:
    """Kind of photo by a file's first bytes, "" for none."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a named pipe does not hang
        try:
            return kind_of(os.read(descriptor, _LEAD))
        finally:
            os.close(descriptor)
    except (OSError, ValueError):
        return ""


def kind_of(data: bytes) -> str:
    """Kind of photo by its first bytes, such as "jpeg" or "heic"; "" for none."""
    for mark, kind in (
        (b"\xff\xd8\xff", "jpeg"),
        (b"\x89PNG\r\n\x1a\n", "png"),
        (b"GIF87a", "gif"),
        (b"GIF89a", "gif"),
        (b"II*\0", "tiff"),
        (b"MM\0*", "tiff"),
        (b"\0\0\0\x0cjP  \r\n", "jpeg2000"),
        (b"\xff\x4f\xff\x51", "jpeg2000"),
    ):
        if data.startswith(mark):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data[4:8] == b"ftyp":
        end = min(len(data), int.from_bytes(data[:4], "big"))
        brands = {data[start : start + 4] for start in (8, *range(16, end, 4))}
        if brands & {b"avif", b"avis"}:
            return "avif"
        return "heic" if brands & {b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"} else ""
    if data[:1] == b"P" and data[1:2] in b"123456" and data[2:3] in b" \t\r\n#" and len(data) > 2:
        return "pnm"
    return "bmp" if data[:2] == b"BM" and data[6:10] == bytes(4) and len(data) >= 26 else ""
