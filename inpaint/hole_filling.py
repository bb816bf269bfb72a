"""Fill any hole of photos, each at its own size: what a box or a mask hides."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from data_prep.errors import InputError
from data_prep.hole import channels_first
from data_prep.photos import Rejected, locate_file, read_bytes
from data_prep.progress import Progress
from data_prep.whole_photo import read_whole
from inpaint import grid
from inpaint.fill_job import Job, Photos, unfit, write
from inpaint.hole_inputs import Hole
from inpaint.holes import Fills, fill_hole, whole_center
from inpaint.ready import Ready


def fill_holes(job: Job, paths: list[Path], hole: Hole) -> Iterator[tuple[Path, dict[str, Any] | str]]:
    """Fill and write photos one by one.

    Yields: (path, its record, or why it was left out).
    """
    check_masks(job.given)
    for path in paths:
        try:
            photo = read_whole(read_bytes(locate_file(str(path))))
            unknown = hole.unknown(*photo.image.size)
        except Rejected as rejected:
            yield path, str(rejected)
            continue

        def bar(rows):
            return Progress(len(rows), unit="row", label="drawing", leave=False, shown=job.progress).over(rows)

        caption = job.caption_of(path)
        options = {"samples": job.samples, "seed": job.seed, "temperature": job.temperature, "dtype": job.dtype}
        fills = fill_hole(job.given.model, photo.pixels, unknown, caption, **options, progress=bar)
        if why := unfit(job.given, fills.nats):
            yield path, why
            continue
        row = _row(job.given, fills, whole_center(job.given.model, photo.pixels, fills.seen), caption)
        images = [photo.with_pixels(unknown, colors) for colors in fills.colors]
        bits = [{"bits_per_unknown_subpixel": bit} for bit in bits_of(job.given, fills)]
        more = {**fills.seen.facts(int(unknown.sum())), **bits[0]}
        yield path, write(job, path, Photos(images, photo.icc, row, fills.nats), more, bits)


def check_masks(given: Ready) -> None:
    """Raise InputError unless the model can fill any hole of a photo."""
    if not given.model.net.any_mask:
        tower = given.model.config["tower"]
        raise InputError(
            f"{given.name}: its tower, {tower}, cannot tell which pixels are known: it fills its hole alone"
        )
    if given.facts["binarize"]:
        raise InputError(f"{given.name}: trained on black and white pixels: only its own hole")


def bits_of(given: Ready, fills: Fills) -> list[float | None]:
    """Bits per unknown sub-pixel of each sample; None for a model that is no distribution."""
    if given.facts["sample_is_mean"]:
        return [None] * len(fills.nats)
    return [fills.seen.bits(nat, given.model.config["channels"]) for nat in fills.nats.tolist()]


def _row(given: Ready, fills: Fills, original: torch.Tensor, caption: str) -> grid.Row:
    """The grid's row: the model's own image of the photo."""
    seen = fills.seen
    inside = seen.border[channels_first(seen.hole)]
    centers = torch.where(seen.drawn, fills.centers, inside)
    mean = None if fills.mean is None else torch.where(seen.drawn, fills.mean, inside.float())
    return grid.Row(seen.border, centers, mean, original, caption, seen.known)
