"""Checkpoints: tensors and plain values only, so that loading never runs code; written atomically.

A checkpoint is a dict with `schema`, `model` (the arguments of `models.build`), `weights`, `averaged`, `config` (the
run's options), `progress`, `provenance`, and in last.pt, to resume from, also `optimizer` and, with an auxiliary loss,
`beside` (caption_colors.py). It also loads with `weights_only=True`; this program reads it with torch_file.py, which is
stricter.
"""

import os
import shutil
from pathlib import Path

import torch

from data_prep.errors import InputError
from data_prep.files import replacing
from inpaint import hub, torch_file, weights_file
from inpaint.checkpoint_schema import SCHEMA, check, upgraded
from inpaint.dataset import BINARIZATIONS
from inpaint.processes import pick_device
from models import Inpainter, build

LARGEST_TABLES = 2**30  # bytes of buffers that `build` computes and checkpoints do not store
READ_THE_MAP = ("head.layers.0.weight", "head.layers.2.weight", "head.out.weight")  # layers that the map may enter


class Checkpoint(dict):
    """A checkpoint's contents; `sha256` is the file's hash, in hexadecimal."""

    sha256: str


class _Writer:
    """File for torch.save, which hides a failed write behind an error of its own: keeps the first OSError."""

    def __init__(self, file):
        self.file, self.error = file, None

    def write(self, data) -> int:
        if self.error is None:
            try:
                self.file.write(data)
            except OSError as error:
                self.error = error
        return memoryview(data).nbytes

    def flush(self) -> None:
        pass


def save(path: str | Path, checkpoint: dict) -> None:
    """Write a checkpoint atomically: a kill or a full disk leaves the previous file.

    Raises: InputError if it cannot be written.
    """
    with replacing(path) as temporary, open(temporary, "wb") as file:
        writer = _Writer(file)
        torch.save({"schema": SCHEMA, **checkpoint}, writer)
        if writer.error:
            raise writer.error  # `replacing` makes it an InputError


def earlier(path: str | Path, number: int) -> Path:
    """Path of the checkpoint saved `number` saves before `path`: last.pt -> last-1.pt."""
    path = Path(path)
    return path.with_name(f"{path.stem}-{number}{path.suffix}")


def save_keeping(path: str | Path, checkpoint: dict, keep: int) -> None:
    """`save`, and keep the `keep - 1` checkpoints before it; `path` is a whole checkpoint at every moment."""
    path = Path(path)
    for number in reversed(range(1, keep - 1)):
        if earlier(path, number).exists():
            os.replace(earlier(path, number), earlier(path, number + 1))
    if keep > 1 and path.exists():
        with replacing(earlier(path, 1)) as temporary:
            shutil.copyfile(path, temporary)
    save(path, checkpoint)


def read_to_resume(path: str | Path) -> dict:
    """`read`; if the file is damaged, the InputError also names the newest earlier checkpoint that is whole."""
    try:
        return read(path)
    except InputError as error:
        number = 1
        while earlier(path, number).exists():
            if _is_whole(earlier(path, number)):
                raise InputError(f"{error}; {earlier(path, number)} is whole: copy it to {path} and resume") from None
            number += 1
        raise


def _is_whole(path: Path) -> bool:
    try:
        read(path)
    except InputError:
        return False
    return True


def read(path: str | Path) -> Checkpoint:
    """Read a checkpoint onto the CPU and convert it to the newest schema.

    Args:
      path: a file of `save`, exported weights, hf://owner/name on the Hugging Face Hub, or, where no file is called so,
        the name of weights of the package (photos, contour).

    Raises: InputError for a file that is missing, truncated, foreign, of an unknown schema, or that holds code, values
      of other types or weights that are not finite.
    """
    checkpoint, sha256 = torch_file.load(weights_file.located(hub.local(path)))
    try:
        check(checkpoint)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error
    found = Checkpoint(upgraded(checkpoint))
    found.sha256 = sha256
    return found


def binarize_of(checkpoint: dict) -> str | None:
    """How its training images were binarized; None if they were not."""
    binarize = checkpoint["config"].get("binarize")
    return binarize if binarize in BINARIZATIONS else None


def rebuild(checkpoint: dict, source: str | Path, weights: str = "averaged") -> Inpainter:
    """Build a checkpoint's model, with its `averaged` or its raw `weights`. Raises InputError if they do not fit."""
    try:
        with torch.random.fork_rng(devices=[]):  # initial weights must not advance the caller's generator
            with torch.device("meta"):
                _check_fit(build(**checkpoint["model"]), checkpoint[weights])
            model = build(**checkpoint["model"])
        model.load_state_dict(checkpoint[weights])
    except (TypeError, ValueError, RuntimeError, AttributeError, LookupError, ArithmeticError) as error:
        raise InputError(
            f"{source}: the checkpoint does not fit its model: {' '.join(str(error).split())[:200]}"
        ) from error
    return model


def _check_fit(model: Inpainter, weights: dict) -> None:
    """Raise ValueError unless `weights` has the names and shapes of a model built on the meta device."""
    wanted = model.state_dict()
    names = wanted.keys() ^ weights.keys()
    if names:
        name = min(names)
        raise ValueError(f"{len(names)} weights are missing or too many, {name} {'and so on' * (len(names) > 1)}")
    for name, value in wanted.items():
        if value.shape != weights[name].shape:
            raise ValueError(f"{name} is {tuple(weights[name].shape)}, not {tuple(value.shape)}")
    tables = sum(buffer.nbytes for name, buffer in model.named_buffers() if name not in wanted)
    if tables > LARGEST_TABLES:
        raise ValueError(f"the model needs {tables / 2**30:,.0f} GiB beside its weights")


def load(checkpoint: str | Path | None = None, device: str = "cpu") -> Inpainter:
    """Load a checkpoint's model, in eval mode with the averaged weights.

    Args:
      checkpoint: see `read`; None for the package's own `photos`.
      device: auto, cpu, cuda, or another of torch's.

    Raises: InputError, see `read`, or for cuda without a usable GPU.
    """
    checkpoint = weights_file.SHIPPED if checkpoint is None else checkpoint
    return rebuild(read(checkpoint), checkpoint).to(pick_device(device)).eval()


def take_over(model: Inpainter, path: str | Path) -> tuple[list[str], list[str]]:
    """Copy every averaged weight that fits by name and shape from a checkpoint into `model`.

    1x1 layers that lack only the caption map's input channel are copied too, with zeros for the map, and layers that
    read captions alone begin as zero, so a model without captions goes on where it stood. So does one that has more
    blocks than the checkpoint and sums what they skip to the end: what the further ones add begins as zero.

    Returns: (names of copied weights, names of weights left at their initial values).
    Raises: InputError, see `read`.
    """
    theirs = read(path)["averaged"]
    taken, fresh = [], []
    with torch.no_grad():
        for name, mine in model.state_dict().items():
            other = theirs.get(name)
            if other is not None and other.shape == mine.shape:
                mine.copy_(other)
            elif other is not None and name.endswith(READ_THE_MAP) and _lacks_map(other, mine):
                mine[:, :-1].copy_(other)
                mine[:, -1:].zero_()
            else:
                fresh.append(name)
                if other is None and (_adds_to_skips(name, theirs) or _reads_captions_alone(name, mine)):
                    mine.zero_()
                continue
            taken.append(name)
    return taken, fresh


def _lacks_map(other: torch.Tensor, mine: torch.Tensor) -> bool:
    return other.dim() == 4 and other.shape[0] == mine.shape[0] and other.shape[1] == mine.shape[1] - 1


def _reads_captions_alone(name: str, mine: torch.Tensor) -> bool:
    """Whether a weight is of a layer that reads the caption's summary, or of one whose only input is the map."""
    alone = name.endswith(READ_THE_MAP) and mine.dim() == 4 and mine.shape[1] == 1
    return alone or name.endswith(".caption.weight")


def _adds_to_skips(name: str, theirs: dict[str, torch.Tensor]) -> bool:
    """Whether a weight is that of a skip connection, of which the checkpoint has some, but not this one."""
    stack, skips, _ = name.partition(".skips.")
    return bool(skips) and f"{stack}.skips.0.weight" in theirs


def to_cpu(state: dict) -> dict:
    """Copy a state dict to the CPU, detached."""
    return {name: value.detach().cpu().clone() for name, value in state.items()}
