"""float32 products as float32: without TF32, or bfloat16, in their place, whatever torch's global settings say."""

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor


@contextlib.contextmanager
def exact_float32(device_type: str) -> Iterator[None]:
    """Switch reduced precision of float32 products, and autocast, off for the block; all is restored afterwards."""
    with torch.autocast(device_type, enabled=False), _exact_products():
        yield


@contextlib.contextmanager
def _exact_products() -> Iterator[None]:
    try:
        was = _settings()
    except RuntimeError:  # they were set by `fp32_precision`, and torch refuses to read them the old way
        with _exact_by_backend():
            yield
        return
    if was == ("highest", False):
        yield
        return
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(was[0])
        torch.backends.cudnn.allow_tf32 = was[1]


def _settings() -> tuple[str, bool]:
    with warnings.catch_warnings():  # torch 2.9 says once that these names are old
        warnings.simplefilter("ignore")
        return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32


@contextlib.contextmanager
def _exact_by_backend() -> Iterator[None]:
    backends: Any = torch.backends
    settings = (backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn, backends.mkldnn.matmul)
    was = [setting.fp32_precision for setting in settings]
    try:
        for setting in settings:
            setting.fp32_precision = "ieee"
        yield
    finally:
        for setting, value in zip(settings, was, strict=True):
            setting.fp32_precision = value


def float64_or_less(dtype: torch.dtype, device: torch.device) -> torch.dtype:
    """`dtype`, or float32 instead of float64 on a device that has none (Apple's MPS)."""
    return torch.float32 if device.type == "mps" and dtype == torch.float64 else dtype


def in_float64(x: Tensor) -> Tensor:
    """x in float64, on the CPU if its device has none."""
    return x.to("cpu" if x.device.type == "mps" else x.device).double()
