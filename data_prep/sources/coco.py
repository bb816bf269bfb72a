"""--coco ROOT: MSCOCO's own layout, and anything laid out alike.

ROOT/annotations/captions_<set>.json lists a set's images and captions; the photos lie in ROOT/<set>/. Both may still be
in the zips as downloaded (train2014.zip, annotations_trainval2014.zip, ...), which are read in place. A set's name
begins with train, val or test, and that is its split.
"""

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

from data_prep.errors import InputError
from data_prep.jsontext import member, parse
from data_prep.photos import Location, Photo, Rejected, Source, locate_file, split_of

PREFIX, SUFFIX = "captions_", ".json"


def read_coco(root) -> Source:
    """List the photos and captions of every set under `root`, in the order of the sets' names and of their JSON.

    Raises:
      InputError: there is no captions file, no photos at all, or a captions file is malformed (file and position).
    """
    root = Path(root)
    captions_files = _captions_files(root)
    source = Source(label="")
    read = []
    for set_name, (where, load) in sorted(captions_files.items()):
        split = split_of(set_name)
        if split is None:
            source.warnings.append(f"{where}: {set_name!r} begins with none of train, val, test; left out")
            continue
        locate = _locator(root, set_name)
        if locate is None:
            source.warnings.append(f"{where}: left out, for there is neither {set_name}/ nor {set_name}.zip in {root}")
            continue
        _read_set(source, where, parse(load(), where), split, locate)
        read.append(set_name)
    if not read:
        reason = "; ".join(source.warnings) or "no annotations/captions_<set>.json, in a folder or a zip"
        raise InputError(f"{root}: {reason}")
    for split, listed in source.photos.items():
        repeated = len(listed) - len({photo.image_id for photo in listed})
        if repeated:
            source.warnings.append(f"{root}: {repeated} image ids of {split} occur in more than one of its sets")
    source.label = f"coco ({', '.join(read)})"
    return source


def _captions_files(root: Path) -> dict[str, tuple[str, Callable[[], bytes]]]:
    """For each set its captions file's name, and a function that reads it. A file wins over the same one in a zip."""
    if not root.is_dir():
        raise InputError(f"{root}: no such folder")
    found = {}
    for archive in sorted(root.glob("*annotations*.zip")) + sorted(root.glob("annotations/*.zip")):
        for name, info in _open_zip(archive).items():
            set_name = _set_name(os.path.basename(name))
            if set_name is not None:
                found[set_name] = (f"{archive}/{name}", _zip_reader(archive, info))
    for path in sorted((root / "annotations").glob(f"{PREFIX}*{SUFFIX}")):
        found[_set_name(path.name)] = (str(path), path.read_bytes)
    return found


def _set_name(file_name: str) -> str | None:
    if file_name.startswith(PREFIX) and file_name.endswith(SUFFIX):
        return file_name[len(PREFIX) : -len(SUFFIX)]
    return None


def _read_set(source: Source, where: str, content, split: str, locate) -> None:
    """Add one set's photos to the source."""
    images = member(content, "images", list, where)
    captions: dict[int, list[bytes]] = {}
    for number, entry in enumerate(images):
        captions[member(entry, "id", int, f"{where}: images[{number}]")] = []
    for number, entry in enumerate(member(content, "annotations", list, where)):
        position = f"{where}: annotations[{number}]"
        caption = source.encode(member(entry, "caption", str, position))
        of_image = captions.get(member(entry, "image_id", int, position))
        if of_image is None:
            source.orphans += 1
        else:
            of_image.append(caption)
    for number, entry in enumerate(images):
        image_id = entry["id"]
        file_name = member(entry, "file_name", str, f"{where}: images[{number}]")
        of_image = captions.pop(image_id, None)
        if of_image is None:
            source.rejects.append((file_name, f"duplicate image id: {image_id} in {os.path.basename(where)}"))
            continue
        try:
            location = locate(file_name)
        except Rejected as reason:
            source.rejects.append((file_name, str(reason)))
            continue
        source.photos[split].append(Photo(file_name, image_id, tuple(of_image), location))


def _locator(root: Path, set_name: str) -> Callable[[str], Location] | None:
    """A function from a photo's file name to its Location (raising Rejected), or None where the set has no photos."""
    folder, archive = root / set_name, root / f"{set_name}.zip"
    if folder.is_dir():
        prefix = f"{folder}{os.sep}"

        def locate(file_name: str) -> Location:
            if os.path.isabs(file_name) or ".." in file_name.split("/"):
                raise Rejected("its name leads out of the folder")
            return locate_file(prefix + file_name)

        return locate
    if not archive.is_file():
        return None
    members = _open_zip(archive)

    def locate_member(file_name: str) -> Location:
        info = members.get(f"{set_name}/{file_name}") or members.get(file_name)
        if info is None:
            raise Rejected(f"not in {archive.name}")
        if info.flag_bits & 1:
            raise Rejected("encrypted zip member")
        return Location(str(archive), "zip", info.header_offset, info.compress_size, info.CRC, info.compress_type)

    return locate_member


def _open_zip(path: Path) -> dict[str, zipfile.ZipInfo]:
    """The index of a zip: its members by name."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {info.filename: info for info in archive.infolist()}
    except Exception as error:  # a damaged index: BadZipFile, struct.error, OverflowError, UnicodeDecodeError ...
        raise InputError(f"{path}: not a whole zip ({error})") from error


def _zip_reader(path: Path, info: zipfile.ZipInfo) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            with zipfile.ZipFile(path) as archive:
                return archive.read(info)
        except Exception as error:  # a damaged member: BadZipFile, zlib.error, RuntimeError (encrypted), EOFError ...
            raise InputError(f"{path}/{info.filename}: {error}") from error

    return read
