"""Processes that torchrun starts again in one store find each other, not those of an earlier attempt."""

import threading
import time

import pytest
from torch.distributed import HashStore

from inpaint import rendezvous
from inpaint.rendezvous import agreed_name


def names_of(store, world, order):
    """The names that processes agree on which come in this order; as threads, since a HashStore is one process's."""
    names = {}

    def come(rank):
        names[rank] = agreed_name(store, rank, world)

    threads = [threading.Thread(target=come, args=(rank,), daemon=True) for rank in order]
    for thread in threads:
        thread.start()
        time.sleep(0.2)
    for thread in threads:
        thread.join(20)
    return names


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_each_attempt_agrees_on_a_name_of_its_own_whoever_comes_first(order):
    """The others may read what process 0 of an earlier attempt left."""
    store, seen = HashStore(), set()
    for _ in range(3):
        names = names_of(store, 3, order)
        assert set(names) == {0, 1, 2} and len(set(names.values())) == 1
        seen.add(names[0])
    assert len(seen) == 3


def test_an_attempt_that_was_cut_short_does_not_mislead_the_next():
    """Processes 1 and 2 answered; then all were killed before process 0 had seen it."""
    store = HashStore()
    store.set("attempt", "old")
    store.set("old/answer/1", "x")
    store.set("old/answer/2", "y")
    assert len(set(names_of(store, 3, (1, 2, 0)).values())) == 1


def test_a_process_that_does_not_come_is_one_line(monkeypatch):
    monkeypatch.setattr(rendezvous, "PATIENCE", 0.3)
    with pytest.raises(rendezvous.InputError, match="did not all come"):
        agreed_name(HashStore(), 0, 2)
    with pytest.raises(rendezvous.InputError, match="did not all come"):
        agreed_name(HashStore(), 1, 2)
    assert agreed_name(HashStore(), 0, 1)
