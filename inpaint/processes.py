"""The device, and torchrun's process group; used by training and evaluation."""

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
    """Device for `auto`, `cpu` or `cuda`; under torchrun the GPU of this process.

    Raises: InputError for cuda without a usable GPU.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        if not torch.cuda.is_available():
            raise InputError("--device cuda: this machine has no usable GPU")
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    return torch.device(name)


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for bfloat16 products. Without them (AVX2 alone) a CPU is several times
    slower than in float32. False if this torch cannot tell."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    has = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(has.get("avx512_bf16") or has.get("amx_bf16"))


@contextlib.contextmanager
def out_of_memory_reported() -> Iterator[None]:
    """Turn out-of-memory errors of the block into InputError."""
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, torch.cuda.OutOfMemoryError) and "allocate memory" not in str(error):
            raise
        raise InputError("not enough memory: smaller batches, or fewer samples at once, take less") from error


@contextlib.contextmanager
def process_group() -> Iterator[int]:
    """Join torchrun's process group (gloo; with GPUs also nccl) and yield this process's rank, 0 without torchrun.

    Raises: InputError if the block runs out of memory, or if another process has died.
    """
    with out_of_memory_reported(), _lost_processes_reported(), _joined() as rank:
        yield rank


@contextlib.contextmanager
def _lost_processes_reported() -> Iterator[None]:
    """Turn communication errors of the block into InputError."""
    try:
        yield
    except RuntimeError as error:
        if not another_died(error):
            raise
        raise InputError("another process of this run has ended: what was saved can be resumed") from error


def another_died(error: RuntimeError) -> bool:
    """Whether `error` is a failed communication between processes."""
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
    """Call `make()` in rank 0 and return its result in every process. If it raises, all processes exit and only rank 0
    reports the error."""
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
    """For an InputError that every process raises in this block: rank 0 raises it, the others exit with 1."""
    try:
        yield
    except InputError:
        if dist.is_initialized() and dist.get_rank():
            sys.exit(1)
        raise


def fail_together(message: str) -> None:
    """Raise InputError in rank 0 and exit with 1 in the others; every process must call it."""
    with told_once():
        raise InputError(message)


def agreed(value: float, device: torch.device, mean: bool = False) -> float:
    """Reduce a value over all processes: the mean, or the maximum."""
    if not dist.is_initialized():
        return value
    tensor = torch.tensor(value, dtype=torch.float64, device=device)
    dist.all_reduce(tensor, dist.ReduceOp.SUM if mean else dist.ReduceOp.MAX)
    return tensor.item() / (dist.get_world_size() if mean else 1)
