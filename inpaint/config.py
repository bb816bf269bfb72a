"""One dataclass is the command line, the config.json and the recipe format.

Each field of `Config` is an option of `train_inpaint.py`, a key of config.json, and a key of a recipe's "options". A
recipe is a JSON file in recipes/ (or any path): {"about": ..., "options": {...}, "results": [...]}; an option given
on the command line beside `--recipe` wins over the recipe, the recipe over the default.
"""

import dataclasses
import inspect
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, get_args

from data_prep.errors import InputError
from data_prep.regular import read_small
from inpaint.dataset import BINARIZATIONS
from inpaint.training.optimizer import OPTIMIZERS
from models import DECODERS, LIKELIHOODS, TOWERS, build
from models.factory import CAPTION_INJECTIONS, INNER, MOST_BLOCKS, MOST_CHANNELS, check_combination
from models.likelihoods import LEVELS
from models.towers import UNET_SIZES

LENGTHS = ("epochs", "steps", "minutes")
LARGEST_JSON = 2**18  # bytes; a recipe has a hundredth of it
RECIPES = Path(__file__).resolve().parent.parent / "recipes"


def option(
    default: Any,
    text: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices=None,
    metavar=None,
    may_change: bool = False,
):
    """A field of Config: its default, its help, and the values it may have (low and high included).

    A run continues with the value that it began with, since what it has learnt depends on it, unless the value
    `may_change`: then it decides how long, where or how fast is trained, or what is seen of it.
    """
    limits = {"low": low, "high": high, "choices": choices}
    return field(default=default, metadata={"help": text, "metavar": metavar, "may_change": may_change, **limits})


@dataclass(frozen=True)
class Config:
    """Everything that decides a training run. Raises ValueError, naming the key, for a value out of range."""

    data: str | None = option(
        None,
        "HDF5 file that build_h5.py wrote; without it the demo set is built and used",
        metavar="FILE.h5",
        may_change=True,  # the name; what is in the file may not, see training/run.py
    )
    out: str | None = option(None, "run folder (default: runs/DECODER-LIKELIHOOD)", metavar="RUN_DIR", may_change=True)
    decoder: str = option("contour", "decoder", choices=tuple(DECODERS))
    likelihood: str = option("bernoulli", "distribution on top", choices=tuple(LIKELIHOODS))
    size: str = option("s", "width and depth of the network", choices=tuple(UNET_SIZES))
    tower: str = option("unet", "border tower; ift6266 is the 2017 net", choices=tuple(TOWERS))
    use_captions: bool = option(False, "condition on captions")
    caption_injection: str = option(
        "last",
        "captions enter as the map in the last layers; or their summary in every layer of a causal decoder as well",
        choices=CAPTION_INJECTIONS,
    )
    inner: str | None = option(None, "multiscale: the decoder of both scales (default: gated)", choices=INNER)
    levels: int = option(
        LEVELS,
        "round sub-pixels to N levels (categorical; bernoulli: 2, which it needs with a causal decoder)",
        low=2,
        high=LEVELS,
        metavar="N",
    )
    binarize: str | None = option(
        None,
        "make sub-pixels black or white: above 127 or not; or drawn with their intensity as probability, once for "
        "all (fixed) or anew in each epoch of training (dynamic); needs --levels 2",
        choices=BINARIZATIONS,
    )
    color_conditioning: bool = option(True, "in a causal decoder green depends on its pixel's red, blue on both")
    width: int | None = option(
        None, "channels of the causal stack, all but pixelsnail's (default: the size's)", low=4, high=MOST_CHANNELS
    )
    blocks: int | None = option(
        None, "pixelcnn, rowlstm, diagbilstm, gated: blocks or layers (default: the size's)", low=1, high=MOST_BLOCKS
    )
    layer_norm: bool | None = option(None, "pixelcnn: layer norm over channels in each block (default: yes)")
    residual_connections: bool | None = option(
        None, "rowlstm, diagbilstm: a layer's output is added to its input (default: yes)"
    )
    skip_connections: bool | None = option(
        None, "pixelcnn, rowlstm, diagbilstm: every layer gives to the output, not the last alone (default: yes)"
    )
    dilation: bool | None = option(
        None, "pixelcnn, rowlstm, gated: kernels of successive layers spread 1, 2, 4 and 8 pixels (default: yes)"
    )
    head_width: int | None = option(
        None, "channels of the two 1x1 layers (default: what fits tower and stack)", low=3, high=MOST_CHANNELS
    )
    dropout: float = option(
        0.25, "channel dropout in the tower; in pixelcnnpp and pixelsnail that of each block, too", low=0, high=0.9
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
        1.0, "the caption encoder learns at this share of the learning rate", low=0, high=10, metavar="X"
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
            object.__setattr__(self, key.name, _checked(key, getattr(self, key.name)))
        cross_entropy = self.likelihood == "bernoulli" and self.levels == LEVELS
        for name, default in {"crop": 0.75 if cross_entropy else 1.0, "jitter": 0.1 if cross_entropy else 0.0}.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, default)
        check_combination(self.model_options())
        if self.binarize and self.levels != 2:
            raise ValueError(f"binarize needs levels 2, not {self.levels}")
        if self.binarize and (self.crop < 1 or self.jitter):
            raise ValueError("binarize: what is enlarged (crop) or brightened (jitter) is not black and white")
        if self.caption_lr != 1 and not self.use_captions:
            raise ValueError("caption_lr needs use_captions")
        given = [name for name in LENGTHS if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{given[1]}: give one of epochs, steps and minutes, not {' and '.join(given)}")
        if self.batch_size % self.accumulate:
            raise ValueError(f"accumulate: {self.accumulate} does not divide the batch size {self.batch_size}")

    def model_options(self) -> dict:
        """The arguments of `models.build` that a config decides: all but the image's size and hole."""
        return {name: getattr(self, name) for name in inspect.signature(build).parameters if hasattr(self, name)}

    def to_dict(self) -> dict:
        return dataclasses.asdict(self)


def kinds_of(key: dataclasses.Field) -> tuple[type, ...]:
    """The types that a field of Config may have."""
    return get_args(key.type) if isinstance(key.type, UnionType) else (key.type,)


def _checked(key: dataclasses.Field, value: Any) -> Any:
    """The value, an int made a float where one is wanted; ValueError naming the key where it does not fit."""
    kinds, rule = kinds_of(key), key.metadata
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError(f"{key.name}: does not fit in 64 bits")
    if float in kinds and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) not in kinds:
        wanted = " or ".join("null" if kind is type(None) else kind.__name__ for kind in kinds)
        raise ValueError(f"{key.name}: {value!r:.60} is not {wanted}")
    if value is None:
        return value
    if isinstance(value, str) and not _can_name_a_file(value):
        raise ValueError(f"{key.name}: {value[:60]!r} is no text that can name a file")
    if rule["choices"] and value not in rule["choices"]:
        raise ValueError(f"{key.name}: {value!r} is not one of {', '.join(rule['choices'])}")
    low, high = rule["low"], rule["high"]
    if (low is not None and not value >= low) or (high is not None and not value <= high) or value == float("inf"):
        bounds = f"at least {low}" if high is None else f"between {low} and {high}"
        raise ValueError(f"{key.name}: {value} is not {bounds}")
    return value


def _can_name_a_file(text: str) -> bool:
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:  # a lone surrogate, which JSON can spell
        return False


def read_json(path: Path, what: str) -> dict:
    """A JSON object from a file; FileNotFoundError where there is none, InputError ("not `what`") for anything else."""
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
    """A Config from parsed JSON; InputError naming `source` and the key for an unknown key or a value out of range."""
    known = {key.name for key in dataclasses.fields(Config)}
    for name in options:
        if name not in known:
            raise InputError(f"{source}: unknown key {name[:60]!r}")
    try:
        return Config(**options)
    except ValueError as error:
        raise InputError(f"{source}: {error}") from None


def read_recipe(name: str) -> dict:
    """The "options" of a recipe, by its name in recipes/ or its path; InputError where it is missing or damaged."""
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
