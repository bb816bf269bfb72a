"""What a checkpoint must hold before anything is built from it.

A file may be damaged, foreign or hostile and load all the same. Here each part that the programs read is found to be of
the type and in the range that they count on, so that nothing further in has to doubt it.
"""

import dataclasses
import math

import torch

from data_prep.h5file import LARGEST_IMAGE
from models.config import ModelOptions

SCHEMA = 2
OF_NET = ("tower.", "stack.", "head.", "anchor.")  # names of weights that schema 1 has without their prefix "net."
REQUIRED = {"schema": int, "model": dict, "weights": dict, "averaged": dict, "config": dict, "progress": dict}
PROGRESS = {"step": int, "seconds": float, "best": float, "skipped": int}  # and "recent", a list of float


def check(checkpoint) -> None:
    """Raise ValueError, with the reason, unless `checkpoint` is one of this program's."""
    schema = checkpoint.get("schema") if isinstance(checkpoint, dict) else None
    if type(schema) is not int or schema not in (1, SCHEMA):
        raise ValueError(f"not a checkpoint of this program (schema 1 or {SCHEMA})")
    for key, kind in REQUIRED.items():
        if not isinstance(checkpoint.get(key), kind):
            raise ValueError(f"damaged checkpoint: no {key!r}")
    _check_arguments(checkpoint["model"])
    _check_progress(checkpoint["progress"])
    for key in ("weights", "averaged"):
        _check_weights(key, checkpoint[key])


def upgraded(checkpoint: dict) -> dict:
    """A checked checkpoint as SCHEMA has it. From one of schema 1 no run continues: its optimizer counts weights in
    another order."""
    if checkpoint["schema"] == SCHEMA:
        return checkpoint
    checkpoint = {name: value for name, value in checkpoint.items() if name != "optimizer"}
    for key in ("weights", "averaged"):
        weights = checkpoint[key]
        checkpoint[key] = {f"net.{name}" if name.startswith(OF_NET) else name: weights[name] for name in weights}
    return {**checkpoint, "schema": SCHEMA}


def _check_arguments(arguments: dict) -> None:
    """The arguments of `models.build`: each known, and of the type of its default (any type where that is None)."""
    known = {key.name: key for key in dataclasses.fields(ModelOptions)}
    for name, value in arguments.items():
        if name not in known:
            raise ValueError(f"damaged checkpoint: model: unknown argument {name!r:.60}")
        kind = type(known[name].default)
        if kind is tuple:  # the hole: pixels
            fits = isinstance(value, list | tuple) and all(type(item) is int for item in value)
        else:
            fits = type(value) is kind or kind is type(None) or (kind is float and type(value) is int)
        if not fits:
            raise ValueError(f"damaged checkpoint: model: {name} is {value!r:.60}, not of type {kind.__name__}")
    if arguments.get("image_size", 0) > LARGEST_IMAGE:
        raise ValueError(f"model: images of {arguments['image_size']} pixels a side, more than {LARGEST_IMAGE}")


def _check_progress(progress: dict) -> None:
    """Numbers from which a run can go on; `best` may be infinite, as it is before the first evaluation."""
    for name, kind in PROGRESS.items():
        value = progress.get(name, kind())
        in_range = type(value) is kind and (0 <= value < 2**62 or name == "best" and value == math.inf)
        if not in_range:
            raise ValueError(f"damaged checkpoint: progress: {name} is {value!r:.60}")
    recent = progress.get("recent", [])
    if not isinstance(recent, list) or not all(type(nats) is float and math.isfinite(nats) for nats in recent):
        raise ValueError(f"damaged checkpoint: progress: recent is {recent!r:.60}")


def _check_weights(key: str, weights: dict) -> None:
    """Names with plain tensors of finite real numbers, in this machine's memory."""
    for name, value in weights.items():
        plain = isinstance(name, str) and isinstance(value, torch.Tensor) and value.layout == torch.strided
        if not plain or value.is_complex() or value.is_quantized or value.device.type != "cpu":
            raise ValueError(f"damaged checkpoint: {key}: {name!r:.60} is no tensor of real numbers")
        if value.nbytes > value.untyped_storage().nbytes():  # one number told to stand for a billion
            raise ValueError(f"damaged checkpoint: {key}: {name!r:.60} is larger than what is stored of it")
        if not value.isfinite().all():
            raise ValueError(f"damaged checkpoint: {key}: {name!r:.60} holds numbers that are not finite")
