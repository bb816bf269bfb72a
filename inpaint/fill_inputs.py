"""Inputs of the fill command: which photos, and the names of their results."""

import os
from pathlib import Path

from data_prep.errors import InputError
from data_prep.listing import listing
from data_prep.outputs import check_outputs
from data_prep.recognise import FILL, FILLED, GRID


def find_photos(images, out):
    """List the photos to fill.

    Args:
      images: paths of photos, with any suffix, and of folders: their files that are photos by suffix or first bytes,
        sorted by name.
      out: folder of the results.

    Returns:
      (the photos in the order of `images`, each once; (path, reason) of each path that yields no photo).

    Raises:
      InputError: the results of two photos would have the same names, or would lie in a folder of photos to fill.
    """
    found, rejects = {}, []
    for argument in map(Path, images):
        told = len(rejects)
        try:
            inside = _photos_in(argument, Path(out), rejects)
        except (OSError, ValueError) as error:  # no permission, a name too long, a NUL in it
            rejects.append((argument, getattr(error, "strerror", None) or str(error)))
            continue
        if not inside and len(rejects) == told:
            rejects.append((argument, "no photos in this folder" if argument.is_dir() else "no such file or folder"))
        for path in inside:
            found.setdefault(os.path.realpath(path), path)  # of a link to itself, too
    paths = list(found.values())
    _check_names(paths)
    return paths, rejects


def _photos_in(argument, out, rejects):
    """The photos of one path: itself, or those of a folder; unreadable ones are appended to `rejects`."""
    if not argument.is_dir():
        return [argument] if argument.is_file() else []
    if argument.resolve() == out.resolve():
        raise InputError(f"{out}: this is the folder of the photos; the results need one of their own")
    inside = listing(argument, deep=False)
    rejects += [(argument / name, reason) for name, reason in inside.rejects]
    return [argument / name for name in inside.photos]


def results_of(path, out, samples):
    """Paths of a photo's results: ([NAME_0.png, NAME_1.png, ...], NAME_grid.png, NAME.json), all in `out`."""
    images = [out / f"{path.stem}_{k}.png" for k in range(samples)]
    return images, out / f"{path.stem}_grid.png", out / f"{path.stem}.json"


def check_results(paths, out, samples, inputs, overwrite):
    """Make sure that no result would replace an input, a photo's sidecar, or another program's file.

    Raises:
      CommandError: a result is an input.
      InputError: a result would replace another program's file, and `overwrite` is False.
    """
    outputs = []
    for path in paths:
        images, grid, record = results_of(path, out, samples)
        outputs += [*((image, FILL) for image in images), (grid, GRID), (record, FILLED)]
    captions = [path.with_suffix(".txt") for path in paths]
    sidecars = [path.with_suffix(".json") for path in paths]
    check_outputs(outputs, [*paths, *captions, *inputs], sidecars, overwrite)


def _check_names(paths):
    """Results are named by the photo's stem, so two photos must not share one."""
    first = {}
    for path in paths:
        other = first.setdefault(path.stem.casefold(), path)
        if other is not path:
            raise InputError(f"{path} and {other} would both become {path.stem}_0.png: rename one or fill them apart")
