"""Running a trained model: eval mode, no gradients, float32."""

import contextlib

import torch

from data_prep.errors import InputError
from models.directions import in_two_directions
from models.precision import exact_float32


@contextlib.contextmanager
def evaluating(model):
    """Eval mode, no gradients, float32 without TF32 or autocast; mode and settings are restored afterwards."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with exact_float32(device_of(model).type), torch.inference_mode():
            yield
    finally:
        for module in training:
            module.training = True


def device_of(model):
    return next(model.parameters()).device


def on(device, *tensors):
    """The tensors on a device; None stays None."""
    return [None if tensor is None else tensor.to(device) for tensor in tensors]


def check_any_mask(model, name):
    """Raise InputError unless pixels inside a model's hole may be known; `name` is the checkpoint's."""
    if not model.net.any_mask:
        tower = model.config["tower"]
        raise InputError(f"{name}: its tower, {tower}, cannot tell which pixels are known: it fills its hole alone")


def in_directions(model, directions, name, drawn=False):
    """A model in one direction or in two.

    Args:
      model: an Inpainter.
      directions: 1 for itself, 2 for itself and it on the mirrored photo (models/directions.py).
      name: the checkpoint, as the user calls it.
      drawn: whether it is to draw, too.

    Raises:
      InputError: it cannot.
    """
    if directions == 1:
        return model
    try:
        both = in_two_directions(model)
    except ValueError as error:
        raise InputError(f"{name}: {error}") from None
    if drawn and not both.draws:
        raise InputError(f"{name}: {model.decoder} is scored in two directions, but only drawn in one")
    return both
