"""Training with --masks mixed: nats per unknown pixel of the global batch, and the same however it is computed."""

import os

import numpy as np
import pytest
import torch
from test_training import assert_same, weights
from torch import nn
from training_commands import TORCHRUN, command, run

from data_prep.errors import InputError
from data_prep.hole import channels_first
from inpaint import checkpoints
from inpaint.commands import train
from inpaint.config import Config
from inpaint.dataset import Photos
from inpaint.training import learner as learning
from inpaint.training.batches import Batch, Batches
from inpaint.training.learner import Learner
from inpaint.training.trainer import Trainer
from models import build

CPU = torch.device("cpu")
HOLE = (1, 1, 2, 3)
MIXED = {"size": "xs", "batch_size": 8, "dropout": 0.0, "precision": "fp32", "clip_norm": 0.0, "masks": "mixed"}


class Weighted(nn.Module):
    """A model of one number w: an unknown sub-pixel of image k costs w (k + 1) nats."""

    caption_encoder, hole = None, HOLE

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(1.0))

    def forward(self, border, center, captions, known):
        factors = torch.tensor([float(caption) for caption in captions])[:, None, None, None]
        nats = self.weight * factors * torch.ones(center.shape)
        return -nats.masked_fill(known[channels_first(HOLE)], 0)


def by_hand():
    """Four images with 1, 3, 6 and 2 unknown pixels of 6; one more is unknown outside the hole."""
    known = torch.ones(4, 1, 4, 5, dtype=torch.bool)
    for image, count in enumerate((1, 3, 6, 2)):
        for pixel in range(count):
            known[image, 0, 1 + pixel // 3, 1 + pixel % 3] = False
    known[:, :, 3, 4] = False
    pixels = torch.zeros(4, 3, 4, 5, dtype=torch.uint8)
    return Batch(pixels, pixels[:, :, :2, :3], ["1", "2", "3", "4"], known)


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_the_loss_is_the_sum_of_nats_over_the_number_of_unknown_pixels(parts):
    """3 (1 x 1 + 2 x 3 + 3 x 6 + 4 x 2) nats over 12 pixels; as nats of a whole hole of 6 pixels, 49.5."""
    model = Weighted()
    learner = Learner(model, Config(**{**MIXED, "accumulate": parts}), CPU)
    nats = learner._gradients(by_hand(), 0)
    assert model.weight.grad.item() == pytest.approx(99 / 12) and nats == pytest.approx(49.5)


def test_the_unknown_pixels_of_all_processes_are_counted(monkeypatch):
    """Of two processes each has half of the images; their gradients' mean is the whole batch's."""
    batch, gradients, nats = by_hand(), [], []
    rows = [slice(0, 4, 2), slice(1, 4, 2)]
    halves = [Batch(batch.border[r], batch.center[r], batch.captions[r], batch.known[r]) for r in rows]
    shares = [float((~half.known[channels_first(HOLE)]).float().mean()) for half in halves]
    given = []

    def agreed(value, device, mean=False):
        assert mean
        given.append(value)
        return sum(shares) / 2

    monkeypatch.setattr(learning, "agreed", agreed)
    for half in halves:
        model = Weighted()
        nats.append(Learner(model, Config(**{**MIXED, "batch_size": 2}), CPU)._gradients(half, 0))
        gradients.append(model.weight.grad.item())
    assert given == pytest.approx([7 / 12, 5 / 12])
    assert np.mean(gradients) == pytest.approx(99 / 12) and np.mean(nats) == pytest.approx(49.5)


def test_gradients_of_boxes_are_the_same_bits_as_nats_per_image_over_the_hole(demo_file):
    torch.manual_seed(0)
    model = build(size="xs", dropout=0.0, likelihood="gaussian")
    batch = Batches(Photos(demo_file, "train"), 4, 0, shift=4)[0]
    Learner(model, Config(size="xs", batch_size=4, precision="fp32"), CPU)._gradients(batch, 0)
    found = {name: weight.grad for name, weight in model.named_parameters()}
    model.zero_grad()
    log_prob = model(batch.border, batch.center, batch.captions, known=batch.known)
    (-log_prob.sum() / 4 / (32 * 32)).backward()
    for name, weight in model.named_parameters():
        assert (found[name] is None and weight.grad is None) or torch.equal(found[name], weight.grad), name


def a_trainer(demo_file, folder, **options):
    small = {**MIXED, "likelihood": "gaussian", "steps": 6, "val_limit": 4, "warmup": 2, "evaluate_every": 6}
    return Trainer(Config(data=str(demo_file), out=str(folder), **{**small, **options}), CPU)


def test_a_masked_batch_in_parts_gives_the_whole_one_s_gradient(demo_file, tmp_path):
    found = []
    for parts in (1, 4):
        trainer = a_trainer(demo_file, tmp_path / str(parts), accumulate=parts)
        nats, norm = trainer.learner.step(trainer.batches[0], 0, 1e-3)
        found.append((nats, norm))
    assert found[0] == pytest.approx(found[1], rel=1e-4)


def test_a_masked_run_that_was_stopped_and_resumed_equals_one_that_never_was(demo_file, tmp_path):
    options = {"dropout": 0.25, "use_captions": True}
    whole = a_trainer(demo_file, tmp_path / "whole", **options)
    whole.run()
    first, step = a_trainer(demo_file, tmp_path / "two", **options), 3
    train = first._train

    def until(batch):
        train(batch)
        if first.progress["step"] == step:
            first.stop.reason = "enough"

    first._train = until
    first.run()
    assert first.stopped == "enough"
    saved = checkpoints.read_to_resume(tmp_path / "two" / "last.pt")
    assert saved["progress"]["step"] == step
    with pytest.raises(InputError, match="masks"):
        a_trainer(demo_file, tmp_path / "two", **{**options, "masks": "box"}).go_on(saved)
    second = a_trainer(demo_file, tmp_path / "two", **options)
    second.go_on(saved)
    second.run()
    for key in ("weights", "averaged"):
        assert_same(weights(tmp_path / "two", key=key), weights(tmp_path / "whole", key=key))


def test_two_processes_train_with_masks_as_one_does(demo_file, tmp_path):
    options = ("--dropout", "0", "--optimizer", "adamw", "--masks", "mixed", "--steps", "4", "--evaluate-every", "4")
    done = run(command(demo_file, tmp_path, *options, launcher=TORCHRUN), env=dict(os.environ, OMP_NUM_THREADS="1"))
    assert done.returncode == 0, done.stderr
    alone = tmp_path / "alone"
    train.main(command(demo_file, alone, *options)[2:])
    assert_same(weights(tmp_path), weights(alone), atol=2e-4, rtol=1e-2)


def test_val_and_the_panels_stay_on_the_whole_box(demo_file, tmp_path):
    trainer = a_trainer(demo_file, tmp_path)
    assert trainer.batches.augmentation.masks == "mixed"
    assert trainer.val.masks == trainer.train.masks == "box"
