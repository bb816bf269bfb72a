"""The training loop: one `Trainer`, from a Config to best.pt and last.pt.

Everything random is keyed by (seed, step) or by (seed, epoch, image), see batches.py, so what a run needs to continue
is its weights, its optimizer and its step: `--resume` goes on bit for bit as if nothing had happened. With several
processes (torchrun) each takes its share of every batch, and one writes.
"""

import contextlib
import copy
import dataclasses
import gc
import math
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from data_prep.errors import InputError
from data_prep.files import write_json
from data_prep.printing import printable
from inpaint import checkpoints, provenance
from inpaint.batches import Batch, Batches, loader
from inpaint.config import Config
from inpaint.dataset import Photos
from inpaint.optimizer import Optimizer
from inpaint.panels import caption_text, image_panel
from inpaint.processes import multiplies_bfloat16
from inpaint.scoring import rank_and_world, score
from inpaint.units import bernoulli_floor, bits_per_dim, nats_per_pixel
from models import build

MAX_BAD_STEPS = 20
PANEL_IMAGES = 6


class Trainer:
    """Trains one model into a run folder.

    Args:
      config: the run's options; `data` and `out` must be set.
      resume: continue from last.pt in `config.out`.
      device: where to train.

    Raises: InputError for a file that cannot be used, or a run folder that is in use already.
    """

    def __init__(self, config: Config, device: torch.device, resume: bool = False):
        if config.precision is None:  # decided once: a resumed run reads it from config.json
            config = dataclasses.replace(config, precision="bf16" if multiplies_bfloat16(device) else "fp32")
        self.config, self.device = config, device
        self.rank, self.world = rank_and_world()
        self.folder = Path(config.out)
        self.train = Photos(config.data, "train", config.binarize)
        has_val = self.train.info.splits["val"].n > 0
        self.val = Photos(self.train.info, "val", config.binarize) if has_val else None
        parts = self.world * config.accumulate
        if config.batch_size % parts:
            raise InputError(
                f"batch size {config.batch_size} cannot be shared by {self.world} processes x {config.accumulate}"
            )
        torch.manual_seed(config.seed)
        geometry = {"image_size": self.train.image_size, "hole": self.train.hole, "channels": self.train.channels}
        try:
            self.model = build(**geometry, **config.model_options())
        except ValueError as error:
            raise InputError(f"{config.data}: no model for its images: {error}") from error
        last = self.folder / "last.pt"
        saved = checkpoints.read_to_resume(last) if resume else None
        if not resume and last.exists():
            raise InputError(f"{last}: this folder holds a run already; give --resume or another --out")
        if config.init_from and not resume:
            self._take_over(config.init_from)
        self.model.to(device)
        self.averaged = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.optimizer = Optimizer(
            self.model,
            config.lr,
            config.weight_decay,
            config.beta2,
            kind=config.optimizer,
            slow=self.model.caption_encoder,
            share=config.caption_lr,
        )
        self.progress = {"step": 0, "seconds": 0.0, "best": math.inf, "skipped": 0, "recent": []}
        if saved:
            self._restore(saved, last)
        self.batches = Batches(
            self.train,
            config.batch_size,
            config.seed,
            flip=config.flip,
            crop=config.crop,
            shift=config.shift,
            jitter=config.jitter,
            caption_dropout=config.caption_dropout,
            rank=self.rank,
            world=self.world,
        )
        self.network = self.model
        if self.world > 1:
            self.network = DistributedDataParallel(self.model, device_ids=[device] if device.type == "cuda" else None)
        if config.compile:
            self.network = torch.compile(self.network)
        self.stop_signal: str | None = None
        self.commit = provenance.commit()  # now: by the time of a save the checkout may have moved on

    def run(self) -> float:
        """Train to the end or to a signal; returns the best nats per image on val so far (inf where there is none)."""
        config = self.config
        self._writes() and write_json(self.folder / "config.json", config.to_dict())
        first = self.progress["step"]
        total = self._total_steps()
        started = time.monotonic() - self.progress["seconds"]
        bar = tqdm(total=total, initial=first, unit="step", disable=not self._writes(), smoothing=0.05)
        bad_in_a_row, recent = 0, self.progress["recent"]  # nats of the steps since the log was last written
        with self._log(first) as log, self._signals(), bar, self._letting_go():
            for step, batch in enumerate(loader(self.batches, first, config.workers), start=first):
                self.progress["seconds"] = self._agree(time.monotonic() - started)
                stopped = self._agree(float(self.stop_signal is not None)) > 0  # all processes end after the same step
                if self._finished(step, total) or stopped:
                    break
                began = time.monotonic()
                rate = self._schedule(step, total)
                with self._compiling():
                    nats, norm = self._step(batch.to(self.device), step, rate)
                if math.isfinite(nats) and math.isfinite(norm):
                    bad_in_a_row = 0
                    recent.append(nats)
                else:
                    bad_in_a_row += 1
                    self.progress["skipped"] += 1
                    if bad_in_a_row >= MAX_BAD_STEPS:
                        raise InputError(
                            f"{self.folder}: training diverged: {bad_in_a_row} steps in a row gave no finite gradient; "
                            f"a lower --lr than {config.lr} may help"
                        )
                done = step + 1
                self.progress["step"] = done
                bar.update()
                images_per_second = config.batch_size / (time.monotonic() - began)
                if done % 20 == 0 and recent:
                    mean = float(np.mean(recent))
                    recent.clear()
                    bar.set_postfix_str(f"{mean:.1f} nats/image, {images_per_second:.0f} images/s")
                    log and self._log_training(log, done, mean, norm, rate, images_per_second)
                if done % config.evaluate_every == 0:
                    self._evaluate(log, done)
                if done % config.checkpoint_every == 0:
                    self._checkpoint(log)
            if self.progress["step"] > first and self.progress["step"] % config.evaluate_every and not stopped:
                self._evaluate(log, self.progress["step"])
            self._checkpoint(log)
        return self.progress["best"]

    def _step(self, batch: Batch, step: int, rate: float) -> tuple[float, float]:
        """One optimizer step; returns nats per image over the global batch, and the gradient's norm."""
        config = self.config
        self.model.train()
        self.optimizer.set_lr(rate)
        self.model.zero_grad(set_to_none=True)
        _, _, h, w = self.train.hole
        share = len(batch.captions) // config.accumulate
        total = 0.0
        for part in range(config.accumulate):
            torch.manual_seed(_mixed(config.seed, step, part, self.rank))  # dropout, keyed like everything else
            rows = slice(part * share, (part + 1) * share)
            last = part == config.accumulate - 1
            sync = contextlib.nullcontext() if self.world == 1 or last else self.network.no_sync()
            with sync:
                with torch.autocast(self.device.type, torch.bfloat16, enabled=config.precision == "bf16"):
                    log_prob = self.network(
                        batch.border[rows],
                        batch.center[rows],
                        batch.captions[rows],
                        known=batch.known[rows],
                    )  # (share, 3, h, w)
                nats = -log_prob.sum() / (share * config.accumulate)  # per image, over this process's images
                (nats / (h * w)).backward()
            total += nats.item()
        total = self._agree(total, mean=True)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), config.clip_norm or math.inf).item()
        if math.isfinite(total) and math.isfinite(norm):
            self.optimizer.step()
            self._average(step)
        return total, norm

    def _average(self, step: int) -> None:
        decay = min(self.config.ema_decay, (1 + step) / (10 + step))
        with torch.no_grad():
            mine, theirs = list(self.averaged.parameters()), list(self.model.parameters())
            torch._foreach_lerp_(mine, theirs, 1 - decay)

    def _schedule(self, step: int, total: int | None) -> float:
        """The learning rate of a step: a linear warm-up, then a cosine to a hundredth, or constant."""
        config = self.config
        rise = min(1.0, (step + 1) / (config.warmup + 1))
        if config.schedule == "constant":
            return config.lr * rise
        done = step / total if total else self.progress["seconds"] / (60 * config.minutes)
        return config.lr * rise * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))

    def _total_steps(self) -> int | None:
        """None where the clock decides."""
        config = self.config
        if config.minutes:
            return None
        return config.steps or math.ceil((config.epochs or 30) * len(self.train) / config.batch_size)

    def _finished(self, step: int, total: int | None) -> bool:
        return step >= total if total else self.progress["seconds"] >= 60 * self.config.minutes

    def _evaluate(self, log: SummaryWriter | None, step: int) -> None:
        """Score the averaged weights on val, log figures and panels, keep the best; without a val split, the latest."""
        if log:
            photos = self.val or self.train
            shown = np.arange(min(PANEL_IMAGES, len(photos)))
            log.add_image("panel/original_border_samples_mean", image_panel(self.averaged, photos, shown), step)
            log.add_text("panel/captions", caption_text(photos, shown), step)
        if self.val is None:
            self._save("best.pt", resumable=False)
            return
        indices = np.arange(min(self.config.val_limit, len(self.val)))
        captions = self.val.first_captions(indices)
        nats, images_per_second = score(self.averaged, self.val, indices, captions, batch_size=64)
        mean = float(nats.mean())
        if log:
            log.add_scalar("val/nats_per_image", mean, step)
            log.add_scalar("val/nats_per_pixel", nats_per_pixel(mean, self.val.hole), step)
            if self.model.likelihood.proper:
                log.add_scalar("val/bits_per_dim", bits_per_dim(mean, self.val.hole, self.val.channels), step)
            else:
                floor = float(bernoulli_floor(self.val.images(indices)[1][:, : self.val.channels]).mean())
                log.add_scalar("val/excess_nats_per_image", mean - floor, step)
            log.add_scalar("val/images_per_second", images_per_second, step)
            tqdm.write(f"step {step}: {mean:.2f} nats/image on {len(indices)} val images", file=sys.stderr)
        if mean < self.progress["best"]:
            self.progress["best"] = mean
            self._save("best.pt", resumable=False)

    def _log_training(self, log, step: int, nats: float, norm: float, rate: float, images_per_second: float) -> None:
        log.add_scalar("train/nats_per_image", nats, step)
        log.add_scalar("train/nats_per_pixel", nats_per_pixel(nats, self.train.hole), step)
        if self.model.likelihood.proper:
            log.add_scalar("train/bits_per_dim", bits_per_dim(nats, self.train.hole, self.train.channels), step)
        log.add_scalar("train/gradient_norm", norm, step)
        log.add_scalar("train/learning_rate", rate, step)
        log.add_scalar("train/epoch", self.batches.epoch_of(step), step)
        log.add_scalar("train/images_per_second", images_per_second, step)
        log.add_scalar("train/skipped_steps", self.progress["skipped"], step)

    def _checkpoint(self, log: SummaryWriter | None) -> None:
        """Save what a run continues from, after the log up to here: a resumed run writes on from this step."""
        log and log.flush()
        self._save("last.pt")

    def _save(self, name: str, resumable: bool = True) -> None:
        if not self._writes():
            return
        checkpoint = {
            "model": self.model.config,
            "weights": checkpoints.to_cpu(self.model.state_dict()) if resumable else {},
            "averaged": checkpoints.to_cpu(self.averaged.state_dict()),
            "config": self.config.to_dict(),
            "progress": copy.deepcopy(self.progress),
            "provenance": {
                "data_sha256": self.train.info.splits["train"].sha256,
                "torch": str(torch.__version__),
                **({"commit": self.commit} if self.commit else {}),
            },
        }
        if resumable:
            checkpoint["optimizer"] = self.optimizer.state_dict()
        checkpoints.save_keeping(self.folder / name, checkpoint, self.config.keep if resumable else 1)

    def _restore(self, saved: dict, path: Path) -> None:
        if "optimizer" not in saved:
            raise InputError(f"{path}: holds weights only; a run cannot continue from it")
        if checkpoints.binarize_of(saved) != self.config.binarize:
            raise InputError(f"{path}: the run's images were binarized in another way; its nats would not compare")
        if saved["model"] != self.model.config:
            changed = [key for key, value in self.model.config.items() if saved["model"].get(key) != value]
            raise InputError(f"{path}: the checkpoint is of another model: {', '.join(changed)} differ")
        try:
            self.model.load_state_dict(saved["weights"])
            self.averaged.load_state_dict(saved["averaged"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.progress = {key: type(value)(saved["progress"][key]) for key, value in self.progress.items()}
        except (RuntimeError, KeyError, ValueError, TypeError, AttributeError, IndexError, OverflowError) as error:
            raise InputError(f"{path}: damaged checkpoint: {str(error).splitlines()[0]}") from error

    def _take_over(self, path: str) -> None:
        taken, fresh = checkpoints.take_over(self.model, path)
        if self._writes():
            print(f"{printable(path)}: took over {len(taken)} weights: {', '.join(taken) or 'none'}")
            print(f"initialised afresh: {', '.join(fresh) or 'none'}")

    def _writes(self) -> bool:
        return self.rank == 0

    def _log(self, first: int):
        """The TensorBoard writer of the process that writes, None in the others. What an earlier run in this
        folder logged after step `first` is forgotten: it was killed before it saved."""
        if not self._writes():
            return contextlib.nullcontext(None)
        return SummaryWriter(self.folder, purge_step=first + 1)

    @contextlib.contextmanager
    def _letting_go(self):
        """DistributedDataParallel is gone before the group of processes is: were it the last to hold the group, that
        would be torn down under Python's lock, for which gloo's threads may be waiting, and hang now and then."""
        try:
            yield
        finally:
            self.network = self.model
            gc.collect()

    @contextlib.contextmanager
    def _compiling(self):
        """What torch.compile cannot do (no compiler, a compiled file that a kill cut short) is one clear line."""
        if not self.config.compile:
            yield
            return
        from torch._dynamo.exc import TorchDynamoException  # takes a second to load

        try:
            yield
        except TorchDynamoException as error:
            reason = [line for line in str(error).splitlines() if line.strip()][0]
            raise InputError(f"{self.folder}: --compile: torch could not compile the network: {reason}") from error

    @contextlib.contextmanager
    def _signals(self):
        """Ctrl-C and SIGTERM end the loop after the step at hand, so that the run is saved and can be resumed."""

        def remember(number, frame):
            self.stop_signal = signal.Signals(number).name

        before = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _agree(self, value: float, mean: bool = False) -> float:
        """One value for all processes: their mean, or the largest."""
        if self.world == 1:
            return value
        tensor = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.all_reduce(tensor, dist.ReduceOp.SUM if mean else dist.ReduceOp.MAX)
        return tensor.item() / (self.world if mean else 1)


def _mixed(*key: int) -> int:
    """A 63-bit seed for torch from several small numbers."""
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1)
