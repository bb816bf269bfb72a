"""The device, and the group of processes that torchrun starts: used by training and evaluation alike."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.distributed as dist

from data_prep.errors import InputError
from inpaint.rendezvous import meet


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
        if not another_died(error):
            raise
        raise InputError("another process of this run has ended: what was saved can be resumed") from error


def another_died(error: RuntimeError) -> bool:
    """Whether it says that talking to the other processes failed."""
    return isinstance(error, dist.DistError) or "gloo" in str(error).lower()


@contextlib.contextmanager
def _joined() -> Iterator[int]:
    if "WORLD_SIZE" not in os.environ or dist.is_initialized():
        yield dist.get_rank() if dist.is_initialized() else 0
        return
    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
        backend = "cpu:gloo,cuda:nccl"
    store, rank, world = meet()
    dist.init_process_group(backend, store=store, rank=rank, world_size=world)
    try:
        yield dist.get_rank()
    finally:
        dist.destroy_process_group()


def from_rank_0(make: Callable[[], Any]) -> Any:
    """What `make()` returns in the process of rank 0, in every process. Where it raises there, all processes end, and
    only that one says why."""
    if not dist.is_initialized():
        return make()
    if dist.get_rank():
        box = [None]
        dist.broadcast_object_list(box)
        made, value = box[0]
        if not made:
            sys.exit(value)
        return value
    try:
        value = make()
    except BaseException as error:
        dist.broadcast_object_list([(False, error.code if isinstance(error, SystemExit) else 1)])
        raise
    dist.broadcast_object_list([(True, value)])
    return value


@contextlib.contextmanager
def told_once() -> Iterator[None]:
    """An InputError that all processes come to in this block: the one of rank 0 raises it, the others exit with 1."""
    try:
        yield
    except InputError:
        if dist.is_initialized() and dist.get_rank():
            sys.exit(1)
        raise


def fail_together(message: str) -> None:
    """An InputError that all processes come to, told once."""
    with told_once():
        raise InputError(message)


def agreed(value: float, device: torch.device, mean: bool = False) -> float:
    """One value for all processes: their mean, or the largest."""
    if not dist.is_initialized():
        return value
    tensor = torch.tensor(value, dtype=torch.float64, device=device)
    dist.all_reduce(tensor, dist.ReduceOp.SUM if mean else dist.ReduceOp.MAX)
    return tensor.item() / (dist.get_world_size() if mean else 1)
