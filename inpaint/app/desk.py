"""Where requests are answered: one model, one request at a time, each in a folder of its own.

What is written there is what `inpaint fill` and `inpaint score` write, by the same functions.
"""

import contextlib
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from data_prep.errors import InputError
from data_prep.whole_photo import WholePhoto
from inpaint.app.limits import Limits, unwatched
from inpaint.app.requests import Drawing, Place
from inpaint.fill_inputs import results_of
from inpaint.fill_job import Job, call_facts
from inpaint.hole_filling import check_masks, fill_holes
from inpaint.hole_scores import score_with
from inpaint.holes import colors_of, mean_of, see
from inpaint.inference import in_directions
from inpaint.processes import out_of_memory_reported
from inpaint.ready import Ready
from inpaint.tiles import as_pixels


@dataclass(frozen=True)
class Answer:
    """The record of a fill or a score, its JSON, and the images: filled photos, the likeliest first; or maps."""

    record: dict[str, Any]
    json: Path
    images: list[Path]


class Desk:
    """Answers requests.

    Args:
      given: the model.
      folder: for results; uploads lie beside it. What is older than `limits.kept_seconds` is removed, but
        for `lasting`.

    Attributes:
      both: whether the model draws in two directions.

    Raises: InputError if the model cannot fill any hole of a photo.
    """

    def __init__(self, given: Ready, folder: Path, limits: Limits | None = None):
        check_masks(given)
        self.given, self.folder, self.limits = given, folder, limits or Limits()
        self.both = draws_in_both(given)
        self.lasting = {folder}  # what is never removed
        self.busy, self.closing = threading.Lock(), threading.Event()

    def fill(
        self, place: Place, drawing: Drawing, watch: Callable[[list[Any], str], Iterable[Any]] = unwatched
    ) -> Answer:
        """Fill a photo. Raises: InputError if that fails."""
        with self._at_work() as out:
            model = in_directions(self.given.model, drawing.directions, self.given.name, drawn=True)
            caption = place.caption if model.uses_captions else ""
            facts = call_facts(drawing.seed, drawing.temperature, directions=drawing.directions)
            how = (drawing.samples, drawing.seed, drawing.temperature, torch.float64, False)
            facts["photo"] = place.photo.name
            job = Job(self.given._replace(model=model), lambda path: caption, *how, facts, out, True, watch)
            ((path, record),) = fill_holes(job, [place.photo], place.hole, drawing.detail)
            if isinstance(record, str):
                raise InputError(f"{path.name}: {record}")
            images, _, json = results_of(path, out, drawing.samples)
            return Answer(record, json, images)

    def score(self, place: Place, against: list[Path]) -> Answer:
        """Score a photo's own pixels and other fills of its hole. Raises: InputError if that fails."""
        if len(against) > self.limits.against:
            raise InputError(f"{len(against)} other fills are too many: at most {self.limits.against}")
        with self._at_work() as out:
            results = [out / f"{place.photo.stem}{end}" for end in (".json", "_surprise.png", "_entropy.png")]
            given = (self.given, place.photo, place.hole, results, against, place.caption)
            record = score_with(*given, called=lambda path: Path(path).name)
            return Answer(record, results[0], [path for path in results[1:] if path.exists()])

    def mean(
        self, photo: WholePhoto, unknown: np.ndarray, caption: str | list[str], directions: int
    ) -> Image.Image | None:
        """The photo with the expected value of each unknown pixel; None where a model has none."""
        with self.busy, out_of_memory_reported():
            model = in_directions(self.given.model, directions, self.given.name, drawn=True)
            seen = see(model, photo.pixels, unknown)
            mean = mean_of(model, seen, caption)
            return None if mean is None else photo.with_pixels(unknown, colors_of(seen, as_pixels(mean), unknown))

    def new_folder(self) -> Path:
        """A folder for what one request writes."""
        self._sweep()
        return Path(tempfile.mkdtemp(dir=self.folder))

    @contextlib.contextmanager
    def _at_work(self) -> Iterator[Path]:
        """One request's folder; it is removed if the request fails. Its name is left out of messages."""
        with self.busy, out_of_memory_reported():
            out = self.new_folder()
            try:
                yield out
            except BaseException as error:
                shutil.rmtree(out, ignore_errors=True)
                if isinstance(error, InputError):
                    raise InputError(without_folders(str(error), self.folder.parent)) from None
                raise

    def _sweep(self) -> None:
        """Remove old results and uploads. (gradio would, too, but its task ends when files come while it looks.)"""
        for path in (*self.folder.iterdir(), *set(self.folder.parent.iterdir()) - self.lasting):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > self.limits.kept_seconds:
                    shutil.rmtree(path)


def draws_in_both(given: Ready) -> bool:
    """Whether a model draws in two directions."""
    try:
        in_directions(given.model, 2, given.name, drawn=True)
    except InputError:
        return False
    return True


def without_folders(text: str, root: Path) -> str:
    """A message with the names of the files in `root`, without their folders, whose names have no spaces."""
    return re.sub(rf"{re.escape(str(root))}/(?:[^/ ]+/)*", "", text)
