"""The fill command: photos in; several completed photos out for each, the likeliest first.

A photo is decoded as in data_prep (upright, RGB, centered square, Lanczos; grey for a model of grey images). A photo of
the model's size is not resized, and the border of the output equals the input byte for byte. With a box or a mask it
keeps its size (hole_filling.py). A photo's samples do not depend on the other photos of the call.
"""

import dataclasses
import operator
from pathlib import Path

import torch

from data_prep.progress import Progress
from inpaint.detail import COARSE, EXACT
from inpaint.fill_captions import Captions
from inpaint.fill_inputs import check_results, find_photos
from inpaint.fill_job import Job, call_facts
from inpaint.hole_filling import fill_holes
from inpaint.hole_inputs import Hole
from inpaint.inference import in_directions
from inpaint.ready import ready
from inpaint.square_filling import fill_squares
from models.sampling import check_temperature

TEMPERATURE = 0.8  # where pictures look best (docs/filling.md): at 1 colors wander, at 0.6 they smear
PRECISIONS = {"fp64": torch.float64, "fp32": torch.float32}


@dataclasses.dataclass
class Filled:
    """Results of `fill`.

    Attributes:
      records: the content of NAME.json, a dict for each filled photo.
      rejects: (path, reason) of each photo left out.
      notes: lines on captions that were skipped or repaired.
    """

    records: list
    rejects: list
    notes: list = dataclasses.field(default_factory=list)


def whole_number(name, value):
    """A whole number of any kind, numpy's too, as int. Raises: ValueError for what is none."""
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise ValueError(f"{name} must be a whole number, not {value!r}") from None


def fill(
    images,
    checkpoint,
    out,
    *,
    caption=None,
    captions=None,
    box=None,
    mask=None,
    detail=None,
    samples=4,
    seed=0,
    temperature=TEMPERATURE,
    precision="fp64",
    directions=1,
    device="auto",
    progress=False,
    overwrite=False,
):
    """Fill photos with samples of a model: the hole of the model in the photo's centered square, resized to the model's
    image; or, with a box or a mask, any hole of the photo itself.

    Writes, for each photo NAME.*, `out`/NAME_0.png (the sample with the highest log-likelihood), NAME_1.png ...,
    NAME.json and NAME_grid.png, each whole or not at all. With a box or a mask the PNGs have the photo's own size, and
    all but the unknown pixels are as they were.

    Args:
      images: a path, or several: photos, or folders of photos (their subfolders are not entered).
      checkpoint: path of a checkpoint; None for the weights that come with the package.
      out: the folder to write to; made if missing.
      caption: the caption of all photos, or a list of captions that are given at once, or None.
      captions: a captions file (sources/tables.py lists the formats), or None. Without `caption` and `captions`, the
        first caption that is not blank in the text or JSON beside a photo (pairing.SIDECARS).
      box: (x, y, width, height) of the hole in each upright photo's own pixels, or None.
      mask: path of an image of the upright photos' own size, white where a pixel is to be filled; or None.
      detail: with a box or a mask: "coarse" fills a hole larger than the model's at the photo's own resolution, coarse
        to fine; "exact" tile by tile, which gives the hole's exact likelihood; None enlarges what the model draws.
      samples: samples of each photo, at least 1.
      seed: the same seed, photo, caption, number of samples and checkpoint give the same samples.
      temperature: of sampling, at least 0.001. Log-likelihoods are always at temperature 1.
      precision: fp64 or fp32, of a causal decoder's sampling; fp32 is faster, and rarely rounds a value within a
        millionth of a level's edge to the other side. `contour` always draws from one pass in fp32.
      directions: 2 to draw each row from left to right or from right to left, and to rank by the log-likelihoods of
        such drawings; 1 for the first alone.
      device: auto, cpu or cuda.
      progress: whether to show a bar on stderr.
      overwrite: whether results may replace files that this program did not write; never an input.

    Returns:
      A `Filled`. Photos that cannot be read, or whose samples have no finite log-likelihood, are in its rejects.

    Raises:
      InputError: the checkpoint, the captions file or the mask cannot be used, the model cannot draw in two directions,
        two photos have one NAME, or a result cannot be written: it would replace an input (CommandError), or a file
        that is not an earlier result.
      ValueError: samples, temperature, precision, directions, detail or box out of range; caption and captions, or box
        and mask.
    """
    samples, seed, directions = (
        whole_number(name, value) for name, value in (("samples", samples), ("seed", seed), ("directions", directions))
    )
    if samples < 1:
        raise ValueError(f"samples must be at least 1, not {samples}")
    temperature = float(temperature)
    check_temperature(temperature)
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, not {precision!r}")
    if directions not in (1, 2):
        raise ValueError(f"directions must be 1 or 2, not {directions}")
    if caption is not None and captions is not None:
        raise ValueError("give one caption for all photos or a file of captions, not both")
    if detail not in (None, COARSE, EXACT) or (detail and (box, mask) == (None, None)):
        raise ValueError(f"detail must be {COARSE} or {EXACT}, with a box or a mask, not {detail!r}")
    out, hole = Path(out), Hole(box, mask) if (box, mask) != (None, None) else None
    paths, rejects = find_photos([images] if isinstance(images, str | Path) else images, out)
    check_results(paths, out, samples, [path for path in (checkpoint, captions, mask) if path], overwrite)
    caption_of = Captions(paths, caption, captions)
    given = ready(checkpoint, device)
    given = given._replace(model=in_directions(given.model, directions, given.name, drawn=True))
    job = Job(
        given,
        caption_of if given.model.uses_captions else lambda path: "",
        samples,
        seed,
        temperature,
        PRECISIONS[precision],
        progress,
        call_facts(seed, temperature, precision, directions),
        out,
        overwrite,
    )
    done = Filled([], rejects, caption_of.notes)
    results = fill_squares(job, paths) if hole is None else fill_holes(job, paths, hole, detail)
    for path, result in Progress(len(paths), unit="photo", shown=progress).over(results):
        if isinstance(result, str):
            done.rejects.append((path, result))
        else:
            done.records.append(result)
    return done
