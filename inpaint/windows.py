"""The square of a photo that a model sees, and what was drawn put back.

The window is S x S model pixels, each a square of `scale` photo pixels. The photo's hole lies inside the model's: at
scale 1, pixel for pixel, if it fits; else at the least scale at which it does. Beyond the photo nothing is known. A
model pixel is known if all photo pixels that it covers are. What is unknown is never read: before a photo is resized,
each unknown pixel takes the color of the nearest known one.
"""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.ndimage import distance_transform_edt

from data_prep.hole import channels_first, channels_last

REDUCED = 4  # a window of a larger scale than twice this is first averaged down to this scale
Box = tuple[int, int, int, int]  # x, y, width, height in photo pixels


@dataclass(frozen=True)
class Window:
    """Where a model's image lies in a photo.

    Attributes:
      left, top: its first column and row, in photo pixels; below 0 where it reaches beyond the photo.
      side: its width and height in photo pixels.
      image_size: S.
    """

    left: int
    top: int
    side: int
    image_size: int

    @property
    def scale(self) -> float:
        """Photo pixels along a model pixel's side."""
        return self.side / self.image_size

    def cells(self, box: Box) -> Box:
        """The model pixels that a box of the photo touches: x, y, width, height."""
        x, y, width, height = box
        first = (x - self.left) * self.image_size // self.side, (y - self.top) * self.image_size // self.side
        end = (
            -((self.left - x - width) * self.image_size // self.side),
            -((self.top - y - height) * self.image_size // self.side),
        )
        return *first, end[0] - first[0], end[1] - first[1]


def bounding_box(unknown: np.ndarray) -> Box:
    """The smallest box around a mask's pixels: bool (H, W), at least one true."""
    rows, columns = np.flatnonzero(unknown.any(axis=1)), np.flatnonzero(unknown.any(axis=0))
    x, y = int(columns[0]), int(rows[0])
    return x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y


def window_around(box: Box, photo_size: tuple[int, int], image_size: int, hole: Box | tuple[int, ...]) -> Window:
    """The window in which a box of the photo lies inside the model's hole, as much of it on the photo as can be.

    Args:
      box: of the photo.
      photo_size: (width, height).
      hole: the model's, (top, left, height, width).
    """
    top, left, height, width = hole
    side = max(image_size, math.ceil(image_size * max(box[2] / width, box[3] / height)))
    while True:  # where the window's edges fall between pixels, the box may touch a model pixel more than it covers
        x = _start(box[0], box[2], photo_size[0], side, left * side / image_size, (left + width) * side / image_size)
        y = _start(box[1], box[3], photo_size[1], side, top * side / image_size, (top + height) * side / image_size)
        window = Window(x, y, side, image_size)
        column, row, columns, rows = window.cells(box)
        if left <= column and column + columns <= left + width and top <= row and row + rows <= top + height:
            return window
        side += 1


def _start(first: int, length: int, photo: int, side: int, hole_start: float, hole_end: float) -> int:
    """Where a window starts along one axis: the box in the middle of the hole, or as far off it as keeps the window on
    the photo."""
    middle = round(first + length / 2 - (hole_start + hole_end) / 2)
    on_photo = min(max(middle, 0), max(photo - side, 0)) if photo >= side else (photo - side) // 2
    earliest, latest = math.ceil(first + length - hole_end), math.floor(first - hole_start)
    return max(min(on_photo, latest), min(earliest, latest))


def view(
    pixels: np.ndarray, unknown: np.ndarray, window: Window, hole: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """What a model sees of a photo.

    Args:
      pixels: uint8 (H, W, 3).
      unknown: bool (H, W).
      hole: the model's. Beyond the photo its pixels count as known, as the nearest known one: they are not to be drawn.

    Returns:
      uint8 (S, S, 3), zero where unknown, and bool (S, S), true where a pixel is known.
    """
    hidden = _touched(unknown, window, beyond=True)
    inside = channels_first(hole)
    hidden[inside] = _touched(unknown, window, beyond=False)[inside]
    return whole_view(pixels, window, unknown) * ~hidden[..., None], ~hidden


def whole_view(pixels: np.ndarray, window: Window, unknown: np.ndarray | None = None) -> np.ndarray:
    """A window's pixels, uint8 (S, S, 3). Beyond the photo, and where `unknown`, they are those of the nearest known
    pixel; all black if there is none."""
    step = max(1, int(window.scale // REDUCED)) if window.scale >= 2 * REDUCED else 1
    n = math.ceil(window.side / step)
    colors, hidden = averaged(pixels, unknown, (window.left, window.top, n, n), step)
    colors = nearest_known(colors, hidden)
    if len(colors) == window.image_size:
        return colors
    end = window.side / step  # the last block may reach beyond the window
    size = (window.image_size, window.image_size)
    image = Image.fromarray(colors).resize(size, Image.Resampling.LANCZOS, box=(0, 0, end, end))
    return np.asarray(image)


def nearest_known(colors: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """Replace hidden pixels, bool (n, m), by the nearest other one; uint8 (n, m, 3), black if all are hidden."""
    if hidden.all():
        return np.zeros_like(colors)
    if not hidden.any():
        return colors
    nearest = distance_transform_edt(hidden, return_distances=False, return_indices=True)
    return colors[tuple(nearest)]


def averaged(
    pixels: np.ndarray, unknown: np.ndarray | None, rectangle: Box, step: int
) -> tuple[np.ndarray, np.ndarray]:
    """A rectangle of a photo, averaged over blocks of `step` x `step` pixels.

    Args:
      pixels, unknown: as `view` takes them; None: all known.
      rectangle: column and row of its first pixel, below 0 beyond the photo; how many blocks across, and down.

    Returns:
      uint8 (down, across, 3), and bool (down, across): true where a block holds an unknown pixel, or one beyond the
      photo.
    """
    height, width = pixels.shape[:2]
    rows, columns = _blocks(rectangle[1], rectangle[3], step, height), _blocks(rectangle[0], rectangle[2], step, width)
    colors, hidden = np.zeros((rectangle[3], rectangle[2], 3), np.uint8), np.ones((rectangle[3], rectangle[2]), bool)
    if rows.stop <= rows.start or columns.stop <= columns.start:
        return colors, hidden
    top, left = rectangle[1] + rows.start * step, rectangle[0] + columns.start * step
    count, across = rows.stop - rows.start, columns.stop - columns.start
    place = (top, left, count * step, across * step)
    if step == 1:
        colors[rows, columns] = pixels[channels_last(place)]
    else:
        colors[rows, columns] = np.asarray(Image.fromarray(pixels[channels_last(place)]).reduce(step))
    hidden[rows, columns] = False
    if unknown is not None:
        blocks = unknown[channels_first(place)].reshape(count, step, across, step)
        hidden[rows, columns] = blocks.any(axis=(1, 3))
    return colors, hidden


def _blocks(start: int, count: int, step: int, length: int) -> slice:
    """Which of `count` blocks of `step` pixels from `start` on lie whole on a photo of that length."""
    return slice(max(0, -(start // step)), min(count, (length - start) // step))


def _touched(unknown: np.ndarray, window: Window, beyond: bool) -> np.ndarray:
    """Which model pixels cover an unknown photo pixel, or one beyond the photo if that counts: bool (S, S)."""
    down = _along(unknown, window.top, window, beyond)  # (S, W)
    return _along(down.T, window.left, window, beyond).T


def _along(unknown: np.ndarray, start: int, window: Window, beyond: bool) -> np.ndarray:
    """`_touched` along the first axis: bool (n, m) -> (S, m)."""
    found = np.zeros((window.image_size, unknown.shape[1]), bool)
    for k in range(window.image_size):
        first = start + k * window.side // window.image_size
        end = start - (-(k + 1) * window.side // window.image_size)
        found[k] = unknown[max(first, 0) : max(end, 0)].any(axis=0)
        if beyond and (first < 0 or end > len(unknown)):
            found[k] = True
    return found


def put_back(image: np.ndarray, window: Window, box: Box) -> np.ndarray:
    """A box of the photo from a model's image, enlarged: uint8 (S, S, 3) -> uint8 (height, width, 3)."""
    x, y, width, height = box
    if window.side == window.image_size:
        return image[channels_last((y - window.top, x - window.left, height, width))]
    start = (x - window.left) / window.scale, (y - window.top) / window.scale
    place = (*start, start[0] + width / window.scale, start[1] + height / window.scale)
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC, box=place))
