"""What the fill command is given: which photos, under which names their results will stand, and with which captions."""

from pathlib import Path

from data_prep.errors import InputError
from data_prep.listing import listing
from data_prep.outputs import check_outputs
from data_prep.recognise import FILL, FILLED, GRID


def find_photos(images, out):
    """List the photos to fill.

    Args:
      images: paths of photos, taken whatever their suffix, and of folders, of which those that are photos by
        their suffix or their first bytes are taken, sorted by name.
      out: the folder the results go to.

    Returns:
      (the photos in the order given, each once; (path, reason) of each argument that is no photo and holds none).

    Raises:
      InputError: the results of two photos would have the same names, or would lie in a folder of photos to fill.
    """
    found, rejects = {}, []
    for given in map(Path, images):
        told = len(rejects)
        try:
            inside = _photos_in(given, Path(out), rejects)
        except (OSError, ValueError) as error:  # no permission, a name too long, a NUL in it
            rejects.append((given, getattr(error, "strerror", None) or str(error)))
            continue
        if not inside and len(rejects) == told:
            rejects.append((given, "no photos in this folder" if given.is_dir() else "no such file or folder"))
        found.update({path.resolve(): path for path in inside if path.resolve() not in found})
    paths = list(found.values())
    _check_names(paths)
    return paths, rejects


def _photos_in(given, out, rejects):
    """An argument's photos: itself, or those of a folder; what looks like one and cannot be read goes to `rejects`."""
    if not given.is_dir():
        return [given] if given.is_file() else []
    if given.resolve() == out.resolve():
        raise InputError(f"{out}: this is the folder of the photos; the results need one of their own")
    inside = listing(given, deep=False)
    rejects += [(given / name, reason) for name, reason in inside.rejects]
    return [given / name for name in inside.photos]


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


def _check_names(paths):
    """Results are named after the photo without its suffix, so that name must be one photo's only."""
    first = {}
    for path in paths:
        other = first.setdefault(path.stem.casefold(), path)
        if other is not path:
            raise InputError(f"{path} and {other} would both become {path.stem}_0.png: rename one or fill them apart")
