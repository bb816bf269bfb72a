"""Worker processes that make shards, one at a time each.

Only the parent handles Ctrl-C and SIGTERM, and ends the workers; a worker whose parent was killed exits before its next
photo. Each worker records its current photo where the parent can read it. If a worker is killed (by the kernel, out of
memory, or by a fault in a decoder), another one remakes its shard; a photo at which two workers were killed is left
out, with the reason. If workers are killed repeatedly and no photo is done in between, it is not the photos' fault, and
the build ends with one line.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from multiprocessing.connection import wait
from pathlib import Path

from data_prep.errors import InputError, signals_held
from data_prep.photos import Photo
from data_prep.shards import Job, make_shard, shard_path

# fork is the quickest start, and shares the list of photos; elsewhere the system's own default is the safe one
_context = multiprocessing.get_context("fork" if sys.platform == "linux" else None)
TRIES = 2  # workers that may be killed at a photo until it is left out
MOST_KILLED = 16  # workers in a row, with no photo done in between, that may be killed until the build ends


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
      meanwhile: an iterator of work for this process while the others decode.
    Yields:
      the number of photos done since the last time.
    Raises:
      InputError: workers were killed repeatedly, or could not write.
    """
    crew = _Crew(jobs, photos, folder, image_size, fast)
    try:
        for _ in range(min(workers, len(jobs))):
            crew.start()
        yield from crew.listen(meanwhile)
    finally:
        crew.end()


class _Worker:
    """A process, our end of its pipe, its current job and, in shared memory, the position of its current photo."""

    def __init__(self, arguments: tuple):
        self.job: Job | None = None
        self.position = _context.RawValue("q", 0)
        self.pipe, other = _context.Pipe()
        with signals_held():  # the worker unblocks SIGINT and SIGTERM once it ignores them; the others stay blocked
            target = (other, self.position, os.getpid(), *arguments)
            self.process = _context.Process(target=_work, args=target, daemon=True)
            self.process.start()
        other.close()


class _Crew:
    """The workers, the jobs not yet assigned, and the photos at which workers were killed."""

    def __init__(self, jobs: list[Job], *arguments):
        self.left, self.arguments = deque(jobs), arguments
        self.running: dict = {}  # our end of a pipe -> the worker at the other
        self.killed_at: Counter = Counter()  # (number of a job, position) -> workers
        self.left_out: defaultdict = defaultdict(dict)  # number of a job -> position -> reason
        self.in_a_row, self.last = 0, (-1, -1)

    def start(self) -> None:
        worker = _Worker(self.arguments)
        self.running[worker.pipe] = worker
        self._give(worker)

    def _give(self, worker: _Worker) -> None:
        """Assign a worker its next job, or let it exit."""
        worker.job = self.left.popleft() if self.left else None
        with contextlib.suppress(OSError):  # it was killed meanwhile: its pipe's end says so
            worker.pipe.send(worker.job and (worker.job, self.left_out[worker.job.number]))

    def listen(self, meanwhile: Iterator | None) -> Iterator[int]:
        """Yield the reports of the workers until all are done."""
        while self.running:
            ready = wait(list(self.running), timeout=None if meanwhile is None else 0)
            if not ready and next(meanwhile, None) is None:
                meanwhile = None
            for pipe in ready:
                worker = self.running[pipe]
                try:
                    message = pipe.recv()
                except (EOFError, OSError):
                    self._ended(worker)
                    continue
                if not isinstance(message, int):
                    raise InputError(message)
                self.in_a_row = 0
                self._give(worker)
                yield message

    def _ended(self, worker: _Worker) -> None:
        """Handle the exit of a worker: it had no job left, or it was killed and another one takes its job."""
        del self.running[worker.pipe]
        worker.pipe.close()
        worker.process.join()
        if worker.job is None:
            return
        code = worker.process.exitcode
        if code >= 0:
            raise InputError(f"a worker process ended by itself with exit code {code}")
        number, position = place = worker.job.number, worker.position.value
        self.killed_at[place] += 1
        self.in_a_row = 1 if number == self.last[0] and position > self.last[1] + 1 else self.in_a_row + 1
        self.last = place
        how = f"signal {-code}" + (", out of memory?" if -code == signal.SIGKILL else "")
        if self.in_a_row > MOST_KILLED:
            raise InputError(f"worker processes are killed again and again ({how}): try fewer --workers")
        if self.killed_at[place] >= TRIES:
            self.left_out[number][position] = f"killed the process that decoded it: {TRIES} times ({how})"
        self.left.appendleft(worker.job)
        self.start()

    def end(self) -> None:
        for worker in self.running.values():
            worker.process.kill()
        for worker in self.running.values():
            worker.process.join()


def _work(pipe, position, parent: int, photos, folder, image_size, fast) -> None:
    """Main loop of a worker: make shards until there are no more jobs or the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})

    def begin(number: int) -> None:
        if os.getppid() != parent:
            os._exit(1)
        position.value = number

    try:
        while True:
            while not pipe.poll(1):
                begin(0)
            order = pipe.recv()
            if order is None:
                return
            job, left_out = order
            begin(0)
            listed = photos[job.split][job.start : job.stop]
            make_shard(shard_path(folder, job.number), listed, image_size, fast, begin, left_out)
            pipe.send(len(listed))
    except InputError as error:  # the disk is full, say
        with contextlib.suppress(OSError):
            pipe.send(str(error))
    except (OSError, EOFError, MemoryError) as error:  # the parent has gone, and its pipe with it
        with contextlib.suppress(OSError):
            pipe.send(f"{folder}: {getattr(error, 'strerror', None) or 'not enough memory'}")
