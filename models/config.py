"""Every option of a model, once: default, range and help. A stack's own `Options` say which of them it has.

`models.build`, checkpoints, the command line and recipes all take theirs from here.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import UnionType
from typing import Any, get_args, get_origin

from models.border_tower import TOWERS, UNET_SIZES
from models.canvas import Hole
from models.likelihoods import LEVELS, LIKELIHOODS, Likelihood
from models.predictors import CopyCandidates
from models.stacks.families import DECODERS, decoders_with, single_scale

SIZES = tuple(UNET_SIZES)
CAPTION_INJECTIONS = ("last", "all")
Choices = Iterable[str] | Callable[[], Iterable[str]]


def option(
    default: Any,
    text: str,
    *,
    low: float | None = None,
    high: float | None = None,
    below: float | None = None,
    choices: Choices | None = None,
    metavar: str | None = None,
) -> Any:
    """A dataclass field with an option's default, help and range.

    Args:
      low, high: smallest and largest value; below: exclusive upper bound.
      choices: allowed names, or a function that returns them.
    """
    rule = {"help": text, "low": low, "high": high, "below": below, "choices": choices, "metavar": metavar}
    return field(default=default, metadata=rule)


def with_default(options: type, name: str, default: Any) -> Any:
    """An option of a dataclass with another default."""
    (key,) = (key for key in dataclasses.fields(options) if key.name == name)
    return field(default=default, metadata=key.metadata)


def yes_or_no(text: str) -> Any:
    """An option of causal stacks, on by default."""
    return option(None, f"{text} (default: yes)")


@dataclass(frozen=True)
class NetworkOptions:
    """The options that do not depend on the images.

    Raises: ValueError naming the option that is out of range.
    """

    decoder: str = option("contour", "decoder", choices=DECODERS)
    likelihood: str = option("bernoulli", "distribution on top", choices=LIKELIHOODS)
    size: str = option("s", "width and depth of the network", choices=SIZES)
    tower: str = option("unet", "border tower; ift6266 is the 2017 net, which has one size", choices=TOWERS)
    use_captions: bool = option(True, "condition on captions")
    caption_injection: str = option(
        "last",
        "captions enter as the map in the last layers; or their summary in every layer of a causal decoder as well",
        choices=CAPTION_INJECTIONS,
    )
    inner: str | None = option(None, "multiscale: the decoder of both scales (default: gated)", choices=single_scale)
    levels: int = option(
        LEVELS,
        "quantize sub-pixels to N levels (categorical; bernoulli: 2, which it needs with a causal decoder)",
        low=2,
        high=LEVELS,
        metavar="N",
    )
    color_conditioning: bool = option(True, "in a causal decoder green depends on its pixel's red, blue on both")
    width: int | None = option(
        None, "channels of the causal stack, an even number (default: the size's)", low=4, high=1024
    )
    blocks: int | None = option(None, "blocks or layers of the causal stack (default: the size's)", low=1, high=100)
    layer_norm: bool | None = yes_or_no("layer norm over channels in each block")
    residual_connections: bool | None = yes_or_no("a layer's output is added to its input")
    skip_connections: bool | None = yes_or_no("sum skip connections from every layer, not the last one's output alone")
    dilation: bool | None = yes_or_no("kernels of successive layers spread 1, 2, 4 and 8 pixels")
    head_width: int | None = option(
        None, "channels of the two 1x1 layers (default: what fits tower and stack)", low=3, high=1024
    )
    dropout: float = option(
        0.25, "channel dropout in the tower; in pixelcnnpp and pixelsnail that of each block, too", low=0, below=1
    )

    def __post_init__(self) -> None:
        for key in dataclasses.fields(self):
            object.__setattr__(self, key.name, checked(key, getattr(self, key.name)))

    def network(self) -> dict[str, Any]:
        """The options of this class alone."""
        return {key.name: getattr(self, key.name) for key in dataclasses.fields(NetworkOptions)}


@dataclass(frozen=True)
class ModelOptions(NetworkOptions):
    """All options of `models.build`.

    Raises: ValueError naming the option that is out of range, or what cannot be combined.
    """

    image_size: int = option(64, "side of the square image, pixels", low=1)
    hole: Hole = option((16, 16, 32, 32), "[top, left, height, width], inside the image")
    channels: int = option(3, "3, or 1 for grey images: red's nats are the image's", low=1, high=3)

    def __post_init__(self) -> None:
        object.__setattr__(self, "hole", tuple(int(value) for value in self.hole))
        super().__post_init__()
        if self.channels not in (1, 3):
            raise ValueError(f"channels: {self.channels} is not 1 or 3")
        if len(self.hole) != 4:
            raise ValueError(f"hole: {list(self.hole)} is not [top, left, height, width]")
        (top, left, h, w), side = self.hole, self.image_size
        if top < 0 or left < 0 or h < 1 or w < 1 or top + h > side or left + w > side:
            raise ValueError(f"hole {list(self.hole)} does not lie in a {side} x {side} image")
        check_combination(self, self.channels)


def choices_of(key: "dataclasses.Field[Any]") -> tuple[str, ...] | None:
    """An option's allowed names; None if it has no fixed set of them."""
    choices: Choices | None = key.metadata["choices"]
    if choices is None:
        return None
    return tuple(choices() if callable(choices) else choices)


def kinds_of(key: "dataclasses.Field[Any]") -> tuple[type, ...]:
    """An option's allowed types; none for the hole, which is a tuple of numbers."""
    kinds = get_args(key.type) if isinstance(key.type, UnionType) else (key.type,)
    return tuple(kind for kind in kinds if get_origin(kind) is None)


def help_of(key: "dataclasses.Field[Any]") -> str:
    """An option's help text; options of causal stacks name the decoders that have them."""
    only = decoders_with(key.name) if key.default is None else []
    text: str = key.metadata["help"]
    return f"{', '.join(only)}: {text}" if only else text


def checked(key: "dataclasses.Field[Any]", value: Any) -> Any:
    """A value of the right type and in range; an int becomes a float if the option is one.

    Raises: ValueError naming the option.
    """
    kinds, rule = kinds_of(key), key.metadata
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError(f"{key.name}: does not fit in 64 bits")
    if float in kinds and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not kinds:
        return value
    if type(value) not in kinds:
        wanted = " or ".join("null" if kind is type(None) else kind.__name__ for kind in kinds)
        raise ValueError(f"{key.name}: {value!r:.60} is not {wanted}")
    choices = choices_of(key)
    if value is None:
        return value
    if choices and value not in choices:
        raise ValueError(f"{key.name}: {value!r:.60} is not one of {', '.join(choices)}")
    low, high, below = rule["low"], rule["high"], rule["below"]
    fits = (low is None or value >= low) and (high is None or value <= high) and (below is None or value < below)
    if not fits or value == math.inf:
        bounds = f"at least {low}" if high is None else f"between {low} and {high}"
        bounds += "" if below is None else f" and less than {below}"
        raise ValueError(f"{key.name}: {value} is not {bounds}")
    return value


def single_scale_decoder(options: NetworkOptions) -> str:
    """The decoder of one scale: the inner one of `multiscale` and `parallel`, or the decoder itself."""
    inside = DECODERS[options.decoder].inner
    return options.decoder if inside is None else options.inner or inside


def likelihood_of(options: NetworkOptions, candidates: bool = True) -> Likelihood:
    """The likelihood of color images.

    Args:
      candidates: whether the decoder offers copies of known pixels as candidates.
    """
    return LIKELIHOODS[options.likelihood].build(options.levels, CopyCandidates.COUNT if candidates else 0)


def colors_by_channel(options: NetworkOptions, channels: int) -> bool:
    """Whether the network conditions a pixel's green on its red, and its blue on both."""
    return options.color_conditioning and channels == 3 and not LIKELIHOODS[options.likelihood].coupled


def check_combination(options: NetworkOptions, channels: int) -> None:
    """Check that options can be combined.

    Args:
      channels: of the images. 1 allows more than 3: the choice while they are not known yet.

    Raises: ValueError naming the options.
    """
    _check_likelihood(options)
    decoder, inner = options.decoder, single_scale_decoder(options)
    family, stack = DECODERS[decoder], DECODERS[inner].stack
    if options.inner is not None and not family.takes_inner:
        takers = [name for name, other in DECODERS.items() if other.takes_inner]
        raise ValueError(f"inner is an option of {', '.join(takers)}, not of {decoder}")
    if family.halvings and not TOWERS[options.tower].sees_mask:
        raise ValueError(f"tower {options.tower} cannot tell known pixels from black, which {decoder} needs")
    if stack is None and (options.caption_injection == "all" or not options.color_conditioning):
        name = "caption_injection all" if options.color_conditioning else "color_conditioning off"
        raise ValueError(f"{name} is for causal decoders; {inner} has no stack")
    if options.caption_injection == "all" and not options.use_captions:
        raise ValueError("caption_injection all needs use_captions")
    grouped = colors_by_channel(options, channels)
    divisor = 6 if stack is not None and stack.can_group and grouped else 2
    if options.width is not None and options.width % divisor:
        raise ValueError(f"width must be a multiple of {divisor} here, not {options.width}")
    if options.head_width is not None and stack is not None and grouped and options.head_width % 3:
        raise ValueError(f"head_width must be a multiple of 3 here, not {options.head_width}")
    for key in dataclasses.fields(NetworkOptions):
        having = decoders_with(key.name) if key.default is None else []
        if having and getattr(options, key.name) is not None and inner not in having:
            raise ValueError(f"{key.name} is an option of {', '.join(having)}, not of {inner}")


def _check_likelihood(options: NetworkOptions) -> None:
    name, levels, kind = options.likelihood, options.levels, LIKELIHOODS[options.likelihood]
    if levels not in kind.level_choices:
        some = sorted(kind.level_choices)
        works = f"all {LEVELS}" if some == [LEVELS] else " or ".join(map(str, some))
        raise ValueError(f"levels: {name} works on {works}, not on {levels}")
    if not DECODERS[options.decoder].one_pass and not likelihood_of(options).proper:
        proper = [str(count) for count in kind.level_choices if kind.build(count, 0).proper]
        raise ValueError(
            f"likelihood {name} with decoder {options.decoder} needs levels {' or '.join(proper)}: on shades it is no "
            "distribution from which the next pixel could be drawn"
        )
    if kind.coupled and not options.color_conditioning:
        raise ValueError(f"color_conditioning cannot be off for {name}, which couples the colors itself")
