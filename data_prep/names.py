"""Names of files: which are photos, which are the system's own, which name a split, and which photo a name means.

Every reader asks here, so that one list of endings and one way to match a name hold everywhere.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

PHOTOS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".jpc", ".jpf", ".jpx", ".avif", ".heic", ".heif", ".hif"),
)
NOT_READ = (  # photos and drawings that no reader here decodes: listed, never passed over
    *(".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2", ".raf", ".pef", ".srw", ".x3f", ".raw"),
    *(".jxl", ".svg", ".psd", ".eps", ".xcf", ".ico", ".tga", ".exr", ".hdr"),
)
TEXTS = (".txt", ".caption", ".text")  # captions beside a photo; .json too
SYSTEM_FOLDERS = {"__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found", "#recycle"}
SYSTEM_FILES = {"thumbs.db", "desktop.ini", "ehthumbs.db", "icon\r"}
_SYSTEM = SYSTEM_FOLDERS | SYSTEM_FILES

SPLIT_WORDS = {
    **{"train": "train", "training": "train", "test": "test", "testing": "test"},
    **{"val": "val", "valid": "val", "validation": "val", "dev": "val"},
}
_WORD = re.compile(rf"(?<![^\W\d_])({'|'.join(sorted(SPLIT_WORDS, key=len, reverse=True))})(?![^\W\d_])")


def is_photo(name: str) -> bool:
    """Whether a name ends as a photo's does that is read."""
    return name.lower().endswith(PHOTOS)


def is_system(name: str) -> bool:
    """Whether a file's or folder's own name is hidden (`.x`, `._x`) or an operating system's (`__MACOSX`, `@eaDir`)."""
    return name.startswith(".") or name.lower() in _SYSTEM


def split_in(text: str) -> str | None:
    """The split that a name has as a whole word: "cc3m-validation-0000" -> "val", "train2014" -> "train", "valley" ->
    None. Also None if its words name several splits."""
    named = {SPLIT_WORDS[word] for word in _WORD.findall(text.lower())}
    return named.pop() if len(named) == 1 else None


def split_of_path(path: str) -> str | None:
    """The split that the folders of a path name, the topmost that names one; the file's own name does not count."""
    return next((split for folder in path.split("/")[:-1] if (split := split_in(folder))), None)


def strictest(split: str, other: str | None) -> str:
    """The one of two splits that a photo of both stays in: test before val before train."""
    return min(split, other or split, key=("test", "val", "train").index)


def clean(name: str) -> str:
    """A name with forward slashes, without blanks around it and without ./ before it."""
    name = re.sub("/{2,}", "/", name.replace("\\", "/").strip())
    while name.startswith("./"):
        name = name[2:].lstrip("/")
    return name


def _nfc(name: str) -> str:
    return unicodedata.normalize("NFC", clean(name))


def some(names: Sequence[str], most: int = 12) -> str:
    """The first names, for a line of the summary; dots stand for the rest."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def not_read(path: str) -> str:
    """Why a file of an ending in NOT_READ is left out."""
    return f"{path[path.rindex('.') :].lower()} files are not read: convert it to PNG or JPEG"


def skipped_as(name: str) -> str:
    """What a system file's own name is counted under; macOS writes a `._` file beside each other one."""
    return "._*" if name.startswith("._") else name


def base(path: str) -> str:
    """What stands behind the last slash."""
    return path.rsplit("/", 1)[-1]


# Each way to match, the strictest first, and whether names that differ may mean one photo by it.
_WAYS: tuple[tuple[Callable[[str], str], bool], ...] = (
    (str, True),
    (clean, True),
    (_nfc, True),
    (lambda name: base(_nfc(name)), False),
    (lambda name: _nfc(name).casefold(), False),
    (lambda name: base(_nfc(name)).casefold(), False),
)
SEVERAL, NONE, TAKEN = "several photos have this name", "no such file", "another name is the photo's own"


def match(asked: Iterable[str], names: Iterable[str], any_folder: bool = True) -> tuple[dict[str, str], dict[str, str]]:
    r"""Find the photo that each name means: exact, then Unicode normalised (NFC), then by base name, then case-folded.

    A way that finds one photo settles it; one that finds several refuses the name, unless the folders tell which.
    By the loose ways (base name, case) a photo that some name means more strictly, or that two names mean, is not
    another's, unless that is the end of its path, and folders that name different splits are different. `\` is `/`; ./
    and blanks around a name do not count.

    Args:
      asked: names as a captions file spells them. names: the photos' own, with forward slashes.
      any_folder: whether a name with a folder may mean a photo in another one, if no photo lies in the folder named.
    Returns:
      ({asked name: photo's own}, {asked name: why it has none}).
    """
    names = list(dict.fromkeys(names))
    paths = _Paths(names)
    pending, found, refused = list(dict.fromkeys(asked)), {}, {}
    taken: set[str] = set()
    for key, shared in _WAYS:
        table = defaultdict(list)
        for name in names:
            table[key(name)].append(name)
        claims = {}
        for name in pending:
            own = table.get(key(name), [])
            claims[name] = own if shared else _candidates(name, own, key, paths, any_folder)
        wanted = Counter(own[0] for own in claims.values() if len(own) == 1)  # by how many names
        before = frozenset(taken)
        for name, own in claims.items():
            if len(own) > 1:
                refused[name] = SEVERAL
            elif own and not shared and not _is_end(name, own[0]) and (own[0] in before or wanted[own[0]] > 1):
                refused[name] = TAKEN if own[0] in before else "several names mean the one photo that is like it"
            elif own:
                found[name] = own[0]
                taken.add(own[0])
        pending = [name for name in pending if name not in found and name not in refused]
    refused.update(dict.fromkeys(pending, NONE))
    return found, refused


class _Paths:
    """Photos by their whole paths and by what is left of these from any folder on; the folders that they lie in."""

    def __init__(self, names: list[str]):
        self.whole, self.ends = defaultdict(list), defaultdict(list)
        self.folders: set[str] = set()
        for name in names:
            path = _folded(name)
            self.whole[path].append(name)
            for end in _ends(path):
                self.ends[end].append(name)
        for folder in {path.rpartition("/")[0] for path in self.whole}:
            self.folders.update(_ends(folder))

    def folder_of(self, asked: str) -> str:
        """The longest end of a name's folder that photos lie in, case-folded; "" for none."""
        return next((end for end in _ends(_folded(asked).rpartition("/")[0]) if end in self.folders), "")

    def agreeing(self, asked: str, folder: str) -> list[str]:
        """Photos whose path ends as the name does, and those that the name ends with, if they lie in `folder`."""
        path = _folded(asked)
        last = f"/{folder}" if folder else ""
        found = list(self.ends.get(path, ()))
        for end in _ends(path.partition("/")[2]):
            found += [photo for photo in self.whole.get(end, ()) if f"/{end}".rpartition("/")[0].endswith(last)]
        return found


def _folded(name: str) -> str:
    return _nfc(name).casefold().lstrip("/")


def _ends(path: str) -> Iterator[str]:
    """A path and what is left of it from each of its folders on; nothing of an empty one."""
    while path:
        yield path
        path = path.partition("/")[2]


def _candidates(asked: str, photos: list[str], key: Callable, paths: _Paths, any_folder: bool) -> list[str]:
    """Those of the photos with a name's `key` that it may mean, two where there are several: those whose folders agree
    with its; else those of no other split, but none if photos lie in its folder, or if folders must agree."""
    if not photos:
        return photos
    asked, split = _nfc(asked), split_of_path(_nfc(asked))
    folder = paths.folder_of(asked)
    agreeing = [photo for photo in paths.agreeing(asked, folder) if key(photo) == key(asked)]
    if "/" in asked and (len(agreeing) == 1 or folder or not any_folder):
        return agreeing
    others = (photo for photo in photos if not split or split_of_path(photo) in (None, split))
    return list(islice(others, 2))


def _is_end(asked: str, photo: str) -> bool:
    """Whether a name is the end of a photo's own path, so that both may stand for it: b.jpg of x/b.jpg."""
    return f"/{_nfc(photo)}".endswith(f"/{_nfc(asked)}")
