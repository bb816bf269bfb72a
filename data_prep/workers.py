"""Processes that make shards: they draw the next shard's number from one shared counter until there is none left.

The parent alone hears Ctrl-C and SIGTERM and ends the workers; a worker whose parent was killed ends by itself before
its next photo. A worker that is killed (by the kernel, out of memory) ends the build in one line.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from multiprocessing.connection import wait
from pathlib import Path

from data_prep.errors import InputError, signals_held
from data_prep.photos import Photo
from data_prep.shards import Job, make_shard, shard_path

# fork is the quickest start, and shares the list of photos; elsewhere the system's own default is the safe one
_context = multiprocessing.get_context("fork" if sys.platform == "linux" else None)


def make_shards(
    jobs: list[Job],
    photos: dict[str, list[Photo]],
    folder: Path,
    image_size: int,
    fast: bool,
    workers: int,
    meanwhile: Iterator | None = None,
) -> Iterator[int]:
    """Make every shard of `jobs` with `workers` processes.

    Args:
      meanwhile: work for this process while the others decode; advanced step by step, as long as it lasts.
    Yields:
      the number of photos done, each time some are.
    Raises:
      InputError: a worker was killed, or could not write.
    """
    if not jobs:
        return
    counter = _context.Value("q", 0)
    running = {}  # the end of a pipe that we read -> the process that writes the other
    try:
        with signals_held():  # a worker lets go of them when it has set its own handlers
            for _ in range(min(workers, len(jobs))):
                receive, send = _context.Pipe(duplex=False)
                arguments = (send, counter, os.getpid(), jobs, photos, folder, image_size, fast)
                process = _context.Process(target=_work, args=arguments, daemon=True)
                process.start()
                running[receive] = process
                send.close()
        yield from _listen(dict(running), meanwhile)
    finally:
        for process in running.values():
            process.kill()
        for process in running.values():
            process.join()


def _listen(running: dict, meanwhile: Iterator | None) -> Iterator[int]:
    """What the workers report, until all of them are done."""
    while running:
        ready = wait(running, timeout=None if meanwhile is None else 0)
        if not ready and next(meanwhile, None) is None:
            meanwhile = None
        for pipe in ready:
            try:
                message = pipe.recv()
            except EOFError:
                message = None
            if isinstance(message, int):
                yield message
            elif message == "done":
                del running[pipe]
            else:
                raise InputError(message or _how_it_ended(running[pipe]))


def _work(send, counter, parent, jobs, photos, folder, image_size, fast) -> None:
    """A worker's life: shards, until the counter is past the last or the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})

    def alive():
        if os.getppid() != parent:
            os._exit(1)

    try:
        while True:
            with counter.get_lock():
                index, counter.value = counter.value, counter.value + 1
            if index >= len(jobs):
                send.send("done")
                return
            job = jobs[index]
            listed = photos[job.split][job.start : job.stop]
            make_shard(shard_path(folder, job.number), listed, image_size, fast, alive)
            send.send(len(listed))
    except InputError as error:  # the disk is full, say
        with contextlib.suppress(OSError):
            send.send(str(error))
    except (OSError, MemoryError) as error:  # the parent has gone, and its pipe with it
        with contextlib.suppress(OSError):
            send.send(f"{folder}: {getattr(error, 'strerror', None) or 'not enough memory'}")


def _how_it_ended(process) -> str:
    process.join()
    if process.exitcode < 0:
        return f"a worker process was killed by signal {-process.exitcode} (out of memory?): try fewer --workers"
    return f"a worker process ended by itself with exit code {process.exitcode}"
