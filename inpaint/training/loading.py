"""Worker processes that prepare batches ahead, and the detection of workers that die or hang.

Worker k of n makes the batches of steps first + k, first + k + n, ... and writes each, in parts, to its pipe. This uses
no shared memory, which containers limit, and no shared queue, which a killed worker could leave locked. A worker is
ahead by the batch it makes and what fits in its pipe; it exits when the reader closes. torch's DataLoader needs
shared memory, and ends where a worker is killed.
"""

import contextlib
import itertools
import multiprocessing
import os
import pickle
import signal
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection

import torch

from data_prep.errors import ENDING, InputError, signals_held
from inpaint.training.batches import Batch, Batches, joined

PATIENCE = 40  # seconds without a byte from a worker, which prepares at most batches.PART images at a time
POLL = 0.5  # seconds; PATIENCE is counted in polls, so that time while this process is stopped does not count
LARGEST_PIPE = 2**20  # bytes; a system may allow less
HEADER = struct.Struct(">Q")  # length of the message


class WorkerFailed(Exception):
    """A worker died or does not answer; the message says which and why."""


class _Stopped(Exception):
    pass


@dataclass
class _Worker:
    process: multiprocessing.Process
    pipe: Connection

    def check(self) -> None:
        """Raise WorkerFailed if the worker was killed, even if its pipe still holds batches."""
        if (self.process.exitcode or 0) < 0:
            raise WorkerFailed(self._how_it_ended())

    def receive(self, stopped: Callable[[], bool]):
        """Read the worker's next message."""
        (length,) = HEADER.unpack(self._read(HEADER.size, stopped))
        return pickle.loads(self._read(length, stopped))

    def _read(self, size: int, stopped: Callable[[], bool]) -> bytearray:
        data, idle = bytearray(size), 0
        rest = memoryview(data)
        while rest:
            try:
                count = os.readv(self.pipe.fileno(), [rest])
            except BlockingIOError:  # nothing to read yet
                idle = 0 if self.pipe.poll(POLL) else idle + 1
                if idle and stopped():
                    raise _Stopped from None
                if idle * POLL >= PATIENCE:
                    raise WorkerFailed(f"process {self.process.pid}, which prepares batches, gives no answer") from None
                continue
            if not count:
                raise WorkerFailed(self._how_it_ended())
            rest = rest[count:]
        return data

    def _how_it_ended(self) -> str:
        self.process.join(POLL)
        code = self.process.exitcode
        if code is not None and code < 0:
            end = f"was killed by {signal.Signals(-code).name}" + (
                " (out of memory?)" if code == -signal.SIGKILL else ""
            )
        else:
            end = "ended by itself" if code is None else f"ended by itself with exit code {code}"
        return f"process {self.process.pid}, which prepares batches, {end}: fewer --workers, or none, may help"


def loader(
    batches: Batches, first: int, workers: int, stopped: Callable[[], bool] = lambda: False
) -> Iterator[Batch | None]:
    """Yield the batches of step `first` and all later steps, in order; close it (contextlib.closing).

    Args:
      workers: number of worker processes; 0 to make batches in this process.
      stopped: polled while waiting for a batch; if true, None is yielded and the iteration ends.
    Raises:
      WorkerFailed: a worker died, or was silent for PATIENCE seconds.
    """
    if not workers:
        yield from (batches[step] for step in itertools.count(first))
    running: list[_Worker] = []
    try:
        with signals_held():  # a worker unblocks them once it ignores them
            for number in range(workers):
                running.append(_start(batches, itertools.count(first + number, workers), running))
        for worker in itertools.cycle(running):
            for one in running:
                one.check()
            yield _batch(worker, stopped)
    except _Stopped:
        yield None
    finally:
        for worker in running:
            worker.process.kill()
        for worker in running:
            worker.process.join()
            worker.pipe.close()


def _start(batches: Batches, steps: Iterator[int], before: list[_Worker]) -> _Worker:
    import fcntl  # POSIX

    context = multiprocessing.get_context("fork")  # inherits the open photos; only batches are sent
    reading, writing = context.Pipe(duplex=False)
    os.set_blocking(reading.fileno(), False)
    with contextlib.suppress(AttributeError, OSError):  # Linux
        images = batches.batch_size // batches.world
        wanted = images * batches.photos.image_size**2 * 4  # pixels and their mask
        fcntl.fcntl(writing.fileno(), fcntl.F_SETPIPE_SZ, min(max(wanted, 2**16), LARGEST_PIPE))
    unused = [reading, *(worker.pipe for worker in before)]  # if held open, they would hide the reader's exit
    process = context.Process(target=_work, args=(batches, steps, writing, unused), daemon=True)
    process.start()
    writing.close()
    return _Worker(process, reading)


def _batch(worker: _Worker, stopped: Callable[[], bool]) -> Batch:
    parts, more = [], True
    while more:
        received = worker.receive(stopped)
        if isinstance(received, str):
            raise WorkerFailed(f"process {worker.process.pid}, which prepares batches: {received}")
        more, border, center, captions, known = received
        parts.append(Batch(torch.from_numpy(border), torch.from_numpy(center), captions, torch.from_numpy(known)))
    return joined(parts)


def _work(batches: Batches, steps: Iterator[int], pipe: Connection, unused: list[Connection]) -> None:
    """Main loop of a worker: batch after batch, until the reader closes the pipe."""
    for number in ENDING:  # sent to the whole process group; only the training process handles them
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    torch.set_num_threads(1)  # more would wait for threads that fork does not copy
    for connection in unused:
        connection.close()
    with contextlib.suppress(BrokenPipeError):
        try:
            for step in steps:
                for more, part in _with_more(batches.parts(step)):
                    arrays = part.border.numpy(), part.center.numpy(), part.captions, part.known.numpy()
                    _send(pipe, (more, *arrays))
        except BrokenPipeError:
            raise
        except (OSError, MemoryError, InputError) as error:
            _send(pipe, f"{getattr(error, 'strerror', None) or error or 'not enough memory'}")


def _with_more(items: Iterator) -> Iterator[tuple]:
    """Yield (whether another item follows, item)."""
    last = next(items)
    for item in items:
        yield True, last
        last = item
    yield False, last


def _send(pipe: Connection, value) -> None:
    data = memoryview(pickle.dumps(value, pickle.HIGHEST_PROTOCOL))
    for rest in (memoryview(HEADER.pack(len(data))), data):
        while rest:
            rest = rest[os.write(pipe.fileno(), rest) :]
