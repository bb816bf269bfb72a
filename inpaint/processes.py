"""The device, and the group of processes that torchrun starts: used by training and evaluation alike."""

import contextlib
import os
from collections.abc import Iterator

import torch
import torch.distributed as dist

from data_prep.errors import InputError


def pick_device(name: str) -> torch.device:
    """`auto`, `cpu` or `cuda` -> the device, under torchrun this process's own GPU.

    Raises: InputError for cuda where there is none.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        if not torch.cuda.is_available():
            raise InputError("--device cuda: this machine has no usable GPU")
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    return torch.device(name)


@contextlib.contextmanager
def process_group() -> Iterator[int]:
    """Join torchrun's processes (gloo without GPUs, both backends with); yields this process's rank, 0 when alone."""
    if "WORLD_SIZE" not in os.environ or dist.is_initialized():
        yield dist.get_rank() if dist.is_initialized() else 0
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
        dist.init_process_group("cpu:gloo,cuda:nccl")
    else:
        dist.init_process_group("gloo")
    try:
        yield dist.get_rank()
    finally:
        dist.destroy_process_group()


def wait_for_all() -> None:
    """Return once every process of the group has come here; at once without a group."""
    if dist.is_initialized():
        dist.barrier()
