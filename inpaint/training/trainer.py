"""The training loop: one `Trainer`, from a Config to best.pt and last.pt.

All randomness is keyed by (seed, step) or (seed, epoch, image), see batches.py, so weights, optimizer and step suffice
to resume a run bit for bit. With several processes (torchrun) each takes its share of every batch, and rank 0 writes.
"""

import contextlib
import copy
import dataclasses
import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from data_prep.errors import InputError
from data_prep.files import write_json
from data_prep.printing import printable
from data_prep.progress import Progress
from data_prep.recognise import CONFIG
from data_prep.version import commit
from inpaint import checkpoints
from inpaint.config import Config
from inpaint.dataset import Photos
from inpaint.evaluation.scoring import score
from inpaint.processes import agreed, another_died, fail_together, from_rank_0, multiplies_bfloat16, told_once
from inpaint.shares import all_gathered, rank_and_world
from inpaint.training import run
from inpaint.training.batches import Augmentation, Batch, Batches
from inpaint.training.learner import Learner, learning_rate
from inpaint.training.loading import WorkerFailed, loader
from inpaint.training.log import Log
from models import build
from models.config import ModelOptions

MAX_BAD_STEPS = 20
LOG_EVERY = 20  # steps


class Trainer:
    """Trains one model into a run folder. Nothing is written before `run`.

    Args:
      config: the run's options; `data` and `out` must be set.
      device: where to train.

    Attributes:
      progress: step, seconds, best (nats per image on val, inf before the first evaluation), skipped (number of steps),
        and recent (nats of the steps since the last log entry).
      stopped: why `run` ended early; None if the training was completed.

    Raises: InputError for a file that cannot be used, or options that do not fit it.
    """

    def __init__(self, config: Config, device: torch.device):
        if config.precision is None:  # config.json keeps it for a resumed run
            precision = from_rank_0(lambda: "bf16" if multiplies_bfloat16(device) else "fp32")
            config = dataclasses.replace(config, precision=precision)
        self.config, self.device = config, device
        rank, world = rank_and_world()
        self.writes = rank == 0
        self.folder = Path(config.out)
        self.train = Photos(config.data, "train", config.binarize)
        has_val = self.train.info.splits["val"].n > 0
        self.val = Photos(self.train.info, "val", config.binarize) if has_val else None
        self.content = run.content_of(self.train.info)
        if any(theirs != self.content for theirs in all_gathered(self.content)):
            fail_together(f"{config.data}: the processes of this run were given different data")
        parts = world * config.accumulate
        if config.batch_size % parts:
            fail_together(f"batch size {config.batch_size} cannot be shared by {world} processes x {config.accumulate}")
        torch.manual_seed(config.seed)
        geometry = {"image_size": self.train.image_size, "hole": self.train.hole, "channels": self.train.channels}
        try:
            model = build(**geometry, **config.network())
        except ValueError as error:
            raise InputError(f"{config.data}: no model for its images: {error}") from error
        self.learner = Learner(model.to(device), config, device)
        self.batches = Batches(
            self.train,
            config.batch_size,
            config.seed,
            rank=rank,
            world=world,
            **{option.name: getattr(config, option.name) for option in dataclasses.fields(Augmentation)},
        )
        self.progress = {"step": 0, "seconds": 0.0, "best": math.inf, "skipped": 0, "recent": []}
        self.stop = run.Stop()
        self.stopped: str | None = None
        self.log: Log | None = None
        self.commit = commit()  # now, as the checkout may change before a save

    def begin(self) -> None:
        """Initialise from the checkpoint of `init_from`, if any."""
        if self.config.init_from:
            taken, fresh = checkpoints.take_over(self.learner.model, self.config.init_from)
            self.learner.averaged.load_state_dict(self.learner.model.state_dict())
            if self.writes:
                print(f"{printable(self.config.init_from)}: took over {len(taken)} weights")
                print(f"initialised afresh: {', '.join(fresh) or 'none'}")

    def go_on(self, saved: dict, allow_other_data: bool = False) -> list[str]:
        """Resume from a checkpoint.

        Returns: harmless differences, see `run.compare`.
        Raises: InputError if the run cannot resume from it with these options or data.
        """
        path = self.folder / "last.pt"
        with told_once():
            if "optimizer" not in saved:
                raise InputError(f"{path}: holds weights only; a run cannot continue from it")
            told = run.compare(path, saved, self.config, self.content, allow_other_data)
            self._restore(saved, path)
        if "val_sha256" in run.other_content(saved, self.content):
            self.progress["best"] = math.inf  # the old figure is of other photos
        return told

    def _restore(self, saved: dict, path: Path) -> None:
        model = self.learner.model
        theirs = {key.name: key.default for key in dataclasses.fields(ModelOptions)} | saved["model"]  # some are newer
        changed = [key for key, value in model.config.items() if theirs[key] != value]
        if changed:
            raise InputError(f"{path}: the checkpoint is of another model: {', '.join(changed)} differ")
        try:
            self.learner.restore(saved)
            self.progress = {key: type(value)(saved["progress"][key]) for key, value in self.progress.items()}
        except (RuntimeError, KeyError, ValueError, TypeError, AttributeError, IndexError, OverflowError) as error:
            raise InputError(f"{path}: damaged checkpoint: {str(error).splitlines()[0]}") from error

    def run(self, overwrite: bool = False) -> float:
        """Train to the end, or until a signal or a failed worker; saves in either case.

        Args: overwrite: whether files of other programs in the folder may be replaced.
        Returns: the best nats per image on val (inf without an evaluation).
        """
        self.stopped = None
        first = self._saved = self.progress["step"]
        if self.writes:
            write_json(self.folder / "config.json", self.config.to_dict(), CONFIG, overwrite)
        self._began = time.monotonic() - self.progress["seconds"]
        self._bad_in_a_row = 0
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.stop.on_signals())
            if self.writes:
                self.log = Log(self.folder, first, self.learner.model.likelihood.proper)
                stack.callback(self.log.close)
            feed = stack.enter_context(
                contextlib.closing(loader(self.batches, first, self.config.workers, self.stop.asked))
            )
            progress = Progress(self._total_steps(), "step", initial=first, shown=self.writes)
            self.shown = stack.enter_context(progress)
            stack.enter_context(self.learner.learning())
            self._loop(feed)
        return self.progress["best"]

    def _loop(self, feed: Iterator[Batch | None]) -> None:
        """Train, evaluate and save. A step is saved once, after its evaluation."""
        config, progress = self.config, self.progress
        while not self._over():
            with self._saved_if_another_dies():
                batch = self._next(feed)
                if agreed(float(self.stop.asked()), self.device):  # all processes stop after the same step
                    self.stopped = next(reason for reason in all_gathered(self.stop.reason) if reason)
                    break
                self._train(batch)
                self._tick()
            if self._over() or progress["step"] % config.evaluate_every == 0:
                self._evaluate(progress["step"])
                self._tick()
            if self._over() or progress["step"] % config.checkpoint_every == 0:
                self._checkpoint()
        self._checkpoint()

    def _next(self, feed: Iterator[Batch | None]) -> Batch | None:
        """The next batch; None, with a reason to stop, if there is none."""
        try:
            return next(feed)
        except (WorkerFailed, InputError) as error:  # or the photos can no longer be read
            self.stop.reason = self.stop.reason or str(error)
            return None

    def _train(self, batch: Batch) -> None:
        """One step and its log entry; counts steps without a finite gradient."""
        config, progress, step = self.config, self.progress, self.progress["step"]
        began = time.monotonic()
        total = self._total_steps()
        done = step / total if total else progress["seconds"] / (60 * config.minutes)
        rate = learning_rate(config, step, done)
        nats, norm = self.learner.step(batch, step, rate, done)
        if math.isfinite(nats) and math.isfinite(norm):
            self._bad_in_a_row = 0
            progress["recent"].append(nats)
        else:
            self._bad_in_a_row += 1
            progress["skipped"] += 1
            if self._bad_in_a_row >= MAX_BAD_STEPS:
                fail_together(
                    f"{self.folder}: training diverged: {self._bad_in_a_row} steps in a row gave no finite gradient; "
                    f"a lower --lr than {config.lr} may help"
                )
        progress["step"] = step + 1
        self.shown.update()
        if (step + 1) % LOG_EVERY == 0 and progress["recent"]:
            figures = {
                "gradient_norm": norm,
                "learning_rate": rate,
                "epoch": self.batches.epoch_of(step + 1),
                "images_per_second": config.batch_size / (time.monotonic() - began),
                "skipped_steps": progress["skipped"],
            }
            if self.learner.caption_loss is not None:
                figures["caption_loss"] = self.learner.caption_loss
            self._report(step + 1, float(np.mean(progress["recent"])), figures)
            progress["recent"].clear()

    def _report(self, step: int, nats: float, figures: dict[str, float]) -> None:
        if not self.writes:
            return
        self.log.training(step, self.train, nats, figures)
        self.shown.say(f"{nats:.1f} nats/image, {figures['images_per_second']:.0f} images/s")

    def _total_steps(self) -> int | None:
        """None if the run is limited by time."""
        config = self.config
        if config.minutes:
            return None
        return config.steps or math.ceil((config.epochs or 30) * len(self.train) / config.batch_size)

    def _over(self) -> bool:
        total = self._total_steps()
        return self.progress["step"] >= total if total else self.progress["seconds"] >= 60 * self.config.minutes

    def _tick(self) -> None:
        self.progress["seconds"] = agreed(time.monotonic() - self._began, self.device)

    def _evaluate(self, step: int) -> None:
        """Score the averaged weights on val, log, and save them if they are the best (or if there is no val split)."""
        if self.log:
            self.log.panel(step, self.val or self.train, self.learner.averaged)
        if self.val is None:
            self._save("best.pt")
            return
        indices = np.arange(min(self.config.val_limit, len(self.val)))
        captions = self.val.first_captions(indices)
        nats, images_per_second = score(self.learner.averaged, self.val, indices, captions, batch_size=64)
        mean = float(nats.mean())
        if not math.isfinite(mean):
            raise InputError(
                f"{self.folder}: step {step}: nats on val are {mean}: the run has diverged, use a lower --lr"
            )
        if self.log:
            self.log.validation(step, self.val, indices, mean, images_per_second)
            self.shown.write(f"step {step}: {mean:.2f} nats/image on {len(indices)} val images")
        if mean < self.progress["best"]:
            self.progress["best"] = mean
            self._save("best.pt")

    def _checkpoint(self) -> None:
        """Save last.pt, unless this step is saved; flush the log first, since a resumed run logs from this step on."""
        if self.progress["step"] > self._saved:
            if self.log:
                self.log.flush()
            self._save("last.pt", resumable=True)
            self._saved = self.progress["step"]

    def _save(self, name: str, resumable: bool = False) -> None:
        if not self.writes:
            return
        learner = self.learner
        checkpoint = {
            "model": learner.model.config,
            "weights": checkpoints.to_cpu(learner.model.state_dict()) if resumable else {},
            "averaged": checkpoints.to_cpu(learner.averaged.state_dict()),
            "config": self.config.to_dict(),
            "progress": copy.deepcopy(self.progress),
            "provenance": {
                **self.content,
                "torch": str(torch.__version__),
                **({"commit": self.commit} if self.commit else {}),
            },
        }
        if resumable:
            checkpoint |= learner.to_resume()
        checkpoints.save_keeping(self.folder / name, checkpoint, self.config.keep if resumable else 1)

    @contextlib.contextmanager
    def _saved_if_another_dies(self) -> Iterator[None]:
        """Save the weights if another process dies in this block."""
        try:
            yield
        except RuntimeError as error:
            if another_died(error):
                self._checkpoint()
            raise
