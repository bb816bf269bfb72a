"""Checkpoints of tiny models that have learned nothing, for tests of what is done with a checkpoint."""

import torch

from inpaint import checkpoints
from models import build


def fresh_model(seed=0, **options):
    """An untrained Inpainter of the smallest size, in eval mode; the seed decides its weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(**{"size": "xs", **options}).eval()


def save_fresh(path, seed=0, **options):
    """Write such a model's checkpoint to `path`, as training writes best.pt; returns the model."""
    model = fresh_model(seed, **options)
    weights = checkpoints.to_cpu(model.state_dict())
    state = {
        "model": model.config,
        "weights": {},
        "averaged": weights,
        "config": {"seed": seed},
        "progress": {"step": 3, "seconds": 60.0, "best": 1.0, "skipped": 0},
        "provenance": {"data_sha256": "0" * 64, "commit": "1" * 40},
    }
    checkpoints.save(path, state)
    return model
