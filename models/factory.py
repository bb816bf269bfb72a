"""`build`: a fresh model by name, and what may be combined with what."""

import torch
from torch import nn

from models import captions as caption_text
from models.anchor import Copies, Predictions
from models.gated import GatedStack
from models.head import ColourHead, Head
from models.inpainter import Inpainter
from models.likelihoods import LEVELS, LIKELIHOODS, Categorical, Likelihood
from models.pixelcnn import PixelCNNStack
from models.pixelcnnpp import PixelCNNppStack
from models.pixelsnail import PixelSNAILStack
from models.stack import Canvas, Hole, Stack
from models.towers import UNET_SIZES, Ift6266Tower, UNetTower

STACKS = {"pixelcnn": PixelCNNStack, "gated": GatedStack, "pixelcnnpp": PixelCNNppStack, "pixelsnail": PixelSNAILStack}
DECODERS = ("contour", *STACKS)
TOWERS = ("unet", "ift6266")
CAPTION_INJECTIONS = ("last", "all")
MOST_BLOCKS = 100
OPTIONS_OF = {
    "blocks": ("pixelcnn", "gated"),
    "layer_norm": ("pixelcnn",),
    "skip_connections": ("pixelcnn",),
    "dilation": ("pixelcnn", "gated"),
}


def build(
    decoder: str = "contour",
    likelihood: str = "bernoulli",
    size: str = "s",
    image_size: int = 64,
    hole: Hole = (16, 16, 32, 32),
    *,
    use_captions: bool = True,
    tower: str = "unet",
    dropout: float = 0.25,
    levels: int = LEVELS,
    caption_injection: str = "last",
    color_conditioning: bool = True,
    blocks: int | None = None,
    layer_norm: bool | None = None,
    skip_connections: bool | None = None,
    dilation: bool | None = None,
) -> Inpainter:
    """A fresh model.

    Args:
      decoder: one of DECODERS.
      likelihood: one of LIKELIHOODS; `bernoulli` on a causal decoder needs levels=2.
      size: xs, s, m or l; width and depth of the tower and the stack.
      image_size: of the square image, pixels.
      hole: [top, left, height, width], inside the image.
      use_captions: whether the caption encoder is there.
      tower: `unet`, or `ift6266` for the 2017 net (one size, no dropout, a head of 32 channels with `contour`).
      dropout: rate of the tower's channel dropout, and of that in the blocks of pixelcnnpp and pixelsnail,
        0 <= rate < 1.
      levels: to which sub-pixels are rounded, 2 to 256; fewer than 256 for `categorical` and, 2, for `bernoulli`.
      caption_injection: `last` for the caption map in the last layers, `all` for the caption's summary in each layer
        of the causal stack as well.
      color_conditioning: whether, in a causal decoder, a pixel's green depends on its red and its blue on both.
      blocks: of `pixelcnn` and `gated`: how many blocks or layers; None for the size's number.
      layer_norm, skip_connections: of `pixelcnn`; None for yes.
      dilation: of `pixelcnn` and `gated`: whether kernels of successive layers spread 1, 2, 4 and 8 pixels; None for
        yes.

    Raises: ValueError naming the argument that is out of range, or what cannot be combined.
    """
    hole = tuple(int(value) for value in hole)
    config = {
        "decoder": decoder,
        "likelihood": likelihood,
        "size": size,
        "image_size": image_size,
        "hole": hole,
        "use_captions": use_captions,
        "tower": tower,
        "dropout": dropout,
        "levels": levels,
        "caption_injection": caption_injection,
        "color_conditioning": color_conditioning,
        "blocks": blocks,
        "layer_norm": layer_norm,
        "skip_connections": skip_connections,
        "dilation": dilation,
    }
    _check_ranges(config)
    check_combination(config)
    distribution = _likelihood(config)
    plain = tower == "ift6266"
    body = Ift6266Tower(hole, image_size) if plain else UNetTower(hole, image_size, size, dropout=dropout)
    encoder = caption_text.CaptionEncoder(image_size, xavier=plain) if use_captions else None
    if decoder == "contour":
        activation, width = (nn.ReLU, 32) if plain else (nn.SiLU, max(64, 2 * body.out_channels))
        head = Head(body.out_channels, width, distribution, use_captions, activation)
        stack = anchor = None
    else:
        stack = _stack(config, body.out_channels, distribution)
        anchor = None
        if likelihood == "categorical":
            anchor = Copies(stack.canvas)
        elif distribution.anchors:
            anchor = Predictions(stack.canvas, distribution.anchors)
        head = _head_of(stack, body.out_channels, distribution, use_captions, color_conditioning)
    model = Inpainter(body, stack, distribution, head, anchor, encoder, config)
    return model.to(memory_format=torch.channels_last)


def check_combination(options: dict) -> None:
    """Raise ValueError for arguments of `build` that do not fit one another; each by itself is in its range."""
    decoder, likelihood, levels = options["decoder"], options["likelihood"], options["levels"]
    if levels < LEVELS and likelihood not in ("categorical", "bernoulli"):
        raise ValueError(f"levels: {likelihood} works on all {LEVELS}, not on {levels}")
    if likelihood == "bernoulli" and levels not in (2, LEVELS):
        raise ValueError(f"levels: bernoulli works on 2 or {LEVELS}, not on {levels}")
    if decoder == "contour":
        if options["caption_injection"] == "all" or not options["color_conditioning"]:
            name = "caption_injection all" if options["color_conditioning"] else "color_conditioning off"
            raise ValueError(f"{name} is for causal decoders; contour has no stack")
    elif likelihood == "bernoulli" and levels != 2:
        raise ValueError(
            f"likelihood bernoulli with decoder {decoder} needs levels 2: on shades it is no distribution from which "
            "the next pixel could be drawn"
        )
    elif likelihood == "logistic-mixture" and not options["color_conditioning"]:
        raise ValueError("color_conditioning cannot be off for logistic-mixture, which couples the colours itself")
    if options["caption_injection"] == "all" and not options["use_captions"]:
        raise ValueError("caption_injection all needs use_captions")
    for name, decoders in OPTIONS_OF.items():
        if options[name] is not None and decoder not in decoders:
            raise ValueError(f"{name} is an option of {' and '.join(decoders)}, not of {decoder}")


def _check_ranges(options: dict) -> None:
    """Raise ValueError for an argument of `build` that is out of range."""
    choices = {
        "decoder": DECODERS,
        "likelihood": LIKELIHOODS,
        "size": UNET_SIZES,
        "tower": TOWERS,
        "caption_injection": CAPTION_INJECTIONS,
    }
    for name, known in choices.items():
        if options[name] not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}, not {options[name]!r}")
    if not 0 <= options["dropout"] < 1:
        raise ValueError(f"dropout must be in [0, 1), not {options['dropout']}")
    (top, left, h, w), side = options["hole"], options["image_size"]
    if top < 0 or left < 0 or h < 1 or w < 1 or top + h > side or left + w > side:
        raise ValueError(f"hole {list(options['hole'])} does not lie in a {side} x {side} image")
    for name in ("layer_norm", "skip_connections", "dilation"):
        if options[name] is not None and type(options[name]) is not bool:
            raise ValueError(f"{name} must be True, False or None, not {options[name]!r:.60}")
    for name, low, high in (("levels", 2, LEVELS), ("blocks", 1, MOST_BLOCKS)):
        value = options[name]
        if value is not None and not (type(value) is int and low <= value <= high):
            raise ValueError(f"{name} must be between {low} and {high}, not {value!r}")


def _likelihood(config: dict) -> Likelihood:
    name, levels = config["likelihood"], config["levels"]
    if name == "categorical":
        return Categorical(levels, 0 if config["decoder"] == "contour" else Copies.COUNT)
    return LIKELIHOODS[name](levels) if levels < LEVELS else LIKELIHOODS[name]()


def _stack(config: dict, tower_channels: int, likelihood: Likelihood) -> Stack:
    canvas = Canvas(config["hole"], config["image_size"])
    injected = config["caption_injection"] == "all"
    caption_channels = config["image_size"] + caption_text.CaptionEncoder.FOUND if injected else 0
    options = {name: config[name] for name in OPTIONS_OF if config[name] is not None}
    by_colour = config["color_conditioning"] and not likelihood.coupled
    return STACKS[config["decoder"]](
        canvas,
        config["size"],
        tower_channels,
        caption_channels,
        dropout=config["dropout"],
        color_conditioning=by_colour,
        **options,
    )


def _head_of(
    stack: Stack, tower_channels: int, likelihood: Likelihood, use_captions: bool, color_conditioning: bool
) -> Head:
    width = max(64, stack.channels)
    rest = (likelihood, use_captions, nn.SiLU, stack.channels)
    if likelihood.coupled or not color_conditioning:
        return Head(tower_channels, 2 * width, *rest)
    return ColourHead(tower_channels, width, *rest, grouped=stack.grouped)
