"""What the fill command is given: which photos, under which names their results will stand, and with which captions."""

from pathlib import Path

from data_prep.errors import InputError
from data_prep.outputs import check_outputs
from data_prep.photos import Rejected
from data_prep.recognise import FILL, FILLED, GRID
from data_prep.sources.folder import PHOTOS
from data_prep.sources.tables import read_table


def find_photos(images, out):
    """List the photos to fill.

    Args:
      images: paths of photos, taken whatever their suffix, and of folders, of which the files with a photo's suffix
        are taken, sorted by name.
      out: the folder the results go to.

    Returns:
      (the photos in the order given, each once; (path, reason) of each argument that is no photo and holds none).

    Raises:
      InputError: the results of two photos would have the same names, or would lie in a folder of photos to fill.
    """
    found, rejects = {}, []
    for given in map(Path, images):
        try:
            inside = _photos_in(given, Path(out))
        except (OSError, ValueError) as error:  # no permission, a name too long, a NUL in it
            rejects.append((given, getattr(error, "strerror", None) or str(error)))
            continue
        if not inside:
            rejects.append((given, "no photos in this folder" if given.is_dir() else "no such file or folder"))
        found.update({path.resolve(): path for path in inside if path.resolve() not in found})
    paths = list(found.values())
    _check_names(paths)
    return paths, rejects


def _photos_in(given, out):
    """An argument's photos: itself, or those of a folder."""
    if not given.is_dir():
        return [given] if given.is_file() else []
    if given.resolve() == out.resolve():
        raise InputError(f"{out}: this is the folder of the photos; the results need one of their own")
    return sorted(path for path in given.iterdir() if path.name.lower().endswith(PHOTOS) and path.is_file())


def results_of(path, out, samples):
    """Where a photo's results go: ([NAME_0.png, NAME_1.png, ...], NAME_grid.png, NAME.json), all in `out`."""
    images = [out / f"{path.stem}_{k}.png" for k in range(samples)]
    return images, out / f"{path.stem}_grid.png", out / f"{path.stem}.json"


def check_results(paths, out, samples, inputs, overwrite):
    """Make sure that no result would replace a photo, what lies beside one, an input, or a file of anyone else's.

    Raises:
      CommandError: a result is an input. InputError: it is another file that is there, and not `overwrite`.
    """
    outputs = []
    for path in paths:
        images, grid, record = results_of(path, out, samples)
        outputs += [*((image, FILL) for image in images), (grid, GRID), (record, FILLED)]
    captions = [path.with_suffix(".txt") for path in paths]
    sidecars = [path.with_suffix(".json") for path in paths]
    check_outputs(outputs, [*paths, *captions, *inputs], sidecars, overwrite)


def captions_for(paths, caption=None, captions_file=None):
    """The caption of each photo.

    Args:
      paths: the photos.
      caption: the caption of all of them, or None.
      captions_file: a .jsonl, .csv or .tsv that names photos by their file name, alone or with folders before it; None
        for NAME.txt beside each photo.

    Returns:
      A function of a photo's path: its first caption, "" for none. It raises Rejected where NAME.txt cannot be
      read.

    Raises:
      InputError: the file cannot be read, is malformed, or names none of the photos.
    """
    if caption is not None:
        return lambda path: caption
    if captions_file is None:
        return _caption_beside
    table = {
        f"/{name.replace(chr(92), '/').removeprefix('./')}": texts for name, texts in read_table(captions_file).items()
    }
    found = {path: _caption_in(table, path) for path in paths}
    if paths and not any(found.values()):
        raise InputError(f"{captions_file}: has a caption for none of these photos")
    return found.__getitem__


def _caption_in(table, path):
    """A table's caption under the longest end of the photo's path that the table knows."""
    parts = path.absolute().parts[1:]
    ends = ("/" + "/".join(parts[start:]) for start in range(len(parts)))
    return next((table[end][0] for end in ends if table.get(end)), "")


def _caption_beside(path):
    """The first line of NAME.txt that is not blank; what is not UTF-8 in it becomes U+FFFD."""
    beside = path.with_suffix(".txt")
    if not beside.is_file():
        return ""
    try:
        lines = beside.read_bytes().decode("utf-8-sig", "replace").split("\n")
    except OSError as error:
        raise Rejected(f"{beside.name} cannot be read: {error.strerror}") from error
    return next((line.strip() for line in lines if line.strip()), "")


def _check_names(paths):
    """Results are named after the photo without its suffix, so that name must be one photo's only."""
    first = {}
    for path in paths:
        other = first.setdefault(path.stem.casefold(), path)
        if other is not path:
            raise InputError(f"{path} and {other} would both become {path.stem}_0.png: rename one or fill them apart")
