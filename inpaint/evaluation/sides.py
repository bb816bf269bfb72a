"""A side of an evaluation: checkpoints of trainings that differ in their seed alone.

One training of a model differs from the next by more than the interval over images of either. So a gain is told over
several, and here it is seen that they are several: other seeds, the same options and data. What they were trained with,
and on what they were chosen, is read from the checkpoints too.
"""

import dataclasses
import math

from data_prep.errors import InputError
from inpaint import checkpoints
from inpaint.dataset import Photos
from models import Inpainter

# Options that say where and with what a training ran, not what it learned.
ELSEWHERE = {"data", "out", "device", "compile", "checkpoint_every", "keep", "workers", "accumulate"}
CAPTIONS = {
    "use_captions",
    "caption_dropout",
    "caption_lr",
    "caption_injection",
    "captions_at_once",
    "caption_loss",
    "word_vectors",
}
LENGTHS = ("steps", "epochs", "minutes")


@dataclasses.dataclass
class Trained:
    """A checkpoint: its file's name, what is in it, and its model, on the CPU in eval mode."""

    name: str
    checkpoint: checkpoints.Checkpoint
    model: Inpainter

    @property
    def seed(self):
        """Of the training; None if the checkpoint does not say."""
        return self.checkpoint["config"].get("seed")

    @property
    def binarize(self):
        return checkpoints.binarize_of(self.checkpoint)


def read(names):
    """Read the checkpoints of a side.

    Args:
      names: files, at least one.

    Returns:
      A list of `Trained`.

    Raises:
      InputError: a file cannot be read; or two are the same, are of one seed, or differ in more than their seed.
    """
    side = []
    for name in map(str, names):
        checkpoint = checkpoints.read(name)
        side.append(Trained(name, checkpoint, checkpoints.rebuild(checkpoint, name).eval()))
    for number, one in enumerate(side):
        for earlier in side[:number]:
            if one.checkpoint.sha256 == earlier.checkpoint.sha256:
                raise InputError(f"{one.name}: the same checkpoint as {earlier.name}; give each training once")
    for one in side[1:]:
        found = differences(side[0].checkpoint, one.checkpoint, but={"seed"})
        if found:
            raise InputError(
                f"{one.name}: not another seed of the same training as {side[0].name}: they differ in "
                f"{', '.join(found)}; compare such checkpoints with --versus"
            )
    for number, one in enumerate(side):
        for earlier in side[:number]:
            if one.seed is not None and one.seed == earlier.seed:
                raise InputError(f"{one.name}: of the same seed as {earlier.name}, {one.seed}: not another training")
    return side


def differences(one, other, but=frozenset()):
    """Options in which two trainings differ, less those `but` and ELSEWHERE: a sorted list of names.

    Options that an older checkpoint lacks do not count. "photos" stands for other training images.
    """
    found = set()
    for part in ("model", "config"):
        mine, theirs = one[part], other[part]
        shared = mine.keys() & theirs.keys()
        found |= {name for name in shared if _plain(name, mine[name]) != _plain(name, theirs[name])}
    if _origin(one, "data_sha256") != _origin(other, "data_sha256"):
        found.add("photos")
    return sorted(found - ELSEWHERE - set(but))


def _plain(name, value):
    """A value to compare; of `init_from` only whether it was given: each seed may go on from a file of its own."""
    return bool(value) if name == "init_from" else list(value) if isinstance(value, tuple) else value


def _origin(checkpoint, name):
    return checkpoint.get("provenance", {}).get(name)


def budget(checkpoint):
    """What a training was given, and where the checkpoint stands.

    Returns:
      {"steps", "epochs", "minutes", "batch_size", "images", "at_step"}: the options, None where they were not given or
      are unknown; `images` is steps x batch size, with repetition, None unless the steps were given; `at_step` is the
      checkpoint's, which for best.pt is where val was best.
    """
    config = checkpoint["config"]
    found = {name: _number(config.get(name)) for name in (*LENGTHS, "batch_size")}
    known = found["steps"] is not None and found["batch_size"] is not None
    images = found["steps"] * found["batch_size"] if known else None
    return {**found, "images": images, "at_step": checkpoint["progress"].get("step")}


def _number(value):
    return value if type(value) in (int, float) else None


def budget_text(given):
    """A `budget` in words."""
    parts = [f"{given[name]:,} {name}" for name in LENGTHS if given[name] is not None] or ["an unknown length"]
    if given["batch_size"] is not None:
        parts.append(f"{given['batch_size']:,} images a step")
    return ", ".join(parts)


def compare_budgets(side, other):
    """Whether two sides had equal training but for captions.

    Returns:
      {"equal_budget": bool, None where a checkpoint does not say its length; "other_options": names of the options, of
      the model and the training, that differ beside the seed and those about captions}.
    """
    one, two = side[0].checkpoint, other[0].checkpoint
    mine, theirs = budget(one), budget(two)
    keys = (*LENGTHS, "batch_size")
    known = all(any(given[name] is not None for name in LENGTHS) for given in (mine, theirs))
    equal = all(mine[name] == theirs[name] for name in keys) if known else None
    return {"equal_budget": equal, "other_options": differences(one, two, but=CAPTIONS | {"seed", *keys})}


def chosen_on(checkpoint, photos: Photos):
    """Whether a checkpoint was chosen, among those of its training, for its nats on this very split.

    best.pt is, on val; last.pt, which holds the weights to go on from, is not, nor is a best.pt of a training without
    val. A checkpoint that does not say what its val was is taken to have been chosen on this one.
    """
    best = checkpoint["progress"].get("best", math.inf)
    if photos.split != "val" or checkpoint["weights"] or math.isinf(best):
        return False
    return _origin(checkpoint, "val_sha256") in (None, photos.info.splits["val"].sha256)
