"""Values as users type them: each function reads one, or says in a line what it should be.

They are argparse types: what they raise is `Wrong`, argparse's own error.
"""

from argparse import ArgumentTypeError as Wrong
from collections.abc import Callable
from typing import Any, TypeVar

from inpaint.windows import Box
from models.sampling import COLDEST

__all__ = ["Wrong", "box", "positive_int", "seed", "temperature"]
Value = TypeVar("Value")


def box(text: str) -> Box:
    """A hole: X,Y,W,H."""
    expected = "x, y, width, height: four whole numbers with commas, width and height from 1 on"

    def numbers(text: str) -> Any:
        return tuple(int(part) for part in text.split(","))

    def fits(box: Box) -> bool:
        return len(box) == 4 and min(box[:2]) >= 0 and min(box[2:]) >= 1 and max(box) < 2**31

    return _in_range(text, numbers, fits, expected)


def positive_int(text: str) -> int:
    return _in_range(text, int, lambda value: 1 <= value <= 10_000, "a whole number from 1 to 10000")


def seed(text: str) -> int:
    return _in_range(text, int, lambda value: 0 <= value < 2**63, "a whole number from 0 on")


def temperature(text: str) -> float:
    return _in_range(text, float, lambda value: COLDEST <= value < float("inf"), f"a number from {COLDEST} on")


def _in_range(text: str, kind: Callable[[str], Value], fits: Callable[[Value], bool], expected: str) -> Value:
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not fits(value):
        raise Wrong(f"{text!r} is not {expected}")
    return value
