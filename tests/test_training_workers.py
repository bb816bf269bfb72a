"""Processes that prepare batches: one that dies or hangs ends the run in one line, saved, with no process left."""

import os
import re
import shutil
import signal
import time
from contextlib import closing
from pathlib import Path

import pytest
import torch
from data_makers import is_one_line
from training_commands import TORCHRUN, children, command, run, started, step_of, wait_until

from data_prep.errors import ENDING
from inpaint.dataset import Photos
from inpaint.training import batches as preparing
from inpaint.training import loading
from inpaint.training.batches import Batches
from inpaint.training.loading import WorkerFailed, loader

LONG = ["--steps", "100000", "--checkpoint-every", "100000", "--evaluate-every", "100000"]


@pytest.fixture(scope="module")
def batches(demo_file):
    return Batches(Photos(demo_file, "train"), 8, 1, shift=3)


class Spoiled:
    """Batches whose parts from a step on do something else."""

    def __init__(self, batches, first, instead):
        self.photos, self.batch_size, self.world = batches.photos, batches.batch_size, batches.world
        self.batches, self.first, self.instead = batches, first, instead

    def parts(self, step):
        if step >= self.first:
            self.instead()
        yield from self.batches.parts(step)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_for_loaders(process, folder, count=2):
    """Until the processes of the loader are there: the only ones that a run starts once it has written its options."""
    wait_until((folder / "config.json").exists, process)
    wait_until(lambda: len(children(process.pid)) == count, process)


def same(a, b):
    return all(torch.equal(getattr(a, name), getattr(b, name)) for name in ("border", "center", "known"))


def test_batches_come_in_order_whatever_the_number_of_processes_and_parts(batches, monkeypatch):
    expected = [batches[step] for step in range(3, 9)]
    monkeypatch.setattr(preparing, "PART", 3)  # 8 images in three parts
    assert [len(part.captions) for part in batches.parts(0)] == [3, 3, 2]
    for workers in (0, 1, 3):
        with closing(loader(batches, 3, workers)) as feed:
            for batch in expected:
                received = next(feed)
                assert same(received, batch) and received.captions == batch.captions


def test_a_process_that_is_killed_is_told_at_once(batches):
    doomed = Spoiled(batches, 2, lambda: os.kill(os.getpid(), signal.SIGKILL))
    with closing(loader(doomed, 0, 2)) as feed:
        assert same(next(feed), batches[0]) and same(next(feed), batches[1])
        began = time.monotonic()
        with pytest.raises(WorkerFailed, match=r"process \d+, which prepares batches, was killed by SIGKILL"):
            next(feed)
        assert time.monotonic() - began < 20


def test_one_killed_behind_its_time_is_told_though_its_batches_are_still_to_come(batches):
    """With a slow model the batches in the pipes would hide it for long."""
    small = Batches(batches.photos, 1, 1)  # a pipe holds some of these
    with closing(loader(small, 0, 2)) as feed:
        next(feed)
        time.sleep(0.5)
        os.kill(children(os.getpid(), b"")[-1], signal.SIGKILL)
        time.sleep(0.5)
        with pytest.raises(WorkerFailed, match="was killed by SIGKILL"):
            next(feed)


def test_one_killed_while_it_writes_a_batch_is_told_too(batches, monkeypatch):
    """Half a batch in the pipe, and another process that works on."""
    send = loading._send

    def half(pipe, value):
        if os.getpid() != parent and value[0] is False:
            os.write(pipe.fileno(), loading.HEADER.pack(2**20) + b"half")
            os.kill(os.getpid(), signal.SIGKILL)
        send(pipe, value)

    parent = os.getpid()
    monkeypatch.setattr(loading, "_send", half)
    with closing(loader(batches, 0, 2)) as feed, pytest.raises(WorkerFailed, match="was killed by SIGKILL"):
        next(feed)


def test_one_that_gives_no_answer_is_told_and_none_is_left(batches, monkeypatch):
    monkeypatch.setattr(loading, "PATIENCE", 2)
    asleep = Spoiled(batches, 1, lambda: time.sleep(1000))
    before = set(children(os.getpid(), b""))
    with closing(loader(asleep, 0, 2)) as feed:
        assert same(next(feed), batches[0])
        started = set(children(os.getpid(), b"")) - before
        with pytest.raises(WorkerFailed, match="gives no answer"):
            next(feed)
    assert len(started) == 2 and not any(map(alive, started))


def test_one_that_is_slow_but_works_is_waited_for(batches, monkeypatch):
    """Patience is for each part of a batch, so a large batch may take long."""
    monkeypatch.setattr(loading, "PATIENCE", 3)
    monkeypatch.setattr(preparing, "PART", 2)
    part = Batches._part

    def slow(self, members):
        time.sleep(1)
        return part(self, members)

    monkeypatch.setattr(Batches, "_part", slow)
    with closing(loader(batches, 0, 1)) as feed:  # four parts of a second each
        assert len(next(feed).captions) == 8


def test_an_error_in_a_process_is_told(batches):
    def fail():
        raise OSError(5, "Input/output error")

    with (
        closing(loader(Spoiled(batches, 0, fail), 0, 1)) as feed,
        pytest.raises(WorkerFailed, match="Input/output error"),
    ):
        next(feed)


def test_a_loader_process_hears_no_signal_but_the_last(batches):
    """A scheduler signals every process; only the one that trains may decide what comes then."""
    with closing(loader(Batches(batches.photos, 16, 1), 0, 1)) as feed:
        next(feed)
        for number in ENDING:
            os.kill(children(os.getpid(), b"")[-1], number)
        for _ in range(5):
            assert len(next(feed).captions) == 16


def test_waiting_ends_when_the_run_is_stopped(batches):
    """A signal while a process hangs: the run is saved within a second, not after the patience is over."""
    began = time.monotonic()
    with closing(loader(Spoiled(batches, 0, lambda: time.sleep(1000)), 0, 1, stopped=lambda: True)) as feed:
        assert next(feed) is None
    assert time.monotonic() - began < 20


def test_no_shared_memory_is_used(batches):
    """What does not lie there cannot fail there."""
    shared = Path("/dev/shm")
    if not shared.is_dir():
        pytest.skip("no /dev/shm here")
    before = set(shared.iterdir())
    with closing(loader(batches, 0, 2)) as feed:
        next(feed)
        new = {path.name for path in shared.iterdir()} - {path.name for path in before}
        mapped = Path("/proc/self/maps").read_text()
    assert not any(name.startswith("torch_") for name in new) and "/dev/shm/torch_" not in mapped


@pytest.mark.parametrize("kill", [signal.SIGKILL, pytest.param(signal.SIGBUS, marks=pytest.mark.slow)])
def test_a_killed_loader_process_ends_the_run_in_one_line_saved_first(kill, demo_file, tmp_path):
    process = started(command(demo_file, tmp_path, *LONG, "--workers", "2"), start_new_session=True)
    wait_for_loaders(process, tmp_path)
    os.kill(children(process.pid)[0], kill)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1 and errors.startswith("error: ") and errors.count("\n") == 1, errors
    assert f"was killed by {kill.name}" in errors and str(tmp_path) in errors
    if "nothing was learnt yet" not in errors:
        assert step_of(tmp_path) == int(re.search(r"saved at step (\d+)", errors)[1])
        step = step_of(tmp_path)
        assert run(command(demo_file, tmp_path, "--resume", "--steps", step + 1)).returncode == 0
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


@pytest.mark.slow
def test_a_stopped_loader_process_ends_the_run_within_a_minute(demo_file, tmp_path):
    process = started(command(demo_file, tmp_path, *LONG, "--workers", "2"), start_new_session=True)
    wait_for_loaders(process, tmp_path)
    time.sleep(1)
    os.kill(children(process.pid)[0], signal.SIGSTOP)
    began = time.monotonic()
    _, errors = process.communicate(timeout=100)
    assert time.monotonic() - began < 60 and process.returncode == 1
    assert "gives no answer" in errors and "saved at step" in errors and errors.count("\n") == 1
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_a_killed_loader_process_of_one_rank_ends_all_ranks_and_rank_0_saves(demo_file, tmp_path):
    """Under torchrun: told once, saved, nobody left."""
    words = command(demo_file, tmp_path, *LONG, "--workers", "1", launcher=TORCHRUN)
    process = started(words, start_new_session=True)
    wait_until((tmp_path / "config.json").exists, process)
    ranks = children(process.pid)
    wait_until(lambda: all(map(children, ranks)), process)
    time.sleep(1)
    os.kill(children(ranks[1])[0], signal.SIGKILL)
    _, errors = process.communicate(timeout=100)
    assert process.returncode == 1 and errors.count("was killed by SIGKILL") == 1, errors
    if "nothing was learnt yet" not in errors:
        assert step_of(tmp_path) == int(re.search(r"saved at step (\d+)", errors)[1])
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_loader_processes_end_when_their_parent_is_killed(demo_file, tmp_path):
    process = started(command(demo_file, tmp_path, *LONG, "--workers", "2"))
    wait_for_loaders(process, tmp_path)
    workers = children(process.pid)
    process.kill()
    process.wait()  # the pipes of its output are theirs, too
    wait_until(lambda: not any(map(alive, workers)), seconds=30)


def test_a_signal_to_the_whole_group_is_the_training_s_to_answer(demo_file, tmp_path):
    """Slurm signals every process of a step; the loader's go on until the run is saved."""
    process = started(command(demo_file, tmp_path, *LONG, "--workers", "2"), start_new_session=True)
    wait_for_loaders(process, tmp_path)
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGUSR1)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1 and "stopped: SIGUSR1;" in errors and errors.count("\n") == 1, errors


def test_a_full_dev_shm_stops_no_training(demo_file, tmp_path):
    """In a name space of its own whose /dev/shm holds 64 KB; skipped where that is not allowed."""
    words = command(demo_file, tmp_path / "run", "--workers", "2", "--batch-size", "32", "--steps", "2")
    script = 'mount -t tmpfs -o size=64k tmpfs /dev/shm || exit 77; exec "$@"'
    done = run(["unshare", "-m", "-r", "sh", "-c", script, "sh", *words])
    if done.returncode in (1, 77) and not is_one_line(done):
        pytest.skip("no name space of its own here")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("workers", [0, 1])
def test_photos_that_can_no_longer_be_read_end_the_run_in_one_line_saved_first(workers, demo_file, tmp_path):
    data, folder = tmp_path / "demo.h5", tmp_path / "run"
    shutil.copy(demo_file, data)
    process = started(command(data, folder, *LONG, "--checkpoint-every", "2", "--workers", str(workers)))
    wait_until((folder / "last.pt").exists, process)
    os.truncate(data, 100_000)
    _, errors = process.communicate(timeout=100)
    assert process.returncode == 1 and errors.startswith("error: ") and errors.count("\n") == 1, errors
    assert str(data) in errors and f"saved at step {step_of(folder)}" in errors
