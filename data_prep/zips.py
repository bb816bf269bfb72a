"""Zips read in place: members by name, and their locations.

Names may be in cp437 or, without a flag, in UTF-8, and may have backslashes: each spelling is tried.
"""

import contextlib
import zipfile
from collections import defaultdict
from pathlib import Path

from data_prep.errors import InputError
from data_prep.names import NONE, clean, is_photo, is_system, match
from data_prep.photos import Location
from data_prep.regular import open_regular

UTF8, ENCRYPTED = 0x800, 0x1  # a member's flags


class Zip:
    """Index of a zip, without hidden and system members.

    Raises:
      InputError: the index is damaged.
    """

    def __init__(self, path: Path):
        self.path, self._members = path, defaultdict(list)
        try:
            with open_regular(path, "zip") as file, zipfile.ZipFile(file) as archive:
                infos = archive.infolist()
        except InputError:
            raise
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
        except Exception as error:  # a damaged index: BadZipFile, struct.error, OverflowError, UnicodeDecodeError ...
            raise InputError(f"{path}: not a whole zip ({error})") from error
        for info in infos:
            if not info.is_dir() and not any(is_system(part) for part in clean(info.filename).split("/")):
                self._members[info.filename].append(info)

    @property
    def names(self) -> list[str]:
        """The members' names as in the index."""
        return list(self._members)

    def read(self, name: str, limit: int) -> bytes:
        """Bytes of a member, at most `limit`. Raises InputError if it is larger or damaged."""
        info = self._members[name][-1]
        where = f"{self.path}/{name}"
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(info) as file:
                data = file.read(limit + 1)
        except Exception as error:  # a damaged member: BadZipFile, zlib.error, RuntimeError (encrypted), EOFError ...
            raise InputError(f"{where}: {error}") from error
        if len(data) > limit:
            raise InputError(f"{where}: absurdly large: more than {limit:,} bytes, unpacked")
        return data

    def locate(self, names: list[str], folder: str) -> tuple[dict[str, Location | str], list[str]]:
        """Location of each photo, or the reason why it cannot be read; and the photos that `names` does not mention.

        Args:
          names: as in a captions file.
          folder: a folder that may hold them, anywhere in the zip.
        """
        spelt: dict[str, list[zipfile.ZipInfo]] = defaultdict(list)
        for infos in self._members.values():
            for info in infos:
                for name in _spellings(info):
                    spelt[name].append(info)
        start = {name: f"/{name}".rfind(f"/{folder}/") for name in spelt}
        below: dict[str, list[zipfile.ZipInfo]] = defaultdict(list)
        for name, at in start.items():
            if at >= 0:
                below[name[at + len(folder) + 1 :]] += spelt[name]
        known = below or spelt
        matched, refused = match(names, known)
        found = {
            name: self._located(known[matched[name]]) if name in matched else self._absent(refused[name])
            for name in names
        }
        used = {id(info) for name in matched.values() for info in known[name]}
        return found, [name for name, infos in known.items() if is_photo(name) and id(infos[0]) not in used]

    def _absent(self, reason: str) -> str:
        return f"not in {self.path.name}" if reason == NONE else f"{reason} in {self.path.name}"

    def _located(self, infos: list[zipfile.ZipInfo]) -> Location | str:
        info = infos[0]
        if len(infos) > 1:
            return f"several members of {self.path.name} have this name"
        if info.flag_bits & ENCRYPTED:
            return "encrypted zip member"
        return Location(str(self.path), "zip", info.header_offset, info.compress_size, info.CRC, info.compress_type)


def _spellings(info: zipfile.ZipInfo) -> set[str]:
    """A member's name as in the index, and decoded as UTF-8 if no flag gives its encoding."""
    names = {clean(info.filename)}
    if not info.flag_bits & UTF8 and not info.filename.isascii():
        with contextlib.suppress(UnicodeError):
            names.add(clean(info.filename.encode("cp437").decode("utf-8")))
    return names
