"""A request: what a user gave, checked before anything is computed. All that is wrong is an InputError of one line."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from data_prep.decode import decoded, open_image
from data_prep.errors import InputError
from data_prep.photos import Rejected, read_file
from inpaint import typed
from inpaint.app.limits import Limits
from inpaint.detail import COARSE, EXACT
from inpaint.filling import TEMPERATURE
from inpaint.hole_inputs import Hole

Value = TypeVar("Value")


@dataclass(frozen=True)
class Place:
    """A photo, its hole and its caption.

    Attributes:
      photo: path of an uploaded file; its name is the photo's.
      hole: a box or a mask.
      size: (width, height) as the file says, before it is turned upright.
      caption: "" for none, or a list of captions that are given at once.
    """

    photo: Path
    hole: Hole
    size: tuple[int, int]
    caption: str | list[str]


@dataclass(frozen=True)
class Drawing:
    """How to fill, as `inpaint.fill` takes it."""

    samples: int = 4
    seed: int = 0
    temperature: float = TEMPERATURE
    detail: str | None = None
    directions: int = 1


def place_of(photo: Any, box: Any, mask: Any, caption: Any, limits: Limits) -> Place:
    """Check a photo, its hole and its caption.

    Args:
      photo, mask: paths of uploaded files; None for none.
      box: "X,Y,W,H"; None or "" for none.
      caption: a text; each of its lines is a caption.
    """
    if not photo:
        raise InputError("no photo: upload one first")
    path = Path(photo)
    size = size_of(path, limits)
    box = box.strip() if isinstance(box, str) else box
    if not box and not mask:
        raise InputError("no hole: give a box X,Y,W,H or a mask")
    if box and mask:
        raise InputError("give a box or a mask, not both")
    caption = "" if caption is None else caption
    if not isinstance(caption, str) or len(caption) > limits.caption:
        raise InputError(f"the caption must be a text of at most {limits.caption:,} characters")
    if mask:
        size_of(Path(mask), limits)
    captions = [line for line in caption.splitlines() if line.strip()]
    hole = Hole(_read("box", typed.box, box), None) if box else Hole(None, mask)
    return Place(path, hole, size, captions if len(captions) > 1 else "".join(captions))


def drawing_of(
    samples: Any, seed: Any, temperature: Any, detail: Any, directions: Any, size: tuple[int, int], limits: Limits
) -> Drawing:
    """Check how to fill a photo of that size."""
    count = _read("samples", typed.positive_int, samples)
    most = min(limits.samples, max(1, limits.pixels_written // (size[0] * size[1])))
    if count > most:
        raise InputError(f"samples: {count} are too many for a photo of {size[0]} x {size[1]} pixels: at most {most}")
    if detail not in (None, "", COARSE, EXACT):
        raise InputError(f"detail: {detail!r} is not {COARSE}, {EXACT} or nothing")
    if directions not in (1, 2) or isinstance(directions, bool):
        raise InputError(f"directions: {directions!r} is not 1 or 2")
    seed, temperature = _read("seed", typed.seed, seed), _read("temperature", typed.temperature, temperature)
    return Drawing(count, seed, temperature, detail or None, int(directions))


def size_of(path: Path, limits: Limits) -> tuple[int, int]:
    """(width, height) of an uploaded image, as its file says. Raises: InputError if it is none, or too large."""
    try:
        if os.path.getsize(path) > limits.file_bytes:
            raise Rejected(f"a file of more than {limits.file_bytes >> 20} MiB")
        width, height = decoded(read_file(path), open_image).size
    except OSError as error:
        raise InputError(f"{path.name}: cannot be read: {error.strerror}") from None
    except Rejected as rejected:
        raise InputError(f"{path.name}: {rejected}") from None
    if width * height > limits.pixels:
        raise InputError(
            f"{path.name}: {width} x {height} pixels are more than {limits.pixels:,}: make it smaller first"
        )
    return width, height


def _read(name: str, reader: Callable[[str], Value], value: Any) -> Value:
    """A value of JSON as the command line reads it."""
    if isinstance(value, float) and value.is_integer() and reader is not typed.temperature:
        value = int(value)  # JSON does not tell 4 from 4.0
    try:
        return reader(value if isinstance(value, str) else repr(value))
    except typed.Wrong as error:
        raise InputError(f"{name}: {error}") from None
