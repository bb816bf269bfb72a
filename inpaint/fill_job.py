"""What filling photos needs, whichever hole they have, and the writing of a photo's results."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image

from data_prep.files import Together, put_json, save_png
from data_prep.recognise import FILL, FILLED, GRID
from inpaint import grid
from inpaint.fill_inputs import results_of
from inpaint.ready import Ready, log_likelihood_is


class Job(NamedTuple):
    """One call of `fill`.

    Attributes:
      given: the model.
      caption_of: a photo's path -> its caption, or a list of those that are given at once.
      samples, seed, temperature, dtype: as `Inpainter.sample` takes them.
      progress: whether to show bars on stderr.
      facts: what every record says of the call.
      out, overwrite: where to write, and whether over other programs' files.
      watch: what shows the progress of a hole's drawing instead: it is given the steps and their unit, and yields them.
    """

    given: Ready
    caption_of: Callable[[Path], str | list[str]]
    samples: int
    seed: int
    temperature: float
    dtype: torch.dtype
    progress: bool
    facts: dict[str, Any]
    out: Path
    overwrite: bool
    watch: Callable[[list[Any], str], Iterable[Any]] | None = None


def call_facts(seed: int, temperature: float, precision: str = "fp64", directions: int = 1) -> dict[str, Any]:
    """What every record says of a call: the settings that decide which samples are drawn."""
    return {"seed": seed, "temperature": temperature, "precision": precision, "directions": directions}


class Photos(NamedTuple):
    """A photo's samples as they are written.

    Attributes:
      images: the filled photos, the likeliest first.
      icc: the ICC profile of their pixels.
      row: of the grid.
      nats: float64 (K,), log-likelihoods.
    """

    images: list[Image.Image]
    icc: bytes | None
    row: grid.Row
    nats: torch.Tensor


def unfit(given: Ready, nats: torch.Tensor) -> str | None:
    """Why samples with these log-likelihoods cannot be used; None if they can."""
    bad = nats[~nats.isfinite()]
    return f"{given.name} is not fit for use: the log-likelihood of a sample is {bad[0].item()}" if len(bad) else None


def write(job: Job, path: Path, photos: Photos, more: dict[str, Any], each: list[dict[str, Any]]) -> dict[str, Any]:
    """Write a photo's files, all or none.

    Args:
      more: what else the record says. each: what else it says of each sample.

    Returns: the record, as the JSON has it.
    """
    facts = job.given.facts
    files, grid_file, json_file = results_of(path, job.out, len(photos.nats))
    record = {
        "schema": 1,
        "photo": str(path),
        **facts,
        **job.facts,
        "caption": photos.row.caption or None,
        **more,
        "log_likelihood_is": log_likelihood_is(facts),
        "samples": [
            {"file": file.name, "log_likelihood_nats": nat, **said}
            for file, nat, said in zip(files, photos.nats.tolist(), each, strict=True)
        ],
    }
    with Together() as results:
        put_json(results.add(json_file, FILLED, job.overwrite), record)
        for file, image in zip(files, photos.images, strict=True):
            save_png(image, results.add(file, FILL, job.overwrite), "fill", photos.icc)
        picture = grid.draw([photos.row], tuple(facts["hole"]), facts["sample_is_mean"])
        save_png(picture, results.add(grid_file, GRID, job.overwrite), "grid")
    return record
