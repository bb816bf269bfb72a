"""Running a trained model: eval mode, no gradients, float32."""

import contextlib

import torch


@contextlib.contextmanager
def evaluating(model):
    """Eval mode, no gradients, float32 without TF32 or autocast; mode and settings are restored afterwards."""
    was_training = model.training
    settings = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    model.eval()
    try:
        with torch.inference_mode(), torch.autocast(device_of(model).type, enabled=False):
            yield
    finally:
        model.train(was_training)
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = settings


def device_of(model):
    return next(model.parameters()).device
