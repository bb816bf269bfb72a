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
    backends: Any = torch.backends
    mkldnn = backends.mkldnn
    settings = (backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn, mkldnn.matmul, mkldnn.conv, mkldnn.rnn)
    was = [setting.fp32_precision for setting in settings]
    old = _old_settings()
    try:
        if old is not None:  # so that the old names can still be read in the block, as torch.compile does
            torch.set_float32_matmul_precision("highest")
            backends.cudnn.allow_tf32 = False
        for setting in settings if old is None else settings[-2:]:  # which have no old names
            setting.fp32_precision = "ieee"
        yield
    finally:
        if old is not None:
            torch.set_float32_matmul_precision(old[0])
            backends.cudnn.allow_tf32 = old[1]
        for setting, value in zip(settings, was, strict=True):
            setting.fp32_precision = value


def _old_settings() -> tuple[str, bool] | None:
    """The settings by their older names; None if they were set by `fp32_precision`, as torch then refuses."""
    with warnings.catch_warnings():  # torch says once that these names are old
        warnings.simplefilter("ignore")
        try:
            return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
        except RuntimeError:
            return None


def float64_or_less(dtype: torch.dtype, device: torch.device) -> torch.dtype:
    """`dtype`, or float32 instead of float64 on a device that has none (Apple's MPS)."""
    return torch.float32 if device.type == "mps" and dtype == torch.float64 else dtype


def in_float64(x: Tensor) -> Tensor:
    """x in float64, on the CPU if its device has none."""
    return x.to("cpu" if x.device.type == "mps" else x.device).double()
