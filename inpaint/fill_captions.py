"""Captions of photos to fill: one for all, from a captions file, or from the text beside each photo.

Photos and captions are matched as in a build: names.match for a captions file, pairing.pair for texts beside photos.
But a captions file may name more photos than are filled: where its names are in several folders, folders must agree.
"""

from pathlib import Path

from data_prep.errors import InputError
from data_prep.listing import listing
from data_prep.names import NONE, clean, match
from data_prep.pairing import NO_PHOTO, SIDECARS, pair
from data_prep.photos import Source
from data_prep.sources.sidecars import beside
from data_prep.sources.tables import read_captions


class Captions:
    """Maps a photo's path to its first caption that is not blank, "" for none.

    Attributes:
      notes: lines on captions that were skipped or repaired.

    Args:
      paths: the photos.
      caption: the caption of all photos, or a list of captions that are given at once, or None.
      captions_file: a table of captions by photo, see tables.py; None for texts beside the photos.

    Raises:
      InputError: the file cannot be read, is malformed, or names none of the photos.
    """

    def __init__(self, paths, caption=None, captions_file=None):
        self.notes = []
        if caption is not None:
            self._found = dict.fromkeys(paths, caption)
        elif captions_file is not None:
            self._found = self._from_file(paths, captions_file)
        else:
            self._found = self._from_beside(paths)

    def __call__(self, path):
        return self._found.get(path, "")

    def _from_file(self, paths, captions_file):
        table = read_captions(captions_file)
        names = {path.absolute().as_posix(): path for path in paths}
        folders = {folder for name in table.captions if (folder := clean(name).rpartition("/")[0])}
        matched, refused = match(table.captions, names, any_folder=len(folders) < 2)
        texts = {path: [] for path in paths}
        for name, photo in matched.items():
            texts[names[photo]] += table.captions[name]
        if paths and not any(texts.values()):
            raise InputError(f"{captions_file}: has a caption for none of these photos")
        doubtful = [name for name, reason in refused.items() if reason != NONE]
        self.notes += [f"{captions_file}: {name!r}: {refused[name]}" for name in doubtful[:3]]
        if len(doubtful) > 3:
            self.notes.append(f"{captions_file}: {len(doubtful) - 3:,} more names are not used for like reasons")
        source = Source("")
        first = {path: self._first(source, path, found) for path, found in texts.items()}
        for reason, count in table.lost.items():
            source.lose(reason, str(captions_file), count)
        self._tell(source)
        return first

    def _from_beside(self, paths):
        first, folders = {}, {}
        for path in paths:
            folders.setdefault(path.parent, []).append(path)
        for folder, photos in folders.items():
            try:
                inside = listing(folder, deep=False)
            except OSError:  # reported when the photo is read
                continue
            names = {path.name for path in photos}
            texts = [text for text in inside.texts if text.lower().endswith(SIDECARS)]
            paired, source = pair(sorted(names | set(inside.photos)), texts), Source("")
            for text, reason in paired.lost:
                if reason != NO_PHOTO and any(Path(name).stem == Path(text).stem for name in names):
                    self.notes.append(f"{folder / text}: {reason}; not used")
            for path in photos:
                found = beside(source, folder, paired.own.get(path.name, []))
                first[path] = self._first(source, path, found)
            self._tell(source)
        return first

    def _first(self, source, path, texts):
        captions = source.captions(texts)
        if captions and "\ufffd" in captions[0].decode():
            self.notes.append(f"{path}: its caption holds U+FFFD in place of what is not Unicode")
        return captions[0].decode() if captions else ""

    def _tell(self, source):
        for reason, count in source.lost.items():
            self.notes.append(f"{source.lost_first[reason]}: {count} captions not read: {reason}")
