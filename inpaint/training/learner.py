"""One step of training: the batch's gradients, clipped; the optimizer; the average of the weights over the steps.

The averaged weights are those that are evaluated and filled with. Their decay rises with the steps, as (1 + step) /
(10 + step) up to `ema_decay`, so that the initial weights are soon forgotten. torch's AveragedModel is not used: it
copies at its first update, counts updates and not the run's steps, and renames the weights in checkpoints.
"""

import contextlib
import copy
import gc
import math

import numpy as np
import torch
from torch.nn.parallel import DistributedDataParallel

from data_prep.errors import InputError
from inpaint.checkpoints import to_cpu
from inpaint.config import Config
from inpaint.processes import agreed
from inpaint.shares import rank_and_world
from inpaint.training.batches import Batch
from inpaint.training.caption_colors import WithColors
from inpaint.training.optimizer import Optimizer
from models import Inpainter
from models.caption_sets import keep_out_of_compilation
from models.inputs import at_hole


class Learner:
    """A model that learns.

    Args:
      model: on its device already. config: the run's options.

    Attributes:
      model: the weights that the optimizer steps. averaged: their average, a model in eval mode.
      beside: the layer that the auxiliary loss trains beside the model (caption_colors.py); None without it.
      caption_loss: of the last step, without its weight; None without it.
    """

    def __init__(self, model: Inpainter, config: Config, device: torch.device):
        self.config, self.device, self.model = config, device, model
        self.rank, self.world = rank_and_world()
        self.averaged = copy.deepcopy(model).eval().requires_grad_(False)
        with_colors = WithColors(model) if config.caption_loss else None
        self.beside = with_colors and with_colors.colors
        self.caption_loss: float | None = None
        self._trained: torch.nn.Module = with_colors or model
        self.optimizer = Optimizer(
            self._trained,
            config.lr,
            config.weight_decay,
            config.beta2,
            kind=config.optimizer,
            slow=model.caption_encoder,
            lr_scale=config.caption_lr,
        )
        self._network = self._trained

    def to_resume(self) -> dict:
        """What a checkpoint holds beside the model's weights, for `restore`."""
        state = {"optimizer": self.optimizer.state_dict()}
        return state if self.beside is None else {**state, "beside": to_cpu(self.beside.state_dict())}

    def restore(self, saved: dict) -> None:
        """Take over the state in a checkpoint. Raises as torch does, or KeyError, if it does not fit."""
        self.model.load_state_dict(saved["weights"])
        self.averaged.load_state_dict(saved["averaged"])
        self.optimizer.load_state_dict(saved["optimizer"])
        if self.beside is not None:
            self.beside.load_state_dict(saved["beside"])

    @contextlib.contextmanager
    def learning(self):
        """Wrap the network for several processes and compile it, as the options say, for this block.

        DistributedDataParallel is released before the process group: if it held the last reference, the group would be
        destroyed under Python's lock, which gloo's threads may wait for, and could hang.
        """
        try:
            if self.world > 1:
                ids = [self.device] if self.device.type == "cuda" else None
                self._network = DistributedDataParallel(self._trained, device_ids=ids)
            if self.config.compile:
                keep_out_of_compilation(self.model)
                self._network = torch.compile(self._network)
            yield
        finally:
            self._network = self._trained
            gc.collect()

    def step(self, batch: Batch, step: int, rate: float, done: float = 0.0) -> tuple[float, float]:
        """One optimizer step at learning rate `rate`; skipped if the gradient is not finite.

        Args: done: share of the training before it, 0 to 1.

        Returns: (nats per image over the global batch, under masks as `_gradients` scales them; norm of the gradient
          before clipping).
        """
        self._trained.train()
        self.optimizer.set_lr(rate)
        self._trained.zero_grad(set_to_none=True)
        with self._compiling():
            nats = agreed(self._gradients(batch.to(self.device), step, done), mean=True, device=self.device)
        limit = self.config.clip_norm or math.inf
        norm = torch.nn.utils.clip_grad_norm_(self._trained.parameters(), limit).item()
        if math.isfinite(nats) and math.isfinite(norm):
            self.optimizer.step()
            self._average(step)
        return nats, norm

    def _gradients(self, batch: Batch, step: int, done: float = 0.0) -> float:
        """Accumulate the gradients of the batch's parts, of nats per unknown pixel of the global batch, and of the
        auxiliary loss.

        Returns: nats per image of this process's images, as they would be with the whole hole unknown.
        """
        config = self.config
        h, w = batch.center.shape[2:]
        share = self._unknown_share(batch)
        images = len(batch.captions) // config.accumulate  # of a part
        total = colors_off = 0.0
        for part in range(config.accumulate):
            torch.manual_seed(_mixed(config.seed, step, part, self.rank))  # dropout, keyed like everything else
            rows = slice(part * images, (part + 1) * images)
            last = part == config.accumulate - 1
            sync = contextlib.nullcontext() if self.world == 1 or last else self._network.no_sync()
            with sync:
                with torch.autocast(self.device.type, torch.bfloat16, enabled=config.precision == "bf16"):
                    found = self._network(
                        batch.border[rows],
                        batch.center[rows],
                        batch.captions[rows],
                        known=batch.known[rows],
                    )
                log_prob, off = (found, None) if self.beside is None else found  # (images, 3, h, w), ()
                nats = -log_prob.sum() / (images * config.accumulate) / share  # per image
                loss = nats / (h * w)
                if off is not None:
                    loss = loss + config.caption_loss * max(0.0, 1 - done) * off / config.accumulate
                    colors_off += off.item() / config.accumulate
                loss.backward()
            total += nats.item()
        self.caption_loss = None if self.beside is None else colors_off
        return total

    def _unknown_share(self, batch: Batch) -> float:
        """Unknown pixels of the global batch's holes over all of them; the processes have equally many images."""
        if self.config.masks == "box":
            return 1.0
        unknown = ~at_hole(batch.known, self.model.hole)
        return agreed(unknown.sum().item() / unknown.numel(), mean=True, device=self.device)

    def _average(self, step: int) -> None:
        with torch.no_grad():
            mine, theirs = list(self.averaged.parameters()), list(self.model.parameters())
            torch._foreach_lerp_(mine, theirs, 1 - decay_of(step, self.config.ema_decay))

    @contextlib.contextmanager
    def _compiling(self):
        """Turn failures of torch.compile (no compiler, a truncated cache) into InputError."""
        if not self.config.compile:
            yield
            return
        from torch._dynamo.exc import TorchDynamoException  # takes a second to load

        try:
            yield
        except TorchDynamoException as error:
            reason = [line for line in str(error).splitlines() if line.strip()][0]
            raise InputError(f"--compile: torch could not compile the network: {reason}") from error


def decay_of(step: int, most: float) -> float:
    """How much of the average stays in `step`, counted from 0."""
    return min(most, (1 + step) / (10 + step))


def learning_rate(config: Config, step: int, done: float) -> float:
    """The learning rate of a step: a linear warm-up, then a cosine to a hundredth, or constant.

    torch's schedulers count steps; here the share that is done may be one of time.

    Args: step: counted from 0. done: share of the training before it, 0 to 1.
    """
    rate = config.lr * min(1.0, (step + 1) / (config.warmup + 1))
    if config.schedule == "constant":
        return rate
    return rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))


def _mixed(*key: int) -> int:
    """A 63-bit seed for torch from several small numbers."""
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0]) >> 1
