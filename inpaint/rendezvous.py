"""Rendezvous of a run's processes, also after torchrun has restarted them.

torchrun keeps one store for all attempts [1], so a restarted process may read the address of a dead one and fail to
connect. Here the processes of each attempt first agree on a fresh prefix for their keys: rank 0 publishes a random
name, every other rank answers under it with a random number, and rank 0 repeats these numbers. Only a live rank 0 can
repeat them, so leftovers of earlier attempts are never mistaken for this one's.

[1] torch/distributed/rendezvous.py, _create_c10d_store; elastic/rendezvous/dynamic_rendezvous.py, next_rendezvous
"""

import json
import secrets
import time

from torch.distributed import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from data_prep.errors import InputError

PATIENCE = 600  # seconds until all processes have come
POLL = 0.05  # seconds; polling in Python lets signals through


def meet() -> tuple[Store, int, int]:
    """Returns this attempt's store, the rank of this process and the number of processes.

    Raises: InputError if one of them does not arrive.
    """
    store, rank, world = next(rendezvous("env://"))
    return PrefixStore(agreed_name(store, rank, world), store), rank, world


def agreed_name(store: Store, rank: int, world: int) -> str:
    """Agree on a name with the other processes of this attempt."""
    name = _invite(store, world) if rank == 0 else _follow(store, rank)
    if name is None:
        raise InputError(f"the {world} processes of this run did not all come within {PATIENCE} seconds")
    return name


def _invite(store: Store, world: int) -> str | None:
    name = secrets.token_hex(8)
    store.set("attempt", name)
    answers = [f"{name}/answer/{rank}" for rank in range(1, world)]
    for _ in _polls():
        if not answers or store.check(answers):
            store.set(f"{name}/all", json.dumps([store.get(answer).decode() for answer in answers]))
            return name
    return None


def _follow(store: Store, rank: int) -> str | None:
    number, answered = secrets.token_hex(8), None
    for _ in _polls():
        if not store.check(["attempt"]):
            continue
        name = store.get("attempt").decode()
        if name != answered:
            store.set(f"{name}/answer/{rank}", number)
            answered = name
        if store.check([f"{name}/all"]) and json.loads(store.get(f"{name}/all"))[rank - 1] == number:
            return name
    return None


def _polls():
    """Yields every POLL seconds, for PATIENCE seconds."""
    for _ in range(int(PATIENCE / POLL)):
        yield
        time.sleep(POLL)
