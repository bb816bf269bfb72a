"""How processes (torch.distributed) share images, and put their results together."""

import numpy as np
import torch.distributed as dist


def rank_and_world():
    """Rank of this process and number of processes: (0, 1) without torch.distributed."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def my_share(n):
    """Positions, of 0 to n - 1, that this process works on: int64; each position belongs to exactly one process."""
    rank, world = rank_and_world()
    return np.arange(rank, n, world)


def gather(positions, values, n):
    """Combine the values that each process computed at its positions: float64 (n, ...), the same in every process."""
    whole = np.full((n, *np.shape(values)[1:]), np.nan)
    for theirs, computed in all_gathered((positions, values)):
        whole[theirs] = computed
    return whole


def all_gathered(value):
    """The `value` of every process, a list in order of rank."""
    _, world = rank_and_world()
    if world == 1:
        return [value]
    values = [None] * world
    dist.all_gather_object(values, value)
    return values
