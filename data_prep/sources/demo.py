"""The demo world: drawn scenes in which the worth of a caption is known exactly.

A scene is a patterned background and, wholly inside the hole, one object: 4 shapes x 8 colors x 3 sizes at one of 64
positions, each drawn uniformly and independently of the background. Every row, column and diagonal of the background
reaches the border, so the border tells the background exactly and nothing of the object; the caption tells shape,
color, size and background and nothing of the position. All 6,144 scenes on a background differ, hence in nats an image
  H(center | border)          = ln(4 * 8 * 3 * 64) = 8.723
  H(center | border, caption) = ln 64              = 4.159
and the caption is worth exactly their difference, ln 96 = 4.564.
"""

import hashlib
import math
from typing import NamedTuple

import numpy as np

from data_prep.errors import InputError
from data_prep.h5file import HOLE, IMAGE_SIZE, SPLITS
from data_prep.photos import FIRST_ID, Photo, Source

SHAPES = ("square", "circle", "triangle", "cross")
COLORS = {
    "red": (220, 20, 30),
    "green": (20, 160, 40),
    "blue": (25, 50, 230),
    "yellow": (250, 225, 20),
    "orange": (250, 130, 0),
    "purple": (140, 20, 170),
    "white": (255, 255, 255),
    "black": (0, 0, 0),
}
SIZES = {"small": 8, "medium": 12, "large": 16}  # width and height in pixels
GRID = 8  # the object's middle lies on a GRID x GRID lattice, STEP pixels apart, the first FIRST pixels into the hole
STEP, FIRST = 2, 9  # so a large object leaves at least one pixel of background inside the hole on every side
POSITIONS = GRID * GRID
OBJECTS = len(SHAPES) * len(COLORS) * len(SIZES)

PATTERNS = ("horizontal stripes", "vertical stripes", "diagonal stripes", "checks", "horizontal gradient", "plain")
GROUNDS = {  # muted colors, none of them an object's, nor any mixture of two of them
    "grey": (128, 128, 128),
    "beige": (205, 185, 150),
    "brown": (105, 75, 55),
    "teal": (70, 120, 120),
    "pink": (215, 160, 175),
    "olive": (110, 110, 60),
}
PERIODS = (8, 12, 16)  # pixels; two bands to a period

TEMPLATES = (
    "a {size} {color} {shape} on {background}",
    "there is a {shape} on {background} , and it is {size} and {color}",
    "{background} with a {size} {color} {shape}",
    "one {shape} , {color} and {size} , against {background}",
    "a drawing of a {size} {shape} in {color} on {background}",
)

TRUTH = {
    "truth_nats_border": math.log(OBJECTS * POSITIONS),
    "truth_nats_border_caption": math.log(POSITIONS),
    "truth_nats_caption": math.log(OBJECTS),
}
COUNTS = {"train": 5000, "val": 500, "test": 500}  # of train unless more are asked for
MOST_SCENES = 1_000_000


class Background(NamedTuple):
    """`pattern` in the two colors; `phase` shifts stripes and checks, `period` is theirs, in pixels."""

    pattern: str
    first: str
    second: str
    period: int
    phase: int


class Scene(NamedTuple):
    """One drawing. `row` and `column` are the object's place on the lattice, 0 to GRID - 1."""

    background: Background
    shape: str
    color: str
    size: str
    row: int
    column: int


def read_demo(
    seed: int,
    limit: int | None,
    image_size: int,
    hole: tuple[int, int, int, int],
    scenes: int = COUNTS["train"],
) -> Source:
    """The demo world as a source: `scenes` to train on, COUNTS of val and test, and of each split at most `limit`.

    More scenes are the same ones and further ones; val and test stay as they are.

    Raises:
      InputError: another image size or hole was asked for; the world's entropies hold for these alone.
    """
    if image_size != IMAGE_SIZE or tuple(hole) != HOLE:
        raise InputError(f"--demo: is drawn for --image-size {IMAGE_SIZE} and --hole {','.join(map(str, HOLE))} only")
    counts = {**COUNTS, "train": scenes}
    more = "" if counts == COUNTS else f", {scenes} scenes of train"
    source = Source(label=f"demo (seed {seed}{more})")
    for split in SPLITS:
        for index in range(min(counts[split], limit or counts[split])):
            scene = scene_at(seed, split, index)
            captions = tuple(caption.encode() for caption in captions_of(scene))
            photo = Photo(f"demo_{split}_{index:09d}", FIRST_ID[split] + index, captions, scene, "place")
            source.photos[split].append(photo)
    return source


def scene_at(seed: int, split: str, index: int) -> Scene:
    """Scene number `index` of a split: every choice is a digit of one hash, so none depends on the scenes before it."""
    number = int.from_bytes(hashlib.sha256(f"demo {seed} {split} {index}".encode()).digest(), "big")

    def choose(options):
        nonlocal number
        number, digit = divmod(number, len(options))
        return options[digit]

    first = choose(tuple(GROUNDS))
    second = choose([name for name in GROUNDS if name != first])
    period = choose(PERIODS)
    background = Background(choose(PATTERNS), first, second, period, choose(range(period)))
    lattice = range(GRID)
    return Scene(
        background, choose(SHAPES), choose(tuple(COLORS)), choose(tuple(SIZES)), choose(lattice), choose(lattice)
    )


def captions_of(scene: Scene) -> list[str]:
    """Five paraphrases; they name shape, color, size and background, and never the position."""
    words = {"shape": scene.shape, "color": scene.color, "size": scene.size}
    return [template.format(background=_in_words(scene.background), **words) for template in TEMPLATES]


def draw(scene: Scene) -> np.ndarray:
    """The scene's pixels: uint8 (64, 64, 3)."""
    image = draw_background(scene.background)
    size = SIZES[scene.size]
    top = HOLE[0] + FIRST + STEP * scene.row - size // 2
    left = HOLE[1] + FIRST + STEP * scene.column - size // 2
    image[top : top + size, left : left + size][object_mask(scene.shape, size)] = COLORS[scene.color]
    return image


def draw_background(background: Background) -> np.ndarray:
    """The background's pixels: uint8 (64, 64, 3)."""
    y, x = np.mgrid[:IMAGE_SIZE, :IMAGE_SIZE]
    half, phase = background.period // 2, background.phase
    if background.pattern == "horizontal stripes":
        share = (y + phase) // half % 2
    elif background.pattern == "vertical stripes":
        share = (x + phase) // half % 2
    elif background.pattern == "diagonal stripes":
        share = (x + y + phase) // half % 2
    elif background.pattern == "checks":
        share = ((x + phase) // half + (y + phase) // half) % 2
    elif background.pattern == "horizontal gradient":
        share = x / (IMAGE_SIZE - 1)
    else:  # plain: the first color alone
        share = np.zeros_like(x)
    first, second = (np.array(GROUNDS[name], np.float64) for name in (background.first, background.second))
    pixels = first + share[:, :, None] * (second - first)  # (64, 64, 3)
    return np.floor(pixels + 0.5).astype(np.uint8)


def object_mask(shape: str, size: int) -> np.ndarray:
    """Where the object is: bool (size, size). Every shape reaches all four sides of its box."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2  # distances from the middle, in pixels
    if shape == "square":
        return np.ones((size, size), bool)
    if shape == "circle":
        return x * x + y * y <= (size / 2) ** 2
    if shape == "triangle":  # pointing up
        return 2 * np.abs(x) <= y + (size + 1) / 2
    return (np.abs(x) < size / 6) | (np.abs(y) < size / 6)


def _in_words(background: Background) -> str:
    if background.pattern == "plain":
        return f"plain {background.first}"
    if background.pattern == "horizontal gradient":
        return f"a {background.pattern} from {background.first} to {background.second}"
    return f"{background.first} and {background.second} {background.pattern}"
