"""Datasets, training, evaluation and filling around the models."""

from inpaint.checkpoints import load

__all__ = ["load"]
