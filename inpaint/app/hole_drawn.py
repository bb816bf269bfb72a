"""A hole drawn by hand: boxes and strokes in the photo's own pixels become a mask with hard edges."""

import hashlib
import json
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from data_prep.errors import InputError

MOST_STROKES, MOST_POINTS, LARGEST = 1_000, 50_000, 100_000  # the last is a coordinate


def name_of(photo: str) -> str:
    """A photo's name between page and canvas, which does not give its path away."""
    return hashlib.sha256(photo.encode()).hexdigest()[:16]


def strokes_of(text: str | None, photo: str) -> list[dict[str, Any]]:
    """Read what the page's canvas says: a JSON object whose "strokes" are drawn one over the other.

    Args: photo: the path of the photo that they have to be drawn on, whose `name_of` is "of".
    Returns: {"tool": "box", "box": [x, y, width, height]}, and "brush" and "erase" with "radius" and "points" [[x, y]].
    Raises: InputError if it is not that, or is drawn on another photo.
    """
    try:
        given = json.loads(text or "{}")
        strokes = given.get("strokes", [])
        points = sum(len(stroke.get("points", [])) for stroke in strokes)
        good = len(strokes) <= MOST_STROKES and points <= MOST_POINTS and all(map(_is_good, strokes))
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        good = False
    if not good:
        raise InputError("the hole drawn on the photo cannot be read, or is of too many strokes: draw it again")
    if strokes and given.get("of") != name_of(photo):
        raise InputError("the hole was drawn on another photo: draw it on this one")
    return strokes


def mask_drawn(strokes: list[dict[str, Any]], width: int, height: int) -> np.ndarray:
    """Strokes -> unknown pixels: bool (height, width)."""
    image = Image.new("L", (width, height))
    pen = ImageDraw.Draw(image)
    for stroke in strokes:
        if stroke["tool"] == "box":
            x, y, across, down = stroke["box"]
            pen.rectangle((x, y, x + across - 1, y + down - 1), fill=255)
            continue
        fill, radius = 255 if stroke["tool"] == "brush" else 0, stroke["radius"]
        points = [tuple(point) for point in stroke["points"]]
        if len(points) > 1:
            pen.line(points, fill=fill, width=max(1, round(2 * radius)))
        for x, y in points:
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)
    return np.asarray(image) > 0


def _is_good(stroke: dict[str, Any]) -> bool:
    if stroke["tool"] == "box":
        x, y, width, height = stroke["box"]
        return all(type(v) is int and abs(v) <= LARGEST for v in (x, y, width, height)) and min(width, height) > 0
    numbers = [stroke["radius"], *(value for point in stroke["points"] for value in point)]
    pairs = all(len(point) == 2 for point in stroke["points"])
    sizes = all(type(v) in (int, float) and abs(v) <= LARGEST for v in numbers)
    fits = 0 < stroke["radius"] <= LARGEST / 8  # as wide as hole.js's widest brush
    return stroke["tool"] in ("brush", "erase") and pairs and sizes and fits
