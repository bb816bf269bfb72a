"""Running a trained model: eval mode, no gradients, float32."""

import contextlib

import torch

from models.precision import exact_float32


@contextlib.contextmanager
def evaluating(model):
    """Eval mode, no gradients, float32 without TF32 or autocast; mode and settings are restored afterwards."""
    was_training = model.training
    model.eval()
    try:
        with exact_float32(), torch.inference_mode(), torch.autocast(device_of(model).type, enabled=False):
            yield
    finally:
        model.train(was_training)


def device_of(model):
    return next(model.parameters()).device


def on(device, *tensors):
    """The tensors on a device; None stays None."""
    return [None if tensor is None else tensor.to(device) for tensor in tensors]
