"""The TensorBoard log beside a checkpoint: all of it is on the disk before the checkpoint, and no step comes twice."""

import itertools
import shutil
import time
from types import SimpleNamespace

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer.record_writer import RecordWriter

from inpaint import checkpoints
from inpaint.config import Config
from inpaint.training import trainer as loop
from inpaint.training.trainer import Trainer


def a_trainer(demo_file, folder, **options):
    small = {"size": "xs", "batch_size": 2, "val_limit": 2, "precision": "fp32", "evaluate_every": 1}
    return Trainer(Config(data=str(demo_file), out=str(folder), **small | options), torch.device("cpu"))


def steps_logged(folder, tag="val/nats_per_image"):
    return [event.step for event in EventAccumulator(str(folder)).Reload().Scalars(tag)]


def test_the_log_is_on_the_disk_when_a_checkpoint_appears(demo_file, tmp_path, monkeypatch):
    """What a kill after the save leaves is read."""
    seen, save, write = {}, checkpoints.save_keeping, RecordWriter.write

    def slowly(self, data):  # TensorBoard's own thread does
        time.sleep(0.03)
        write(self, data)

    def watched(path, checkpoint, keep):
        if path.name == "last.pt":
            seen[checkpoint["progress"]["step"]] = steps_logged(tmp_path)
        save(path, checkpoint, keep)

    monkeypatch.setattr(checkpoints, "save_keeping", watched)
    monkeypatch.setattr(RecordWriter, "write", slowly)
    monkeypatch.setattr(loop, "LOG_EVERY", 1)
    a_trainer(demo_file, tmp_path, steps=4, checkpoint_every=2).run()
    assert seen == {2: [1, 2], 4: [1, 2, 3, 4]}


def test_steps_after_the_checkpoint_are_purged_when_a_run_continues(demo_file, tmp_path, monkeypatch):
    """Killed at step 3, saved at 2: 3 is shown once."""
    monkeypatch.setattr(loop, "LOG_EVERY", 1)
    a_trainer(demo_file, tmp_path, steps=3, checkpoint_every=2, keep=2).run()
    shutil.copyfile(tmp_path / "last-1.pt", tmp_path / "last.pt")
    trainer = a_trainer(demo_file, tmp_path, steps=5, checkpoint_every=2)
    trainer.go_on(checkpoints.read(tmp_path / "last.pt"))
    trainer.run()
    assert trainer.progress["step"] == 5
    for tag in ("val/nats_per_image", "train/nats_per_image", "train/learning_rate"):
        assert steps_logged(tmp_path, tag) == [1, 2, 3, 4, 5], tag


def test_a_run_that_begins_anew_purges_what_one_without_a_checkpoint_logged(demo_file, tmp_path):
    a_trainer(demo_file, tmp_path, steps=3).run()
    for path in tmp_path.glob("*.pt"):
        path.unlink()
    a_trainer(demo_file, tmp_path, steps=2).run()
    assert steps_logged(tmp_path) == [1, 2]


@pytest.mark.parametrize(
    "checkpoint_every, evaluate_every, kept",
    [(2, 5, {"last.pt": 12, "last-1.pt": 10}), (12, 12, {"last.pt": 12}), (5, 4, {"last.pt": 12, "last-1.pt": 10})],
)
def test_a_run_that_ends_on_a_checkpoint_step_saves_once(demo_file, tmp_path, checkpoint_every, evaluate_every, kept):
    """last.pt and last-1.pt are of two steps, and last.pt knows the last evaluation."""
    config = {"steps": 12, "checkpoint_every": checkpoint_every, "evaluate_every": evaluate_every}
    options = {"size": "xs", "batch_size": 2, "val_limit": 2, "precision": "fp32", **config}
    trainer = Trainer(Config(data=str(demo_file), out=str(tmp_path), **options), torch.device("cpu"))
    trainer.run()
    saved = {path.name: checkpoints.read(path)["progress"] for path in tmp_path.glob("last*.pt")}
    assert {name: progress["step"] for name, progress in saved.items()} == kept
    assert saved["last.pt"]["best"] == trainer.progress["best"] < float("inf")
    assert steps_logged(tmp_path)[-1] == 12  # the last step is evaluated before it is saved


def test_a_run_limited_by_the_clock_saves_its_last_step_once(demo_file, tmp_path, monkeypatch):
    """By a clock that goes on a second whenever it is read; a run that is over when it is resumed saves nothing
    anew."""
    clock = SimpleNamespace(monotonic=map(float, itertools.count()).__next__)
    monkeypatch.setattr(loop, "time", clock)
    options = {"minutes": 0.2, "checkpoint_every": 1, "evaluate_every": 3}
    trainer = a_trainer(demo_file, tmp_path, **options)
    trainer.run()
    steps = [checkpoints.read(tmp_path / name)["progress"]["step"] for name in ("last.pt", "last-1.pt")]
    assert steps[0] == steps[1] + 1 == trainer.progress["step"] > 3 and trainer.stopped is None
    before = (tmp_path / "last.pt").read_bytes(), (tmp_path / "last-1.pt").read_bytes()
    again = a_trainer(demo_file, tmp_path, **options)
    again.go_on(checkpoints.read(tmp_path / "last.pt"))
    again.run()
    assert again.progress["step"] == steps[0]
    assert before == ((tmp_path / "last.pt").read_bytes(), (tmp_path / "last-1.pt").read_bytes())
