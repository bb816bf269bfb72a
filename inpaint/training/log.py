"""TensorBoard log of a run: nats in all units, images per second, panels. Only one process writes it. A log that cannot
be written, on a full disk for instance, is told in one line, and training goes on without it."""

import contextlib
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from data_prep.printing import printable
from inpaint.dataset import Photos
from inpaint.training.panels import caption_text, image_panel
from inpaint.units import bernoulli_floor, bits_per_dim, nats_per_pixel

PANEL_IMAGES = 6


class Log:
    """The TensorBoard log of a run's folder.

    Args:
      folder: the run folder.
      first: first step of this process. Later entries are purged: an earlier process was killed before it saved them.
      proper: whether the likelihood is one of 8-bit data, so that bits/dim are defined.
    """

    def __init__(self, folder, first: int, proper: bool):
        self._folder, self._proper, self._lost = folder, proper, False
        self._excepthook, threading.excepthook = threading.excepthook, self._of_a_thread
        self._writer = SummaryWriter(folder, purge_step=first + 1)

    def _of_a_thread(self, found: threading.ExceptHookArgs) -> None:
        """What TensorBoard's own thread cannot write is told by the next entry, not by a traceback."""
        own = type(found.thread).__module__.startswith("tensorboard")
        if not (own and issubclass(found.exc_type, OSError)):
            self._excepthook(found)

    def _do(self, write: Callable[..., object], *words: Any) -> None:
        if self._lost:
            return
        try:
            write(*words)
        except OSError as error:
            self._lost = True
            line = f"{self._folder}: no further TensorBoard log, it cannot be written: {error.strerror or error}"
            print(printable(f"warning: {line}"), file=sys.stderr, flush=True)

    def training(self, step: int, photos: Photos, nats: float, figures: dict[str, float]) -> None:
        """Log nats per image of the last steps, and other figures by name."""
        self._nats("train", step, photos, nats)
        for name, value in figures.items():
            self._do(self._writer.add_scalar, f"train/{name}", value, step)

    def panel(self, step: int, photos: Photos, model) -> None:
        """Log the first photos with samples of the model."""
        shown = np.arange(min(PANEL_IMAGES, len(photos)))
        panel = image_panel(model, photos, shown)
        self._do(self._writer.add_image, "panel/original_border_samples_mean", panel, step)
        self._do(self._writer.add_text, "panel/captions", caption_text(photos, shown), step)

    def validation(self, step: int, photos: Photos, indices, nats: float, images_per_second: float) -> None:
        """Log mean nats per image of val's images `indices`."""
        self._nats("val", step, photos, nats)
        if not self._proper:
            floor = float(bernoulli_floor(photos.images(indices)[1][:, : photos.channels]).mean())
            self._do(self._writer.add_scalar, "val/excess_nats_per_image", nats - floor, step)
        self._do(self._writer.add_scalar, "val/images_per_second", images_per_second, step)

    def _nats(self, split: str, step: int, photos: Photos, nats: float) -> None:
        self._do(self._writer.add_scalar, f"{split}/nats_per_image", nats, step)
        self._do(self._writer.add_scalar, f"{split}/nats_per_pixel", nats_per_pixel(nats, photos.hole), step)
        if self._proper:
            self._do(
                self._writer.add_scalar, f"{split}/bits_per_dim", bits_per_dim(nats, photos.hole, photos.channels), step
            )

    def flush(self) -> None:
        self._do(self._writer.flush)

    def close(self) -> None:
        self._do(self._writer.flush)
        with contextlib.suppress(OSError):  # told before
            self._writer.close()
        threading.excepthook = self._excepthook
