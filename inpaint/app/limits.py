"""What one request may ask for, so that no request keeps all others waiting, or fills memory or disk."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from data_prep.errors import InputError


@dataclass(frozen=True)
class Limits:
    """The most that a request may ask for.

    Attributes:
      pixels: of a photo.
      samples: of a fill.
      pixels_written: of all the photos that a fill writes.
      file_bytes: of an uploaded file.
      caption: characters.
      against: other fills to score.
      seconds: of drawing.
      waiting: requests in the queue.
      sessions: open pages and clients whose state is kept, of a tenth of a megabyte each; each call of the API is one.
      kept_seconds: for how long the results of a request can be fetched.
    """

    pixels: int = 24_000_000
    samples: int = 32
    pixels_written: int = 200_000_000
    file_bytes: int = 160 * 2**20
    caption: int = 2_000
    against: int = 8
    seconds: float = 300.0
    waiting: int = 64
    sessions: int = 200
    kept_seconds: float = 1_800.0


class Watch:
    """Watches a drawing: shows its progress, and ends it when it is stopped or takes too long.

    Args:
      seconds: it may take.
      stopped: whether somebody has stopped it.
      show: is told how many steps of how many are done, and their unit.
    """

    def __init__(self, seconds: float, stopped: Callable[[], bool], show: Callable[[int, int, str], None]):
        self.seconds, self.stopped, self.show = seconds, stopped, show
        self.end = time.monotonic() + seconds

    def __call__(self, items: list[Any], unit: str) -> Iterator[Any]:
        """Yield the steps of a drawing. Raises: InputError if it must end."""
        for done, item in enumerate(items):
            self.check()
            self.show(done, len(items), unit)
            yield item

    def check(self) -> None:
        """Raise InputError if the drawing must end."""
        if self.stopped():
            raise InputError("stopped")
        if time.monotonic() > self.end:
            raise InputError(f"took longer than {self.seconds:g} seconds: fewer samples, or a smaller hole, take less")


def unwatched(items: Iterable[Any], unit: str) -> Iterable[Any]:
    """Yield the steps of a drawing that nobody watches."""
    return items
