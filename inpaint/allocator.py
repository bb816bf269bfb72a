"""Memory that a CPU program frees stays with it, for its next tensors.

By default glibc takes each large block from the system and gives it back when it is freed, and the system clears every
page of it again the next time. A training step frees and takes hundreds of maps of some megabytes. Kept, a third more
steps of the 2017 tower fit into the same processor time; with smaller maps fewer or none (`benchmarks/allocator.py`).
"""

import ctypes
import os
import sys

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # malloc.h
KEPT = 2**31 - 1  # bytes: the most that mallopt takes
OWN_CHOICE = ("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD")  # how a user chooses otherwise, or another allocator


def keep_freed_memory() -> bool:
    """Let this process keep what it frees, up to 2 GiB; worker processes that it forks do likewise.

    Without effect where the C library is not glibc, and where the environment sets malloc's options or preloads a
    library: that is the user's choice.

    Returns: whether it took effect.
    """
    if sys.platform != "linux" or any(name.startswith(OWN_CHOICE) for name in os.environ):
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):  # musl: its mallopt, if any, does nothing
        return False
    return bool(libc.mallopt(M_MMAP_MAX, 0) and libc.mallopt(M_TRIM_THRESHOLD, KEPT))
