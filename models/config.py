"""Every option of a model, once: default, range and help. A stack's own `Options` say which of them it has.

`models.build`, checkpoints, the command line and recipes all take theirs from here. The defaults are this project's own
models; options that undo where these depart from a paper are listed with the departures (departures.py).
"""

import dataclasses
import numbers
from dataclasses import dataclass
from typing import Any

from models.border_tower import TOWERS, UNET_SIZES
from models.canvas import Hole
from models.head import ACTIVATIONS
from models.layers.attention import ATTENTIONS
from models.likelihoods import LEVELS, LIKELIHOODS, Likelihood
from models.option_fields import checked, option, yes_or_no
from models.predictors import CopyCandidates
from models.stacks.families import DECODERS, decoders_with, single_scale

SIZES = tuple(UNET_SIZES)
CAPTION_INJECTIONS = ("last", "all")
MAP_LAYERS = ("first", "both")
MASKS = ("box", "mixed")


@dataclass(frozen=True)
class NetworkOptions:
    """The options that do not depend on the images.

    Raises: ValueError naming the option that is out of range.
    """

    decoder: str = option("contour", "decoder", choices=DECODERS)
    likelihood: str = option("bernoulli", "distribution on top", choices=LIKELIHOODS)
    size: str = option("s", "width and depth of the network", choices=SIZES)
    tower: str = option(
        "unet",
        "border tower; ift6266 is the 2017 net, which has one size; none: the causal stack alone reads the border",
        choices=TOWERS,
    )
    relu_clip: float | None = option(
        None, "tower ift6266: clip ReLUs at X, in the 1x1 layers too (default: 6, in the tower alone)", low=1, high=1000
    )
    use_captions: bool = option(True, "condition on captions")
    map_sigmoid: bool = option(True, "the caption map is sigmoid(v v^T); or v v^T itself")
    map_layers: str = option(
        "first",
        "the caption map enters the first 1x1 layer, or both (a decoder without a stack alone)",
        choices=MAP_LAYERS,
    )
    caption_injection: str = option(
        "last",
        "captions enter as the map in the last layers; or their summary as well, in every layer of a causal decoder, "
        "and without one in the first 1x1 layer",
        choices=CAPTION_INJECTIONS,
    )
    word_vectors: bool = option(
        False, "captions' summary holds the mean of their words' vectors, too (extra words; caption_injection all)"
    )
    inner: str | None = option(None, "multiscale: the decoder of both scales (default: gated)", choices=single_scale)
    levels: int = option(
        LEVELS,
        "quantize sub-pixels to N levels (categorical; bernoulli: 2, which it needs with a causal decoder)",
        low=2,
        high=LEVELS,
        metavar="N",
    )
    components: int | None = option(
        None,
        "logistic-mixture: its components, each with linear predictions of its own in a causal decoder (default: 10)",
        low=1,
        high=100,
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
    kernel_size: int | None = option(None, "side of the kernels in each block, unmasked (default: 3)", low=2, high=9)
    bottleneck: bool | None = yes_or_no("1x1 layers to half the channels and back around each block's convolution")
    position: bool | None = yes_or_no("sines of row and column are added to the first layer")
    input_shortcuts: bool | None = option(
        None,
        "shortcuts from the input of each resolution, too, with one more pair of blocks above the lowest (default: no)",
    )
    convolutions: int | None = option(
        None, "gated convolutions before each attention (default: the size's)", low=1, high=100
    )
    attention: str | None = option(
        None,
        "heads: several, with learned positions; gated: one, keys and queries from gated 1x1 blocks that read "
        "coordinates (default: heads)",
        choices=ATTENTIONS,
    )
    concat_elu: bool | None = yes_or_no("concatenated ELUs, which double a layer's inputs; or plain ones")
    predictors: bool = option(
        True, "a causal decoder's params are relative to predictions from known pixels; or absolute"
    )
    error_energy: bool = option(
        False, "how far the linear predictions were off at the pixels before enters the params (logistic-mixture)"
    )
    masks: str = option(
        "box",
        "pixels that are unknown in training: the whole hole; or mixed with rectangles, brush strokes, missing strips "
        "and known grids, where predictions also read known pixels to the right and below",
        choices=MASKS,
    )
    xavier: bool = option(False, "stack and caption encoder start with Xavier's weights, as 1x1 layers and ift6266 do")
    head_layers: int = option(2, "1x1 layers between tower, stack and the likelihood's params", low=0, high=2)
    head_width: int | None = option(
        None, "channels of these 1x1 layers (default: what fits tower and stack)", low=3, high=1024
    )
    head_activation: str | None = option(
        None, "after these 1x1 layers (default: silu; relu with tower ift6266 and no stack)", choices=ACTIVATIONS
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


def _hole(value: Any) -> tuple[int, ...]:
    """Raises: ValueError for what is no sequence of whole numbers."""
    try:
        return tuple(map(_whole, value))
    except TypeError:  # not iterable
        raise ValueError(f"hole: {value!r} is not [top, left, height, width]") from None


def _whole(value: Any) -> int:
    """Raises: ValueError for what is no whole number."""
    whole = isinstance(value, numbers.Real) and not isinstance(value, bool) and value % 1 == 0
    if not whole:
        raise ValueError(f"hole: {value!r} is not a whole number")
    return int(value)


@dataclass(frozen=True)
class ModelOptions(NetworkOptions):
    """All options of `models.build`.

    Raises: ValueError naming the option that is out of range, or what cannot be combined.
    """

    image_size: int = option(64, "side of the square image, pixels", low=1)
    hole: Hole = option((16, 16, 32, 32), "[top, left, height, width], inside the image")
    channels: int = option(3, "3, or 1 for grey images: red's nats are the image's", low=1, high=3)

    def __post_init__(self) -> None:
        object.__setattr__(self, "hole", _hole(self.hole))
        super().__post_init__()
        if self.channels not in (1, 3):
            raise ValueError(f"channels: {self.channels} is not 1 or 3")
        if len(self.hole) != 4:
            raise ValueError(f"hole: {list(self.hole)} is not [top, left, height, width]")
        (top, left, h, w), side = self.hole, self.image_size
        if top < 0 or left < 0 or h < 1 or w < 1 or top + h > side or left + w > side:
            raise ValueError(f"hole {list(self.hole)} does not lie in a {side} x {side} image")
        check_combination(self, self.channels)


def single_scale_decoder(options: NetworkOptions) -> str:
    """The decoder of one scale: the inner one of `multiscale` and `parallel`, or the decoder itself."""
    inside = DECODERS[options.decoder].inner
    return options.decoder if inside is None else options.inner or inside


def likelihood_of(options: NetworkOptions, candidates: bool = True) -> Likelihood:
    """The likelihood of color images.

    Args:
      candidates: whether the decoder offers copies of known pixels as candidates, with the option `predictors`.
    """
    candidates = candidates and options.predictors
    count = CopyCandidates.COUNT if candidates else 0
    return LIKELIHOODS[options.likelihood].build(options.levels, count, options.components)


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
    if options.masks != MASKS[0] and not TOWERS[options.tower].sees_mask:
        raise ValueError(f"tower {options.tower} cannot tell known pixels from unknown ones, which masks mixed needs")
    if family.halvings and not TOWERS[options.tower].sees_mask:
        raise ValueError(f"tower {options.tower} cannot tell known pixels from black, which {decoder} needs")
    if stack is None and not options.color_conditioning:
        raise ValueError(f"color_conditioning off is for causal decoders; {inner} has no stack")
    if options.caption_injection == "all" and not options.use_captions:
        raise ValueError("caption_injection all needs use_captions")
    if options.word_vectors and options.caption_injection != "all":
        raise ValueError("word_vectors needs caption_injection all: they are part of the captions' summary")
    _check_head(options, stack is None)
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
    if options.components is not None and not kind.mixes:
        raise ValueError(f"components is an option of logistic-mixture, not of {name}")
    if options.error_energy and not (kind.coupled and options.predictors):
        raise ValueError("error_energy is for logistic-mixture with predictors")
    if options.error_energy and (DECODERS[options.decoder].one_pass or DECODERS[options.decoder].halvings):
        raise ValueError(f"error_energy is for causal decoders of one scale, not for {options.decoder}")
    if kind.coupled and not options.color_conditioning:
        raise ValueError(f"color_conditioning cannot be off for {name}, which couples the colors itself")


def _check_head(options: NetworkOptions, one_pass: bool) -> None:
    """What the border tower, the caption map and the 1x1 layers need.

    Args:
      one_pass: whether the decoder has no stack.
    """
    if options.relu_clip is not None and not TOWERS[options.tower].clips:
        raise ValueError(f"relu_clip is for tower ift6266, not for {options.tower}")
    if one_pass and TOWERS[options.tower].empty:
        raise ValueError(f"tower {options.tower} is for decoders with a stack, which reads the border in its place")
    if not options.map_sigmoid and not options.use_captions:
        raise ValueError("map_sigmoid off needs use_captions")
    both = options.map_layers == MAP_LAYERS[1]
    if both and not (one_pass and options.use_captions and options.head_layers == 2):
        raise ValueError("map_layers both needs use_captions, two head_layers, and a decoder without a stack")
    if not options.head_layers and (options.head_width or options.head_activation):
        raise ValueError("head_width and head_activation need head_layers")
    if not options.predictors:
        if one_pass:
            raise ValueError("predictors off is for decoders with a stack: without one params are absolute")
        if not LIKELIHOODS[options.likelihood].build(options.levels, CopyCandidates.COUNT).prediction_count:
            raise ValueError(f"predictors off: the params of {options.likelihood} are absolute in any case")
    if options.xavier and one_pass and not options.use_captions:
        raise ValueError("xavier needs a stack or use_captions")
