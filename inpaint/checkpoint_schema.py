"""Validation of a checkpoint before a model is built from it.

A damaged or hostile file may load. Types and ranges of every part are checked here, at every depth, so that no other
code has to.
"""

import dataclasses
import math

import torch

from data_prep.h5file import LARGEST_IMAGE
from models.config import ModelOptions

SCHEMA = 2
OF_NET = ("tower.", "stack.", "head.", "anchor.")  # names of weights that schema 1 has without their prefix "net."
PLAIN = ("schema", "model", "config", "progress", "provenance")  # without tensors
REQUIRED = {"schema": int, "model": dict, "weights": dict, "averaged": dict, "config": dict, "progress": dict}
LONGEST_TEXT = 2**16  # characters of a value
SHARED = 4  # how often the bytes of one tensor may be used under several names
PROGRESS = {"step": int, "seconds": float, "best": float, "skipped": int}  # and "recent", a list of float


def check(checkpoint) -> None:
    """Raise ValueError, with the reason, unless `checkpoint` is valid."""
    schema = checkpoint.get("schema") if isinstance(checkpoint, dict) else None
    if type(schema) is not int or schema not in (1, SCHEMA):
        raise ValueError(f"not a checkpoint of this program (schema 1 or {SCHEMA})")
    for key, value in checkpoint.items():
        if type(key) is not str:
            raise ValueError(f"damaged checkpoint: {key!r:.60} is no text, but a key")
        if key not in ("weights", "averaged", "beside"):
            _check_plain(key, value, with_tensors=key not in PLAIN)
    for key, kind in REQUIRED.items():
        if not isinstance(checkpoint.get(key), kind):
            raise ValueError(f"damaged checkpoint: no {key!r}")
    _check_arguments(checkpoint["model"])
    _check_progress(checkpoint["progress"])
    if not isinstance(checkpoint.get("provenance", {}), dict):
        raise ValueError("damaged checkpoint: provenance is no dict")
    if schema == SCHEMA and "optimizer" in checkpoint:
        _check_optimizer(checkpoint["optimizer"])
    for key in ("weights", "averaged", "beside"):
        _check_weights(key, checkpoint.get(key, {}))


def upgraded(checkpoint: dict) -> dict:
    """Convert a valid checkpoint to SCHEMA. Schema 1 loses its optimizer, which counts weights in another order, so no
    run can resume from it."""
    if checkpoint["schema"] == SCHEMA:
        return checkpoint
    checkpoint = {name: value for name, value in checkpoint.items() if name != "optimizer"}
    for key in ("weights", "averaged"):
        weights = checkpoint[key]
        checkpoint[key] = {f"net.{name}" if name.startswith(OF_NET) else name: weights[name] for name in weights}
    return {**checkpoint, "schema": SCHEMA}


def _check_plain(where: str, value, with_tensors: bool) -> None:
    """Accept None, numbers and strings in lists, tuples and dicts with string keys; with `with_tensors` also
    tensors, and integers as keys (an optimizer's state). pickle_machine.py already bounds depth and forbids cycles."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if type(key) is not str and not (with_tensors and type(key) is int):
                raise ValueError(f"damaged checkpoint: {where}: {key!r:.60} is no text, but a key")
            _check_plain(where, inner, with_tensors)
    elif type(value) in (list, tuple):
        for inner in value:
            _check_plain(where, inner, with_tensors)
    elif isinstance(value, torch.Tensor):
        if not with_tensors:
            raise ValueError(f"damaged checkpoint: {where} holds a tensor")
    elif value is not None and type(value) not in (bool, int, float, str):
        raise ValueError(f"damaged checkpoint: {where} holds a {type(value).__name__}")
    elif type(value) is str and len(value) > LONGEST_TEXT:
        raise ValueError(f"damaged checkpoint: {where} holds a text of {len(value):,} characters")


def _check_optimizer(optimizer) -> None:
    """A dict of torch optimizers' states by name: `state`, number -> {name: tensor}, and `param_groups`."""
    parts = optimizer.values() if isinstance(optimizer, dict) else [None]
    for part in parts:
        state, groups = (part.get(key) for key in ("state", "param_groups")) if isinstance(part, dict) else (0, 0)
        if not isinstance(state, dict) or not all(_is_state(*item) for item in state.items()):
            raise ValueError("damaged checkpoint: optimizer: no state of an optimizer")
        if type(groups) is not list or not all(map(_is_group, groups)):
            raise ValueError("damaged checkpoint: optimizer: no groups of parameters")
        _check_shared("optimizer", [tensor for values in state.values() for tensor in values.values()])


def _check_shared(where: str, tensors: list[torch.Tensor]) -> None:
    """Raise ValueError if the tensors, copied, would need far more memory than their shared storages."""
    storages = [tensor.untyped_storage() for tensor in tensors]
    stored = {storage.data_ptr(): storage.nbytes() for storage in storages}
    if sum(tensor.nbytes for tensor in tensors) > SHARED * sum(stored.values()):
        raise ValueError(f"damaged checkpoint: {where}: tensors share their numbers and are larger than those")


def _is_state(key, values) -> bool:
    return type(key) is int and isinstance(values, dict) and all(isinstance(v, torch.Tensor) for v in values.values())


def _is_group(group) -> bool:
    numbers = group.get("params") if isinstance(group, dict) else None
    return type(numbers) is list and all(type(number) is int for number in numbers)


def _check_arguments(arguments: dict) -> None:
    """Arguments of `models.build`: a valid name, and the type of its default (any type if the default is None)."""
    options = {key.name: key for key in dataclasses.fields(ModelOptions)}
    for name, value in arguments.items():
        if name not in options:
            raise ValueError(f"damaged checkpoint: model: unknown argument {name!r:.60}")
        kind = type(options[name].default)
        if kind is tuple:  # the hole: pixels
            fits = isinstance(value, list | tuple) and all(type(item) is int for item in value)
        else:
            fits = type(value) is kind or kind is type(None) or (kind is float and type(value) is int)
        if not fits:
            raise ValueError(f"damaged checkpoint: model: {name} is {value!r:.60}, not of type {kind.__name__}")
    if arguments.get("image_size", 0) > LARGEST_IMAGE:
        raise ValueError(f"model: images of {arguments['image_size']} pixels a side, more than {LARGEST_IMAGE}")


def _check_progress(progress: dict) -> None:
    """Numbers to resume from; `best` is infinite before the first evaluation."""
    for name, kind in PROGRESS.items():
        value = progress.get(name, kind())
        in_range = type(value) is kind and (0 <= value < 2**62 or name == "best" and value == math.inf)
        if not in_range:
            raise ValueError(f"damaged checkpoint: progress: {name} is {value!r:.60}")
    recent = progress.get("recent", [])
    if not isinstance(recent, list) or not all(type(nats) is float and math.isfinite(nats) for nats in recent):
        raise ValueError(f"damaged checkpoint: progress: recent is {recent!r:.60}")


def _check_weights(key: str, weights: dict) -> None:
    """A dict of finite tensors that do not share storages beyond SHARED."""
    if not isinstance(weights, dict):
        raise ValueError(f"damaged checkpoint: {key!r} is no dict")
    checked = set()
    for name, value in weights.items():
        if type(name) is not str or not isinstance(value, torch.Tensor):
            raise ValueError(f"damaged checkpoint: {key}: {name!r:.60} is no tensor of real numbers")
        if id(value) not in checked and not value.isfinite().all():
            raise ValueError(f"damaged checkpoint: {key}: {name!r:.60} holds numbers that are not finite")
        checked.add(id(value))
    _check_shared(key, list(weights.values()))
