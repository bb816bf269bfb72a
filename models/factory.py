"""`build`: a fresh model by name, and what may be combined with what."""

import torch
from torch import nn

from models import captions as caption_text
from models.anchor import Ahead, Copies, Predictions
from models.gated import GatedStack
from models.head import ColourHead, Head
from models.inpainter import Inpainter
from models.likelihoods import LEVELS, LIKELIHOODS, Categorical, Grey, Likelihood
from models.net import Net
from models.pixelcnn import PixelCNNStack
from models.pixelcnnpp import PixelCNNppStack
from models.pixelrnn import DiagonalBiLSTMStack, RowLSTMStack
from models.pixelsnail import PixelSNAILStack
from models.scales import Finer, Half, Quarters
from models.stack import Canvas, Hole, Stack
from models.towers import UNET_SIZES, Ift6266Tower, UNetTower

STACKS = {
    "pixelcnn": PixelCNNStack,
    "rowlstm": RowLSTMStack,
    "diagbilstm": DiagonalBiLSTMStack,
    "gated": GatedStack,
    "pixelcnnpp": PixelCNNppStack,
    "pixelsnail": PixelSNAILStack,
}
INNER = ("contour", *STACKS)  # decoders of one scale
DECODERS = (*INNER, "multiscale", "parallel")
HALVINGS = 3  # of `parallel`
TOWERS = ("unet", "ift6266")
CAPTION_INJECTIONS = ("last", "all")
MOST_BLOCKS, MOST_CHANNELS = 100, 1024
OPTIONS_OF = {
    "width": ("pixelcnn", "rowlstm", "diagbilstm", "gated", "pixelcnnpp"),
    "blocks": ("pixelcnn", "rowlstm", "diagbilstm", "gated"),
    "layer_norm": ("pixelcnn",),
    "residual_connections": ("rowlstm", "diagbilstm"),
    "skip_connections": ("pixelcnn", "rowlstm", "diagbilstm"),
    "dilation": ("pixelcnn", "rowlstm", "gated"),
}


def build(
    decoder: str = "contour",
    likelihood: str = "bernoulli",
    size: str = "s",
    image_size: int = 64,
    hole: Hole = (16, 16, 32, 32),
    *,
    channels: int = 3,
    use_captions: bool = True,
    tower: str = "unet",
    dropout: float = 0.25,
    levels: int = LEVELS,
    caption_injection: str = "last",
    inner: str | None = None,
    color_conditioning: bool = True,
    width: int | None = None,
    blocks: int | None = None,
    layer_norm: bool | None = None,
    residual_connections: bool | None = None,
    skip_connections: bool | None = None,
    dilation: bool | None = None,
    head_width: int | None = None,
) -> Inpainter:
    """A fresh model.

    Args:
      decoder: one of DECODERS.
      likelihood: one of LIKELIHOODS; `bernoulli` on a causal decoder needs levels=2.
      size: xs, s, m or l; width and depth of the tower and the stack.
      image_size: of the square image, pixels.
      hole: [top, left, height, width], inside the image.
      channels: 3, or 1 for grey images: all three channels are alike, and red's nats are the image's.
      use_captions: whether the caption encoder is there.
      tower: `unet`, or `ift6266` for the 2017 net (one size, no dropout, a head of 32 channels with `contour`).
      dropout: rate of the tower's channel dropout, and of that in the blocks of pixelcnnpp and pixelsnail,
        0 <= rate < 1.
      levels: to which sub-pixels are rounded, 2 to 256; fewer than 256 for `categorical` and, 2, for `bernoulli`.
      caption_injection: `last` for the caption map in the last layers, `all` for the caption's summary in each layer
        of the causal stack as well, which in `parallel` draws the coarsest pixels only.
      inner: of `multiscale`: the decoder in both of its scales, one of INNER; None for gated.
      color_conditioning: whether, in a causal decoder, a pixel's green depends on its red and its blue on both.
      width: channels of the causal stack, an even number, for colour groups one that 6 divides; None for the size's. Of
        all stacks but `pixelsnail`.
      blocks: of `pixelcnn`, `rowlstm`, `diagbilstm` and `gated`: how many blocks or layers; None for the size's
        number.
      layer_norm: of `pixelcnn`; None for yes.
      residual_connections: of `rowlstm` and `diagbilstm`; None for yes.
      skip_connections: of these and of `pixelcnn`; None for yes.
      dilation: of `pixelcnn`, `rowlstm` and `gated`: whether kernels of successive layers spread 1, 2, 4 and 8 pixels;
        None for yes.
      head_width: channels of the two 1x1 layers, one that 3 divides where colours are conditioned by them; None for
        what fits tower and stack.

    Raises: ValueError naming the argument that is out of range, or what cannot be combined.
    """
    hole = tuple(int(value) for value in hole)
    config = {
        "decoder": decoder,
        "likelihood": likelihood,
        "size": size,
        "image_size": image_size,
        "hole": hole,
        "channels": channels,
        "use_captions": use_captions,
        "tower": tower,
        "dropout": dropout,
        "levels": levels,
        "caption_injection": caption_injection,
        "inner": inner,
        "color_conditioning": color_conditioning,
        "width": width,
        "blocks": blocks,
        "layer_norm": layer_norm,
        "residual_connections": residual_connections,
        "skip_connections": skip_connections,
        "dilation": dilation,
        "head_width": head_width,
    }
    _check_ranges(config)
    check_combination(config)
    distribution = _likelihood(config)
    net = _scales(config, distribution, hole, image_size)
    encoder = caption_text.CaptionEncoder(image_size, xavier=tower == "ift6266") if use_captions else None
    model = Inpainter(net, distribution, encoder, config)
    return model.to(memory_format=torch.channels_last)


def check_combination(options: dict) -> None:
    """Raise ValueError for arguments of `build` that do not fit one another; each by itself is in its range."""
    decoder, likelihood, levels = options["decoder"], options["likelihood"], options["levels"]
    if levels < LEVELS and likelihood not in ("categorical", "bernoulli"):
        raise ValueError(f"levels: {likelihood} works on all {LEVELS}, not on {levels}")
    if likelihood == "bernoulli" and levels not in (2, LEVELS):
        raise ValueError(f"levels: bernoulli works on 2 or {LEVELS}, not on {levels}")
    if options["inner"] is not None and decoder != "multiscale":
        raise ValueError(f"inner is an option of multiscale, not of {decoder}")
    if options["tower"] == "ift6266" and decoder in ("multiscale", "parallel"):
        raise ValueError(f"tower ift6266 cannot tell known pixels from black, which {decoder} needs")
    inner = _inner(options)
    if inner == "contour" and (options["caption_injection"] == "all" or not options["color_conditioning"]):
        name = "caption_injection all" if options["color_conditioning"] else "color_conditioning off"
        raise ValueError(f"{name} is for causal decoders; contour has no stack")
    if decoder != "contour" and likelihood == "bernoulli" and levels != 2:
        raise ValueError(
            f"likelihood bernoulli with decoder {decoder} needs levels 2: on shades it is no distribution from which "
            "the next pixel could be drawn"
        )
    if likelihood == "logistic-mixture" and not options["color_conditioning"]:
        raise ValueError("color_conditioning cannot be off for logistic-mixture, which couples the colours itself")
    if options["caption_injection"] == "all" and not options["use_captions"]:
        raise ValueError("caption_injection all needs use_captions")
    divisor = 6 if inner == "pixelcnn" and _by_colour(options) else 2
    if options["width"] is not None and options["width"] % divisor:
        raise ValueError(f"width must be a multiple of {divisor} here, not {options['width']}")
    if options["head_width"] is not None and inner != "contour" and _by_colour(options) and options["head_width"] % 3:
        raise ValueError(f"head_width must be a multiple of 3 here, not {options['head_width']}")
    for name, decoders in OPTIONS_OF.items():
        if options[name] is not None and inner not in decoders:
            raise ValueError(f"{name} is an option of {', '.join(decoders)}, not of {inner}")


def _check_ranges(options: dict) -> None:
    """Raise ValueError for an argument of `build` that is out of range."""
    choices = {
        "decoder": DECODERS,
        "likelihood": LIKELIHOODS,
        "size": UNET_SIZES,
        "tower": TOWERS,
        "caption_injection": CAPTION_INJECTIONS,
        "inner": (None, *INNER),
    }
    for name, known in choices.items():
        if options[name] not in known:
            raise ValueError(f"{name} must be one of {', '.join(map(str, known))}, not {options[name]!r}")
    if not 0 <= options["dropout"] < 1:
        raise ValueError(f"dropout must be in [0, 1), not {options['dropout']}")
    if options["channels"] not in (1, 3):
        raise ValueError(f"channels must be 1 or 3, not {options['channels']!r}")
    (top, left, h, w), side = options["hole"], options["image_size"]
    if top < 0 or left < 0 or h < 1 or w < 1 or top + h > side or left + w > side:
        raise ValueError(f"hole {list(options['hole'])} does not lie in a {side} x {side} image")
    for name in ("layer_norm", "residual_connections", "skip_connections", "dilation"):
        if options[name] is not None and type(options[name]) is not bool:
            raise ValueError(f"{name} must be True, False or None, not {options[name]!r:.60}")
    most = {
        "levels": (2, LEVELS),
        "width": (4, MOST_CHANNELS),
        "blocks": (1, MOST_BLOCKS),
        "head_width": (3, MOST_CHANNELS),
    }
    for name, (low, high) in most.items():
        value = options[name]
        if value is not None and not (type(value) is int and low <= value <= high):
            raise ValueError(f"{name} must be between {low} and {high}, not {value!r}")


def _by_colour(options: dict) -> bool:
    """Whether head and, where it can, stack have their channels in colour groups. Without `channels`, which a config
    does not know, as if of grey images: `build` will tell."""
    coupled = options.get("channels", 1) == 1 or LIKELIHOODS[options["likelihood"]].coupled
    return options["color_conditioning"] and not coupled


def _inner(options: dict) -> str:
    """The decoder of one scale: of `multiscale` that inside, of `parallel` that of the coarsest grid."""
    inside = {"multiscale": options["inner"] or "gated", "parallel": "gated"}
    return inside.get(options["decoder"], options["decoder"])


def _likelihood(config: dict) -> Likelihood:
    name, levels = config["likelihood"], config["levels"]
    if name == "categorical":
        likelihood = Categorical(levels, 0 if _inner(config) == "contour" else Copies.COUNT)
    else:
        likelihood = LIKELIHOODS[name](levels) if levels < LEVELS else LIKELIHOODS[name]()
    return Grey(likelihood) if config["channels"] == 1 else likelihood


def _scales(
    config: dict, likelihood: Likelihood, hole: Hole, image_size: int, halvings: int | None = None, channels: int = 4
):
    """A `Net`, or for `multiscale` and `parallel` a `Finer`; `halvings`: how many are left to do; `channels`: of what
    its towers read."""
    if halvings is None:
        halvings = {"multiscale": 1, "parallel": HALVINGS}.get(config["decoder"], 0)
    if not halvings:
        return _net(config, likelihood, hole, image_size, channels)
    half = Half(hole, image_size)
    coarse = _scales(config, likelihood, half.hole, half.image_size, halvings - 1, 4 * channels)
    if config["decoder"] == "multiscale":
        fine = _net(config, likelihood, hole, image_size, channels, ahead=True)
    else:
        tower = UNetTower(hole, image_size, config["size"], channels, config["dropout"])
        head = _head(config, tower.out_channels, likelihood, None)
        fine = Quarters(tower, head, likelihood, hole, image_size, copies=config["likelihood"] == "categorical")
    return Finer(coarse, fine, hole, image_size)


def _net(config: dict, likelihood: Likelihood, hole: Hole, image_size: int, channels: int, ahead: bool = False) -> Net:
    """`channels`: of what its tower reads; `ahead`: whether some of the hole's pixels are known beforehand."""
    whole = tuple(hole[2:]) == (image_size, image_size) and not ahead
    if config["tower"] == "ift6266":
        tower = Ift6266Tower(hole, image_size)
    else:
        tower = UNetTower(hole, image_size, config["size"], channels, config["dropout"])
    if _inner(config) == "contour":
        head = _contour_head(config, tower.out_channels, likelihood)
        return Net(tower, None, head, None, likelihood, blank=whole)
    canvas = Canvas(hole, image_size)
    stack, anchor = _stack(config, canvas, tower.out_channels, likelihood), None
    if config["likelihood"] == "categorical":
        anchor = Copies(canvas)
    elif likelihood.anchors:
        anchor = (Ahead if ahead else Predictions)(canvas, likelihood.anchors)
    head = _head(config, tower.out_channels, likelihood, stack)
    return Net(tower, stack, head, anchor, likelihood, blank=whole)


def _stack(config: dict, canvas: Canvas, tower_channels: int, likelihood: Likelihood) -> Stack:
    injected = config["caption_injection"] == "all"
    caption_channels = config["image_size"] + caption_text.CaptionEncoder.FOUND if injected else 0
    options = {name: config[name] for name in OPTIONS_OF if config[name] is not None}
    return STACKS[_inner(config)](
        canvas,
        config["size"],
        tower_channels,
        caption_channels,
        dropout=config["dropout"],
        color_conditioning=_by_colour(config),
        **options,
    )


def _contour_head(config: dict, tower_channels: int, likelihood: Likelihood) -> Head:
    activation, width = nn.SiLU, max(64, 2 * tower_channels)
    if config["tower"] == "ift6266":
        activation, width = nn.ReLU, 32
    return Head(tower_channels, config["head_width"] or width, likelihood, config["use_captions"], activation)


def _head(config: dict, tower_channels: int, likelihood: Likelihood, stack: Stack | None) -> Head:
    """Of what starts from known pixels."""
    channels, grouped = (stack.channels, stack.grouped) if stack else (0, False)
    parts = 3 if _by_colour(config) else 2
    width = config["head_width"] or parts * max(64, channels)
    rest = (likelihood, config["use_captions"], nn.SiLU, channels, True)
    if not _by_colour(config):
        return Head(tower_channels, width, *rest)
    return ColourHead(tower_channels, width // 3, *rest, grouped=grouped)
