"""How the processes of a run find each other anew after torchrun has started them again.

torchrun keeps one store for all its attempts [1], so a restarted process may read the address of one that is dead, and
fail to connect. Here each attempt agrees on a name of its own first: process 0 puts up a random name, every other
process answers under that name with a random number of its own, and process 0 repeats these numbers. Only a process of
this attempt can repeat them, so whatever earlier ones left in the store is known as theirs.

[1] torch/distributed/rendezvous.py, _create_c10d_store; elastic/rendezvous/dynamic_rendezvous.py, next_rendezvous
"""

import json
import secrets
import time

from torch.distributed import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from data_prep.errors import InputError

PATIENCE = 600  # seconds until all processes have come
POLL = 0.05  # seconds; in Python, so that a signal is heard meanwhile


def meet() -> tuple[Store, int, int]:
    """The store that this attempt's processes have to themselves, this process's rank, and how many there are.

    Raises: InputError where one of them does not come.
    """
    store, rank, world = next(rendezvous("env://"))
    return PrefixStore(agreed_name(store, rank, world), store), rank, world


def agreed_name(store: Store, rank: int, world: int) -> str:
    """The name that the processes of one attempt have agreed on."""
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
    """An item every POLL seconds, until PATIENCE is over."""
    for _ in range(int(PATIENCE / POLL)):
        yield
        time.sleep(POLL)
