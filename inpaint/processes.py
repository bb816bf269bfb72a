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


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for products of bfloat16. A processor without them (AVX2 alone) takes
    several times as long for one as for float32; before torch could tell which have them, none is taken to."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    has = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(has.get("avx512_bf16") or has.get("amx_bf16"))


@contextlib.contextmanager
def memory_told() -> Iterator[None]:
    """Where the memory, the GPU's or the machine's, does not suffice for this block: an InputError that says so."""
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, torch.cuda.OutOfMemoryError) and "allocate memory" not in str(error):
            raise
        raise InputError("not enough memory: smaller batches, or fewer samples at once, take less") from error


@contextlib.contextmanager
def process_group() -> Iterator[int]:
    """Join torchrun's processes (gloo without GPUs, both backends with); yields this process's rank, 0 when alone.

    Raises: InputError where the memory does not suffice for what is done inside, or another process has died.
    """
    with memory_told(), _deaths_told(), _joined() as rank:
        yield rank


@contextlib.contextmanager
def _deaths_told() -> Iterator[None]:
    """Where talking to the other processes fails in this block: an InputError that says so."""
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and "gloo" not in str(error).lower():
            raise
        raise InputError("another process of this run has ended: what was saved can be resumed") from error


@contextlib.contextmanager
def _joined() -> Iterator[int]:
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
