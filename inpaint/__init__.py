"""Datasets, training, evaluation and filling around the models.

`inpaint.load`, `inpaint.fill` and `inpaint.score` import torch on first use, so that `python -m inpaint` handles
signals while torch loads.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inpaint.checkpoints import load
    from inpaint.filling import fill
    from inpaint.hole_scores import score

__all__ = ["fill", "load", "score"]
_HOME = {"fill": "inpaint.filling", "load": "inpaint.checkpoints", "score": "inpaint.hole_scores"}


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__():
    return sorted({*globals(), *__all__})
