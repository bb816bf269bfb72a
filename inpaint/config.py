"""One dataclass is the command line, the config.json and the recipe format.

Each field of `Config` is an option of `train_inpaint.py`, a key of config.json, and a key of a recipe's "options". A
recipe is a JSON file in recipes/ (or any path): {"about": ..., "options": {...}, "results": [...]}; an option given
on the command line beside `--recipe` wins over the recipe, the recipe over the default.
"""

import dataclasses
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_prep.errors import InputError
from data_prep.regular import read_small
from inpaint.dataset import BINARIZATIONS
from inpaint.training.optimizer import OPTIMIZERS
from models.config import NetworkOptions, check_combination, likelihood_of
from models.option_fields import option as model_option
from models.option_fields import with_default

LENGTHS = ("epochs", "steps", "minutes")
LARGEST_JSON = 2**18  # bytes; a recipe has a hundredth of it
RECIPES = Path(__file__).resolve().parent.parent / "recipes"


def option(default: Any, text: str, *, may_change: bool = False, **rule: Any) -> Any:
    """A field of Config, see models.option_fields.option.

    A resumed run keeps the value it began with, unless the option `may_change`: those decide only how long, where and
    how fast to train, and what to log.
    """
    made = model_option(default, text, **rule)
    return field(default=default, metadata={**made.metadata, "may_change": may_change})


@dataclass(frozen=True)
class Places:
    """Where a training run reads and writes. A base class of its own, so that these two options come first."""

    data: str | None = option(
        None,
        "HDF5 file that build_h5.py wrote; without it the demo set is built and used",
        metavar="FILE.h5",
        may_change=True,  # the name; what is in the file may not, see training/run.py
    )
    out: str | None = option(None, "run folder (default: runs/DECODER-LIKELIHOOD)", metavar="RUN_DIR", may_change=True)


@dataclass(frozen=True)
class Config(NetworkOptions, Places):
    """All options of a training run; those of the model come from models/config.py.

    Raises: ValueError, naming the key, for a value out of range.
    """

    use_captions: bool = with_default(NetworkOptions, "use_captions", False)
    binarize: str | None = option(
        None,
        "make sub-pixels black or white: above 127 or not; or drawn with their intensity as probability, once for "
        "all (fixed) or anew in each epoch of training (dynamic); needs --levels 2",
        choices=BINARIZATIONS,
    )
    epochs: int | None = option(
        None, "train for N passes over the training set (the default: 30)", low=1, metavar="N", may_change=True
    )
    steps: int | None = option(None, "train for N steps", low=1, metavar="N", may_change=True)
    minutes: float | None = option(
        None, "train for M minutes of wall-clock, evaluations included", low=0.01, metavar="M", may_change=True
    )
    batch_size: int = option(16, "images in a batch, over all processes", low=1, high=65536, metavar="N")
    accumulate: int = option(
        1, "split each batch into N parts whose gradients are added", low=1, metavar="N", may_change=True
    )
    optimizer: str = option(
        "muon",
        "Muon for the hidden layers, AdamW for all else; or AdamW or RMSProp for all",
        choices=OPTIMIZERS,
    )
    lr: float = option(1.5e-3, "peak learning rate", low=0, metavar="X")
    caption_lr: float = option(
        1.0, "the caption encoder learns at this many times the learning rate", low=0, high=10, metavar="X"
    )
    schedule: str = option("cosine", "learning rate after the warm-up", choices=("cosine", "constant"))
    warmup: int = option(200, "steps over which the learning rate rises", low=0, metavar="STEPS")
    weight_decay: float = option(
        0.05, "on weights of two dimensions or more; decoupled, but for RMSProp", low=0, metavar="X"
    )
    beta2: float = option(0.99, "second-moment decay of AdamW and RMSProp", low=0, high=0.99999, metavar="X")
    clip_norm: float = option(1.0, "largest gradient norm, of nats per pixel; 0 for none", low=0, metavar="X")
    ema_decay: float = option(
        0.998, "decay of the averaged weights that are evaluated; 0 for none", low=0, high=0.99999, metavar="X"
    )
    flip: bool = option(True, "mirror every other training photo")
    crop: float | None = option(
        None,
        "train on a random square of each photo, its side at least this share of the photo's, enlarged to the whole "
        "(default: 0.75 for the cross-entropy, 1 for a true likelihood, which enlarged photos would teach blur)",
        low=0.25,
        high=1,
        metavar="X",
    )
    shift: int = option(
        4, "move training photos by up to N pixels each way, what enters marked unknown", low=0, high=1024, metavar="N"
    )
    shift_share: float = option(
        1.0, "share of training photos that are moved; the others keep their place", low=0, high=1, metavar="X"
    )
    shrink_share: float = option(
        0.0,
        "share of training photos that are made smaller, to half of their side or more, around which all is unknown: "
        "their colors become as fine as those of photos that were only resized, not stored as small JPEGs",
        low=0,
        high=1,
        metavar="X",
    )
    jitter: float | None = option(
        None,
        "brighten or darken each training photo by up to this share, its channels by half (default: 0.1 for the "
        "cross-entropy, 0 for a true likelihood)",
        low=0,
        high=1,
        metavar="X",
    )
    caption_dropout: float = option(
        0.1, "share of training images that come without their caption", low=0, high=1, metavar="X"
    )
    captions_at_once: int = option(
        1, "train with 1 to K of an image's captions at once, their vectors averaged", low=1, high=100, metavar="K"
    )
    caption_loss: float = option(
        0.0,
        "also predict the center's colors, means of a 4 x 4 grid, from captions and border by a linear layer, with "
        "this weight, which falls linearly to 0 at the end of the training",
        low=0,
        high=1000,
        metavar="X",
    )
    seed: int = option(0, "of everything random", low=0, metavar="N")
    device: str = option("auto", "where to train", choices=("auto", "cpu", "cuda"), may_change=True)
    precision: str | None = option(
        None,
        "arithmetic of the network (default: bf16 where the device multiplies in it, else fp32); likelihood and loss "
        "are float32",
        choices=("fp32", "bf16"),
        may_change=True,
    )
    compile: bool = option(False, "torch.compile the network", may_change=True)
    init_from: str | None = option(None, "take over every weight that fits from this checkpoint", metavar="CHECKPOINT")
    checkpoint_every: int = option(500, "steps between checkpoints", low=1, metavar="STEPS", may_change=True)
    keep: int = option(
        2,
        "checkpoints to resume from that are kept: last.pt, last-1.pt ...",
        low=1,
        high=1000,
        metavar="K",
        may_change=True,
    )
    evaluate_every: int = option(
        500, "steps between evaluations on val, with image panels", low=1, metavar="STEPS", may_change=True
    )
    val_limit: int = option(500, "val images of those evaluations", low=1, metavar="N")
    workers: int = option(
        0, "processes that prepare batches; 0: this one", low=0, high=256, metavar="N", may_change=True
    )

    def __post_init__(self):
        for key in dataclasses.fields(self):
            value = getattr(self, key.name)
            if isinstance(value, str) and not _can_name_a_file(value):
                raise ValueError(f"{key.name}: {value[:60]!r} is no text that can name a file")
        super().__post_init__()
        cross_entropy = not likelihood_of(self).proper
        for name, default in {"crop": 0.75 if cross_entropy else 1.0, "jitter": 0.1 if cross_entropy else 0.0}.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, default)
        check_combination(self, channels=1)  # `build` checks again with the images' channels
        if self.binarize and self.levels != 2:
            raise ValueError(f"binarize needs levels 2, not {self.levels}")
        if self.binarize and (self.crop < 1 or self.jitter or self.shrink_share):
            raise ValueError("binarize: what is enlarged (crop), shrunk or brightened (jitter) is not black and white")
        if self.caption_lr != 1 and not self.use_captions:
            raise ValueError("caption_lr needs use_captions")
        for name in ("captions_at_once", "caption_loss"):
            if getattr(self, name) != getattr(Config, name) and not self.use_captions:
                raise ValueError(f"{name} needs use_captions")
        lengths = [name for name in LENGTHS if getattr(self, name) is not None]
        if len(lengths) > 1:
            raise ValueError(f"{lengths[1]}: give one of epochs, steps and minutes, not {' and '.join(lengths)}")
        if self.batch_size % self.accumulate:
            raise ValueError(f"accumulate: {self.accumulate} does not divide the batch size {self.batch_size}")

    def to_dict(self) -> dict:
        return dataclasses.asdict(self)


def _can_name_a_file(text: str) -> bool:
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:  # a lone surrogate, which JSON can spell
        return False


def read_json(path: Path, what: str) -> dict:
    """Read a JSON object. Raises FileNotFoundError if the file is missing, InputError ("not `what`") if it is bad."""
    if not os.path.lexists(path):
        raise FileNotFoundError(path)
    try:
        content = json.loads(read_small(path, LARGEST_JSON, "JSON file").decode())
    except (ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else error
        raise InputError(f"{path}: not {what}: {reason}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: not {what}: no object with options")
    return content


def from_dict(options: dict, source: str) -> Config:
    """Make a Config from parsed JSON. Raises InputError, naming `source` and the key, for a bad key or value."""
    names = {key.name for key in dataclasses.fields(Config)}
    for name in options:
        if name not in names:
            raise InputError(f"{source}: unknown key {name[:60]!r}")
    try:
        return Config(**options)
    except ValueError as error:
        raise InputError(f"{source}: {error}") from None


def read_recipe(name: str) -> dict:
    """Read a recipe's "options", by its name in recipes/ or its path. Raises InputError if it is missing or bad."""
    path = Path(name) if name.endswith(".json") else RECIPES / f"{name}.json"
    try:
        recipe = read_json(path, "a recipe")
    except FileNotFoundError:
        have = ", ".join(sorted(found.stem for found in RECIPES.glob("*.json")))
        raise InputError(f"{path}: no such recipe; there are {have}") from None
    if not isinstance(recipe.get("options"), dict):
        raise InputError(f'{path}: not a recipe: no "options"')
    from_dict(recipe["options"], str(path))
    return recipe["options"]
