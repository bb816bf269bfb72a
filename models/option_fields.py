"""What an option is: a dataclass field with a default, a help text and a range. config.py lists the options.

`models.build`, checkpoints, the command line and recipes all read options through here.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable
from dataclasses import field
from types import UnionType
from typing import Any, get_args, get_origin

from models.stacks.families import decoders_with

Choices = Iterable[str] | Callable[[], Iterable[str]]


def option(
    default: Any,
    text: str,
    *,
    low: float | None = None,
    high: float | None = None,
    below: float | None = None,
    choices: Choices | None = None,
    metavar: str | None = None,
) -> Any:
    """A dataclass field with an option's default, help and range.

    Args:
      low, high: smallest and largest value; below: exclusive upper bound.
      choices: allowed names, or a function that returns them.
    """
    rule = {"help": text, "low": low, "high": high, "below": below, "choices": choices, "metavar": metavar}
    return field(default=default, metadata=rule)


def with_default(options: type, name: str, default: Any) -> Any:
    """An option of a dataclass with another default."""
    (key,) = (key for key in dataclasses.fields(options) if key.name == name)
    return field(default=default, metadata=key.metadata)


def yes_or_no(text: str) -> Any:
    """An option of causal stacks, on by default."""
    return option(None, f"{text} (default: yes)")


def choices_of(key: "dataclasses.Field[Any]") -> tuple[str, ...] | None:
    """An option's allowed names; None if it has no fixed set of them."""
    choices: Choices | None = key.metadata["choices"]
    if choices is None:
        return None
    return tuple(choices() if callable(choices) else choices)


def kinds_of(key: "dataclasses.Field[Any]") -> tuple[type, ...]:
    """An option's allowed types; none for the hole, which is a tuple of numbers."""
    kinds = get_args(key.type) if isinstance(key.type, UnionType) else (key.type,)
    return tuple(kind for kind in kinds if get_origin(kind) is None)


def help_of(key: "dataclasses.Field[Any]") -> str:
    """An option's help text; options of causal stacks name the decoders that have them."""
    only = decoders_with(key.name) if key.default is None else []
    text: str = key.metadata["help"]
    return f"{', '.join(only)}: {text}" if only else text


def checked(key: "dataclasses.Field[Any]", value: Any) -> Any:
    """A value of the right type and in range; an int becomes a float if the option is one.

    Raises: ValueError naming the option.
    """
    kinds, rule = kinds_of(key), key.metadata
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError(f"{key.name}: does not fit in 64 bits")
    if float in kinds and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not kinds:
        return value
    if type(value) not in kinds:
        wanted = " or ".join("null" if kind is type(None) else kind.__name__ for kind in kinds)
        raise ValueError(f"{key.name}: {value!r:.60} is not {wanted}")
    choices = choices_of(key)
    if value is None:
        return value
    if choices and value not in choices:
        raise ValueError(f"{key.name}: {value!r:.60} is not one of {', '.join(choices)}")
    low, high, below = rule["low"], rule["high"], rule["below"]
    fits = (low is None or value >= low) and (high is None or value <= high) and (below is None or value < below)
    if not fits or value == math.inf:
        bounds = f"at least {low}" if high is None else f"between {low} and {high}"
        bounds += "" if below is None else f" and less than {below}"
        raise ValueError(f"{key.name}: {value} is not {bounds}")
    return value
