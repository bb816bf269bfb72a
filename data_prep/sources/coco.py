"""--coco ROOT: MSCOCO's own layout, and anything laid out alike.

ROOT/annotations/captions_<set>.json lists a set's images and captions; the photos lie in ROOT/<set>/ or
ROOT/images/<set>/. Both may still be in the zips as downloaded (train2014.zip, annotations_trainval2014.zip, ...),
which are read in place. A set's name begins with train, val or test, and that is its split. Where there are no such
files, Karpathy's dataset_<name>.json is taken, with its own splits.
"""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from data_prep.errors import InputError
from data_prep.h5file import SPLITS
from data_prep.jsontext import identifier, member, parse
from data_prep.listing import listing
from data_prep.names import NONE, base, clean, is_system, match, split_in
from data_prep.photos import Location, Photo, Rejected, Source, hashed_id, locate_file
from data_prep.regular import read_small
from data_prep.sources.tables import TWO_NAMES, Table, read_karpathy
from data_prep.zips import Zip

PREFIX, SUFFIX = "captions_", ".json"
LARGEST_JSON = 512 * 2**20  # bytes; COCO's are a fifth of this

Find = Callable[[list[str]], dict[str, Location | str]]  # file names -> where each lies, or why it cannot be read


def read_coco(root) -> Source:
    """List the photos and captions of every set under `root`, in the order of the sets' names and of their JSON.

    Raises:
      InputError: there is no captions file, no photos at all, captions that match no photo, or a captions file is
        malformed (file and position).
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"{root}: no such folder")
    source, read = Source(label=""), []
    for set_name, (where, load) in sorted(_captions_files(root, source).items()):
        split = _split_of_set(set_name)
        if split is None:
            source.warnings.append(f"{where}: {set_name!r} begins with none of train, val, test; left out")
            continue
        find = _finder(root, set_name, source)
        if find is None:
            source.warnings.append(f"{where}: left out, for there is neither {set_name}/ nor {set_name}.zip in {root}")
            continue
        _read_set(source, where, parse(load(), where), split, find)
        read.append(set_name)
    if not read:
        read = _read_karpathy(source, root)
    if not read:
        reason = "; ".join(source.warnings) or "no annotations/captions_<set>.json, in a folder or a zip"
        raise InputError(f"{root}: {reason}")
    source.label = f"coco ({', '.join(read)})"
    return source


def _split_of_set(set_name: str) -> str | None:
    begins = next((split for split in SPLITS if set_name.lower().startswith(split)), None)
    return begins or split_in(set_name)


def _captions_files(root: Path, source: Source) -> dict[str, tuple[str, Callable[[], bytes]]]:
    """For each set its captions file's name, and a function that reads it. A file wins over the same one in a zip."""
    found: dict[str, tuple[str, Callable[[], bytes]]] = {}
    for archive in sorted(root.glob("*annotations*.zip")) + sorted(root.glob("annotations/*.zip")):
        if is_system(archive.name):
            continue
        content = Zip(archive)
        source.files.append(str(archive))
        for name in content.names:
            set_name = _set_name(base(clean(name)))
            if set_name is not None and set_name in found:
                source.warnings.append(f"{archive}/{name}: left out, for {found[set_name][0]} is read")
            elif set_name is not None:
                found[set_name] = (
                    f"{archive}/{name}",
                    partial(content.read, name, LARGEST_JSON),
                )
    for path in sorted((root / "annotations").glob(f"{PREFIX}*{SUFFIX}")):
        found[_set_name(path.name)] = (str(path), partial(_read_json_file, path))
        source.files.append(str(path))
    return found


def _set_name(file_name: str) -> str | None:
    if file_name.startswith(PREFIX) and file_name.endswith(SUFFIX):
        return file_name[len(PREFIX) : -len(SUFFIX)]
    return None


def _read_json_file(path: Path) -> bytes:
    return read_small(path, LARGEST_JSON, "captions file")


def _read_set(source: Source, where: str, content, split: str, find: Find) -> None:
    """Add one set's photos to the source."""
    images: list[tuple[int | str, str]] = []
    names: dict[int | str, list[str]] = {}  # of each id, those that differ
    for number, entry in enumerate(member(content, "images", list, where)):
        position = f"{where}: images[{number}]"
        image_id, name = identifier(entry, "id", position), member(entry, "file_name", str, position)
        known = names.setdefault(image_id, [])
        if known:
            also = "" if name == known[0] else f", of {known[0]} too, so the captions of neither are used"
            source.rejects.append((name, f"duplicate image id: {image_id} in {os.path.basename(where)}{also}"))
        else:
            images.append((image_id, name))
        if name not in known:
            known.append(name)
    captions = _captions_of(source, where, content, names)
    found, photos = find([name for _, name in images]), 0
    files: dict[Location, int | str] = {}  # the first id of each
    for image_id, name in images:
        location = found[name]
        if isinstance(location, str):
            source.rejects.append((name, location))
        elif (first := files.setdefault(location, image_id)) != image_id:
            source.rejects.append((name, f"the same file as image id {first}, which has its captions"))
            captions.setdefault(first, []).extend(captions.pop(image_id, ()))
    for image_id, name in images:
        location = found[name]
        if isinstance(location, str) or files[location] != image_id:
            continue
        photos += image_id in captions
        number = image_id if isinstance(image_id, int) else hashed_id(image_id)
        own = source.captions(captions.get(image_id, ()))
        source.photos[split].append(Photo(name, number, own, location, "id"))
    if content["annotations"] and not photos:
        raise InputError(f"{where}: none of its captions is of a photo that is there")


def _captions_of(source: Source, where: str, content, names: dict) -> dict[int | str, list[str]]:
    """Captions by image id. Captions without an image, or of an id with two file names, are counted instead."""
    captions: dict[int | str, list[str]] = {}
    for number, entry in enumerate(member(content, "annotations", list, where)):
        position = f"{where}: annotations[{number}]"
        caption, image_id = member(entry, "caption", str, position), identifier(entry, "image_id", position)
        if image_id not in names:
            source.orphans += 1
        elif len(names[image_id]) > 1:
            source.lose(TWO_NAMES, f"{where}, id {image_id}")
            captions[image_id] = []
        else:
            captions.setdefault(image_id, []).append(caption)
    return captions


def _finder(root: Path, set_name: str, source: Source) -> Find | None:
    """A function that locates a set's photos in its folder or zip; None if it has neither."""
    for folder in (root / set_name, root / "images" / set_name):
        if folder.is_dir():
            return lambda names: _in_folder(folder, names, source)
    for archive in (root / f"{set_name}.zip", root / "images" / f"{set_name}.zip"):
        if archive.is_file():
            source.files.append(str(archive))
            return lambda names: _in_zip(archive, set_name, names, source)
    return None


def _in_zip(archive: Path, set_name: str, names: list[str], source: Source) -> dict[str, Location | str]:
    found, unlisted = Zip(archive).locate(names, set_name)
    _tell_unlisted(source, archive, unlisted)
    return found


def _tell_unlisted(source: Source, where: Path, photos: list[str]) -> None:
    if photos:
        source.warnings.append(f"{where}: {len(photos):,} photos are in no captions file, so left out: {photos[0]}")


def _in_folder(folder: Path, names: list[str], source: Source) -> dict[str, Location | str]:
    """Locate photos in a folder by their exact name, else by names.match."""
    found: dict[str, Location | str] = {}
    for name in names:
        leads_out = os.path.isabs(name) or ".." in clean(name).split("/")
        try:
            found[name] = (
                "its name leads out of the folder"
                if leads_out
                else locate_file(os.path.normpath(f"{folder}{os.sep}{name}"))
            )
        except Rejected as reason:
            found[name] = str(reason)
    missing = [name for name, location in found.items() if isinstance(location, str)]
    inside = listing(folder)
    if missing:
        matched, refused = match(names, inside.photos)  # also of those found: their folders are there
        for name in missing:
            try:
                found[name] = locate_file(str(folder / matched[name])) if name in matched else found[name]
            except Rejected as reason:
                found[name] = str(reason)
            if refused.get(name, NONE) != NONE:
                found[name] = refused[name]
    read = {location.path for location in found.values() if not isinstance(location, str)}
    _tell_unlisted(
        source, folder, [photo for photo in inside.photos if os.path.normpath(f"{folder}{os.sep}{photo}") not in read]
    )
    return found


def _read_karpathy(source: Source, root: Path) -> list[str]:
    """Read ROOT/dataset_<name>.json, used only without captions_<set>.json. Returns the names for the label."""
    files = sorted([*root.glob("dataset_*.json"), *root.glob("annotations/dataset_*.json")])
    if not files:
        return []
    if len(files) > 1:
        raise InputError(f"{root}: several files of splits, {files[0].name} and {files[1].name}; keep one")
    path, table = files[0], Table()
    content = parse(_read_json_file(path), str(path))
    read_karpathy(table, content, str(path))
    source.files.append(str(path))
    found = _in_folder(root, list(table.captions), source)
    files: dict[Location, str] = {}  # the first name of each
    for name in table.captions:
        location = found[name]
        if not isinstance(location, str) and (first := files.setdefault(location, name)) != name:
            table.captions[first] = [*table.captions[first], *table.captions[name]]
            found[name] = f"the same file as {first}, which has its captions"
    for name, captions in table.captions.items():
        if isinstance(found[name], str):
            source.rejects.append((name, found[name]))
            continue
        number, known_by = (table.ids[name], "id") if name in table.ids else (hashed_id(name), "content")
        split = table.splits.get(name, "train")
        source.photos[split].append(Photo(name, number, source.captions(captions), found[name], known_by))
    if not any(source.photos.values()):
        raise InputError(f"{path}: none of its photos is in {root}")
    return [path.stem]
