"""What training computes, against values that were worked out by hand: the average, the learning rate, a clipped norm,
which step best.pt holds. And each random choice of augmentation is another one in another epoch.
"""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from inpaint import checkpoints
from inpaint.config import Config
from inpaint.dataset import Photos
from inpaint.evaluation.scoring import score
from inpaint.training import trainer as loop
from inpaint.training.batches import Batches
from inpaint.training.learner import Learner, learning_rate
from inpaint.training.trainer import Trainer

CPU = torch.device("cpu")


def a_trainer(demo_file, folder, **options):
    small = {"size": "xs", "batch_size": 4, "steps": 4, "val_limit": 4, "precision": "fp32", "warmup": 0}
    return Trainer(Config(data=str(demo_file), out=str(folder), **{**small, **options}), CPU)


class Scale(nn.Module):
    """A model of one number: its log_prob is minus `slope` times that number, for each sub-pixel."""

    caption_encoder = None

    def __init__(self, *weights, slope=1.0):
        super().__init__()
        self.weight, self.slope = nn.Parameter(torch.tensor(weights)), torch.tensor(slope)

    def forward(self, border, center, captions, known):
        return -(self.slope * self.weight).sum() * torch.ones(center.shape)


class Replaced:
    """An optimizer whose step puts given values in place of the weights, and keeps the gradient that it saw."""

    def __init__(self, model, values=()):
        self.model, self.values, self.rates, self.gradients = model, list(values), [], []

    def set_lr(self, rate):
        self.rates.append(rate)

    def step(self):
        self.gradients.append(self.model.weight.grad.clone())
        if self.values:
            self.model.weight.data = torch.tensor([self.values.pop(0)])


def a_batch(demo_file):
    return Batches(Photos(demo_file, "train"), 2, 0)[0]


def test_the_average_after_three_steps(demo_file):
    """Decays 1/10, 2/11, 3/12 on weights 1, 2, 4."""
    model = Scale(0.0)
    learner = Learner(model, Config(ema_decay=0.998, precision="fp32"), CPU)
    learner.optimizer = Replaced(model, [1.0, 2.0, 4.0])
    averages = []
    for step in range(3):
        learner.step(a_batch(demo_file), step, 1.0)
        averages.append(learner.averaged.weight.item())
    assert averages == pytest.approx([0.9, 1.8, 3.45])
    assert model.weight.item() == 4.0


def test_the_average_never_stays_longer_than_its_option_says(demo_file):
    """At step 100,000 the rising decay would be 0.99991; the option's 0.5 holds."""
    model = Scale(0.0)
    learner = Learner(model, Config(ema_decay=0.5, precision="fp32"), CPU)
    learner.optimizer = Replaced(model, [8.0])
    learner.step(a_batch(demo_file), 100_000, 1.0)
    assert learner.averaged.weight.item() == pytest.approx(4.0)


def test_the_learning_rate_of_each_step():
    """Four steps, the rate rises over the first two."""
    config = Config(lr=0.3, warmup=2, schedule="cosine")
    rates = [learning_rate(config, step, step / 4) for step in range(4)]
    cosine = [1.0, 0.01 + 0.495 * (1 + math.sqrt(0.5)), 0.505, 0.01 + 0.495 * (1 - math.sqrt(0.5))]
    assert rates == pytest.approx([0.1 * cosine[0], 0.2 * cosine[1], 0.3 * cosine[2], 0.3 * cosine[3]])
    assert learning_rate(config, 4, 1.0) == pytest.approx(0.003) == learning_rate(config, 9, 1.5)
    constant = Config(lr=0.3, warmup=2, schedule="constant")
    assert [learning_rate(constant, step, step / 4) for step in range(4)] == pytest.approx([0.1, 0.2, 0.3, 0.3])


def test_a_run_steps_at_these_rates(demo_file, tmp_path):
    trainer = a_trainer(demo_file, tmp_path, lr=0.3, warmup=2, steps=4)
    rates, set_lr = [], trainer.learner.optimizer.set_lr
    trainer.learner.optimizer.set_lr = lambda rate: (rates.append(rate), set_lr(0.0))
    trainer.run()
    assert rates == pytest.approx([0.1, 0.170992, 0.1515, 0.0464962], rel=1e-4)


def test_the_gradient_is_clipped_to_its_norm_and_the_norm_before_is_reported(demo_file):
    """nats per pixel = 3 sub-pixels x (1 x a + 4/3 x b): gradient (3, 4), norm 5."""
    for limit, expected in ((1.0, [0.6, 0.8]), (2.5, [1.5, 2.0]), (6.0, [3.0, 4.0]), (0.0, [3.0, 4.0])):
        model = Scale(0.0, 0.0, slope=[1.0, 4 / 3])
        learner = Learner(model, Config(clip_norm=limit, precision="fp32"), CPU)
        learner.optimizer = Replaced(model)
        _, norm = learner.step(a_batch(demo_file), 0, 1.0)
        assert norm == pytest.approx(5.0)
        assert learner.optimizer.gradients[0].tolist() == pytest.approx(expected, rel=1e-4)


def test_nats_are_those_of_an_image_and_the_gradient_that_of_a_pixel(demo_file):
    """Each of the 3,072 sub-pixels costs 2 nats; the gradient of nats per pixel is 3."""
    model = Scale(2.0)
    learner = Learner(model, Config(clip_norm=0.0, precision="fp32"), CPU)
    learner.optimizer = Replaced(model)
    nats, norm = learner.step(a_batch(demo_file), 0, 1.0)
    assert nats == pytest.approx(6144.0) and norm == pytest.approx(3.0)


def test_best_pt_is_of_the_best_evaluation_not_of_the_latest(demo_file, tmp_path, monkeypatch):
    """Evaluations of 5, 3, 4 and 3 nats: best.pt is of the second."""
    nats = iter([5.0, 3.0, 4.0, 3.0])
    monkeypatch.setattr(loop, "score", lambda *words, **options: (np.full(4, next(nats)), 1.0))
    trainer = a_trainer(demo_file, tmp_path, evaluate_every=1, steps=4)
    assert trainer.run() == 3.0
    best, last = (checkpoints.read(tmp_path / name)["progress"] for name in ("best.pt", "last.pt"))
    assert (best["step"], best["best"]) == (2, 3.0) and (last["step"], last["best"]) == (4, 3.0)


def test_the_averaged_weights_are_evaluated_and_stored_as_such(demo_file, tmp_path):
    """Scored anew, best.pt's averaged weights give the logged nats; the raw ones give others."""
    trainer = a_trainer(demo_file, tmp_path, steps=6, evaluate_every=6, lr=3e-3)
    nats = trainer.run()
    best, last = (checkpoints.read(tmp_path / name) for name in ("best.pt", "last.pt"))
    photos = Photos(demo_file, "val")
    indices = np.arange(4)
    kinds = [(best, "averaged"), (last, "averaged"), (last, "weights")]
    models = [checkpoints.rebuild(checkpoint, "a run", kind).eval() for checkpoint, kind in kinds]
    scored = [score(model, photos, indices, photos.first_captions(indices))[0].mean() for model in models]
    assert scored[:2] == pytest.approx([nats, nats], abs=1e-6) and abs(scored[2] - nats) > 0.1
    logged = EventAccumulator(str(tmp_path)).Reload().Scalars("val/nats_per_image")
    assert [event.value for event in logged] == pytest.approx([nats])
    for name, value in trainer.learner.model.state_dict().items():
        assert torch.equal(last["weights"][name], value), name


@pytest.mark.parametrize(
    "option", [{"flip": True}, {"crop": 0.6}, {"shift": 6}, {"jitter": 0.3}, {"caption_dropout": 0.5}, {}]
)
def test_augmentation_is_another_one_in_each_epoch_and_for_each_image(demo_file, option):
    """{}: which caption an image brings."""
    photos = Photos(demo_file, "train")
    none = {"flip": False, "crop": 1.0, "shift": 0, "jitter": 0.0, "caption_dropout": 0.0}
    batches = Batches(photos, len(photos), 3, **{**none, **option})
    kept = "captions" if option.keys() <= {"caption_dropout"} else "pixels"
    epochs = []  # image -> what becomes of it, one for each epoch
    for epoch in range(4):
        batch, members = batches[epoch], batches.members(epoch)
        rows = [(text,) for text in batch.captions] if kept == "captions" else pixels_of(batch)
        epochs.append({image: row for (_, image), row in zip(members, rows, strict=True)})
    for before, after in pairwise(epochs):
        changed = sum(before[image] != after[image] for image in before)
        assert changed > len(photos) / 4  # a mirrored photo comes again every other time
    if option:
        assert len({draw_of(epochs[0][image], photos, image, kept) for image in epochs[0]}) > 1


def pixels_of(batch):
    return [
        (border.numpy().tobytes(), center.numpy().tobytes(), known.numpy().tobytes())
        for border, center, known in zip(batch.border, batch.center, batch.known, strict=True)
    ]


def draw_of(row, photos, image, kept):
    """Something of what was drawn for an image that does not depend on its content."""
    if kept == "captions":
        return row == ("",)
    border, center = photos.images([image])
    plain = (border.numpy().tobytes(), center.numpy().tobytes())
    mean = [np.frombuffer(part, np.uint8).mean() for part in (row[1], plain[1])]
    return row[:2] == plain, row[2], round(mean[0] / mean[1], 2)


def test_dropout_is_another_one_in_each_step_and_the_same_when_a_step_is_done_again(demo_file, tmp_path):
    """A sibling of the augmentation's: what a resumed run draws is what the run would have drawn."""
    trainer = a_trainer(demo_file, tmp_path, dropout=0.5)
    batch, learner = trainer.batches[0], trainer.learner
    for parameter in learner.model.parameters():  # the output begins at zero, whatever is dropped
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
    learner.model.train()
    nats = [learner._gradients(batch, step) for step in (0, 1, 2, 1)]
    assert len(set(nats)) == 3 and nats[1] == nats[3]
