"""The report's curve: the points of a run and of those that resumed it, whatever the clock said when."""

import os
import time

import numpy as np
import pytest
from torch.utils.tensorboard import SummaryWriter

from inpaint.report.training_curve import read_curve


@pytest.fixture
def session(tmp_path, monkeypatch):
    """Log nats from a step on, as a run does that begins or is resumed there, with the clock at `clock`."""

    def session(clock, start, nats, last):
        monkeypatch.setattr(time, "time", lambda: clock)
        with SummaryWriter(tmp_path, purge_step=start) as log:
            for step in range(start, last + 1):
                log.add_scalar("train/nats_per_image", nats, step, walltime=clock + step)
                if step % 2 == 0:
                    log.add_scalar("val/nats_per_image", nats + 0.5, step, walltime=clock + step)
        monkeypatch.undo()

    return session


def curve_of(folder):
    """({step: nats} of training, {step: nats} of val)."""
    curve, _ = read_curve(folder / "best.pt")
    for steps in (curve.train_steps, curve.val_steps):
        assert steps.tolist() == sorted(set(steps))
    return dict(zip(curve.train_steps, curve.train, strict=True)), dict(zip(curve.val_steps, curve.val, strict=True))


def expected(*pieces):
    """What `curve_of` gives of (first step, last step, nats) pieces."""
    train = {float(step): nats for first, last, nats in pieces for step in range(first, last + 1)}
    return train, {step: nats + 0.5 for step, nats in train.items() if step % 2 == 0}


def test_training_and_val_are_not_exchanged_and_steps_ascend(session, tmp_path):
    session(1000, 1, 9.0, 4)
    curve, missing = read_curve(tmp_path / "best.pt")
    assert missing == ""
    assert curve.train_steps.tolist() == [1, 2, 3, 4] and curve.train.tolist() == [9, 9, 9, 9]
    assert curve.val_steps.tolist() == [2, 4] and curve.val.tolist() == [9.5, 9.5]


@pytest.mark.parametrize("clocks", [(1000, 2000, 3000), (3000, 2000, 1000), (2000, 3000, 1000), (3000, 1000, 2000)])
def test_resumed_runs_win_by_step_whatever_the_clock_says(session, tmp_path, clocks):
    session(clocks[0], 1, 9.0, 10)
    session(clocks[1], 6, 8.0, 14)
    session(clocks[2], 13, 7.0, 20)
    assert curve_of(tmp_path) == expected((1, 5, 9.0), (6, 12, 8.0), (13, 20, 7.0))


def test_a_clock_set_back_between_two_resumed_runs_loses_no_point(session, tmp_path):
    session(1000, 1, 9.0, 10)
    session(3000, 6, 8.0, 14)
    session(2000, 13, 7.0, 20)
    assert curve_of(tmp_path) == expected((1, 5, 9.0), (6, 12, 8.0), (13, 20, 7.0))


@pytest.mark.parametrize("clocks", [(1000, 2000), (2000, 1000)])
def test_what_a_killed_run_logged_beyond_its_checkpoint_is_forgotten(session, tmp_path, clocks):
    session(clocks[0], 1, 9.0, 10)
    session(clocks[1], 6, 8.0, 7)
    assert curve_of(tmp_path) == expected((1, 5, 9.0), (6, 7, 8.0))


def test_of_two_runs_that_begin_at_one_step_the_later_one_counts(session, tmp_path):
    session(1000, 1, 9.0, 10)
    session(2000, 6, 8.0, 14)
    session(3000, 6, 7.0, 9)
    assert curve_of(tmp_path) == expected((1, 5, 9.0), (6, 9, 7.0))


def test_a_run_taken_back_to_an_earlier_checkpoint_keeps_its_newest_points(session, tmp_path):
    """last.pt was damaged, and last-1.pt was copied over it."""
    session(1000, 1, 9.0, 10)
    session(2000, 8, 8.0, 14)
    session(3000, 5, 7.0, 20)
    train, _ = curve_of(tmp_path)
    assert sorted(train) == list(range(1, 21)) and train[4] == 9 and train[20] == 7


def test_a_log_that_a_kill_cut_short_shows_what_it_holds(session, tmp_path):
    session(1000, 1, 9.0, 10)
    (path,) = tmp_path.iterdir()
    os.truncate(path, path.stat().st_size - 20)
    train, _ = curve_of(tmp_path)
    assert sorted(train) == list(range(1, 11))[: len(train)] and len(train) >= 9
    session(2000, 8, 8.0, 12)
    assert sorted(curve_of(tmp_path)[0]) == list(range(1, 13))


def test_nats_that_are_not_finite_are_left_out(tmp_path):
    with SummaryWriter(tmp_path) as log:
        for step, nats in enumerate([3.0, np.nan, np.inf, 2.0]):
            log.add_scalar("val/nats_per_image", nats, step)
    curve, _ = read_curve(tmp_path / "best.pt")
    assert curve.val_steps.tolist() == [0, 3] and curve.val.tolist() == [3, 2] and not len(curve.train)


def test_a_long_log_is_read_whole_and_one_of_other_figures_is_no_curve(tmp_path):
    with SummaryWriter(tmp_path) as log:
        log.add_scalar("train/learning_rate", 1.0, 1)
    assert read_curve(tmp_path / "best.pt")[1] == "the TensorBoard log beside the checkpoint holds no nats per image"
    with SummaryWriter(tmp_path, filename_suffix="x") as log:
        for step in range(12_000):
            log.add_scalar("train/nats_per_image", step, step)
    curve, _ = read_curve(tmp_path / "best.pt")
    assert len(curve.train) == 12_000
