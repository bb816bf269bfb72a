"""Datasets, training, evaluation and filling around the models."""

from inpaint.checkpoints import load
from inpaint.filling import fill

__all__ = ["fill", "load"]
