"""Fill any hole of photos, each at its own size: what a box or a mask hides."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from data_prep.errors import InputError
from data_prep.hole import channels_first
from data_prep.photos import Rejected, read_file
from data_prep.progress import Progress
from data_prep.whole_photo import WholePhoto, read_whole
from inpaint import grid
from inpaint.detail import EXACT, fill_detail
from inpaint.fill_job import Job, Photos, unfit, write
from inpaint.hole_inputs import Hole
from inpaint.holes import Seen, fill_hole, see, whole_center
from inpaint.inference import check_any_mask
from inpaint.ready import Ready
from inpaint.units import bits_per_subpixel


def fill_holes(
    job: Job, paths: list[Path], hole: Hole, detail: str | None
) -> Iterator[tuple[Path, dict[str, Any] | str]]:
    """Fill and write photos one by one; `detail` is COARSE, EXACT or None.

    Yields: (path, its record, or why it was left out).
    """
    check_masks(job.given)
    for path in paths:
        try:
            photo = read_whole(read_file(path))
            unknown = hole.unknown(*photo.image.size)
        except Rejected as rejected:
            yield path, str(rejected)
            continue

        result = _fill(job, photo, unknown, job.caption_of(path), detail)
        if why := unfit(job.given, result.nats):
            yield path, why
            continue
        images = [photo.with_pixels(unknown, colors) for colors in result.colors]
        more = {**result.facts, **result.each[0]}
        yield path, write(job, path, Photos(images, photo.icc, result.row, result.nats), more, result.each)


class _Result(NamedTuple):
    """A photo's samples, the likeliest first: log-likelihoods (K,), colors uint8 (K, n, 3) of the unknown pixels, the
    grid's row, and what the record says of the hole and of each sample."""

    nats: torch.Tensor
    colors: np.ndarray
    row: grid.Row
    facts: dict[str, Any]
    each: list[dict[str, Any]]


def _fill(job: Job, photo: WholePhoto, unknown: np.ndarray, caption: str | list[str], detail: str | None) -> _Result:
    model, proper = job.given.model, not job.given.facts["sample_is_mean"]
    pixels = photo.pixels

    def bar(items):
        unit = "row" if detail is None else "tile"
        if job.watch is not None:
            return job.watch(items, unit)
        return Progress(len(items), unit=unit, label="drawing", leave=False, shown=job.progress).over(items)

    options = {"samples": job.samples, "seed": job.seed, "temperature": job.temperature, "dtype": job.dtype}
    options["grey"] = photo.grey
    if detail is None:
        fills = fill_hole(model, pixels, unknown, caption, **options, progress=bar)
        seen, centers, mean = fills.seen, fills.centers, fills.mean
        facts, drawn = seen.facts(int(unknown.sum())), seen.drawn_pixels
    else:
        fills = fill_detail(model, pixels, unknown, caption, **options, exact=detail == EXACT, progress=bar)
        seen, mean, facts = see(model, pixels, unknown), None, fills.facts
        centers = torch.stack([whole_center(model, _filled(pixels, unknown, x), seen) for x in fills.colors])
        drawn = facts["drawn_pixels"] if detail == EXACT else 0  # coarse pixels are not the photo's
    row = _row(seen, centers, mean, whole_center(model, pixels, seen), caption)
    channels = model.config["channels"]
    bits = [bits_per_subpixel(-nats, drawn, channels) if proper and drawn else None for nats in fills.nats.tolist()]
    return _Result(fills.nats, fills.colors, row, facts, [{"bits_per_unknown_subpixel": bit} for bit in bits])


def _filled(pixels: np.ndarray, unknown: np.ndarray, colors: np.ndarray) -> np.ndarray:
    filled = pixels.copy()
    filled[unknown] = colors
    return filled


def check_masks(given: Ready) -> None:
    """Raise InputError unless the model can fill any hole of a photo."""
    check_any_mask(given.model, given.name)
    if given.facts["binarize"]:
        raise InputError(f"{given.name}: trained on black and white pixels: only its own hole")


def _row(
    seen: Seen, centers: torch.Tensor, mean: torch.Tensor | None, original: torch.Tensor, caption: str | list[str]
) -> grid.Row:
    """The grid's row: the model's own image of the photo."""
    inside = seen.border[channels_first(seen.hole)]
    mean = None if mean is None else torch.where(seen.drawn, mean, inside.float())
    return grid.Row(seen.border, torch.where(seen.drawn, centers, inside), mean, original, caption, seen.known)
