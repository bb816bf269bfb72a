"""`build`: a fresh model, put together as its options say."""

import dataclasses
import inspect
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn

from models.border_tower import TOWERS, BorderTower
from models.canvas import Canvas, Hole
from models.caption_encoder import CaptionEncoder
from models.config import MAP_LAYERS, MASKS, ModelOptions, colors_by_channel, likelihood_of, single_scale_decoder
from models.decoder import CausalDecoder, ContourDecoder, Decoder
from models.error_energy import ErrorEnergy
from models.head import ACTIVATIONS, Activation, ColorHead, Head
from models.inpainter import Inpainter
from models.layers.maps import ContextChannels
from models.layers.modules import xavier_, xavier_all_
from models.likelihoods import Grey
from models.multiscale import HalfResolution, MultiScale, ParallelUpscaler
from models.predictors import (
    CopyCandidates,
    KnownCandidates,
    LinearPredictors,
    SurroundedPredictors,
    TwoSidedPredictors,
)
from models.stacks.base import Stack
from models.stacks.families import DECODERS


def build(
    decoder: str = "contour",
    likelihood: str = "bernoulli",
    size: str = "s",
    image_size: int = 64,
    hole: Hole = (16, 16, 32, 32),
    **options: Any,
) -> Inpainter:
    """A fresh model.

    Args:
      decoder: one of DECODERS.
      likelihood: one of LIKELIHOODS; `bernoulli` on a causal decoder needs levels=2.
      size: xs, s, m or l; width and depth of the tower and the stack.
      image_size: of the square image, pixels.
      hole: [top, left, height, width], inside the image.
      options: the others that config.py lists.

    Raises: ValueError naming the option that is out of range, or what cannot be combined.
    """
    chosen = ModelOptions(
        decoder=decoder, likelihood=likelihood, size=size, image_size=image_size, hole=hole, **options
    )
    builder = Builder(chosen)
    net = builder.decoder(Site(chosen.hole, chosen.image_size), DECODERS[decoder].halvings)
    encoder = None
    if chosen.use_captions:
        xavier = chosen.xavier or TOWERS[chosen.tower].xavier
        encoder = CaptionEncoder(chosen.image_size, xavier, chosen.map_sigmoid, chosen.word_vectors)
    model = Inpainter(net, builder.likelihood, encoder, dataclasses.asdict(chosen))
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _signature() -> inspect.Signature:
    """The signature of `build` with each option by name."""
    leading = list(inspect.signature(build).parameters.values())[:-1]
    names = {parameter.name for parameter in leading}
    others = [
        inspect.Parameter(key.name, inspect.Parameter.KEYWORD_ONLY, default=key.default, annotation=key.type)
        for key in dataclasses.fields(ModelOptions)
        if key.name not in names
    ]
    return inspect.Signature([*leading, *others], return_annotation=Inpainter)


build.__signature__ = _signature()  # type: ignore[attr-defined]


class Site(NamedTuple):
    """The image of a decoder at one scale.

    Attributes:
      channels: of the image.
      finer: whether every second pixel of the hole is known.
    """

    hole: Hole
    image_size: int
    channels: int = 4
    finer: bool = False


class Builder:
    """Builds the parts of a model. The order decides which initial weights come of a seed."""

    def __init__(self, options: ModelOptions):
        self.options = options
        self.family, self.inner = DECODERS[options.decoder], DECODERS[single_scale_decoder(options)]
        self.by_color = colors_by_channel(options, options.channels)
        likelihood = likelihood_of(options, candidates=self.inner.stack is not None)
        self.likelihood = Grey(likelihood) if options.channels == 1 else likelihood

    def decoder(self, site: Site, halvings: int) -> Decoder:
        """The decoder, or with fewer halvings its coarser part."""
        if not halvings:
            return self.single_scale(site)
        half = HalfResolution(site.hole, site.image_size)
        coarse = self.decoder(Site(half.hole, half.image_size, 4 * site.channels), halvings - 1)
        finer = site._replace(finer=True)
        fine = self.upscaler(finer) if self.family.parallel else self.single_scale(finer)
        return MultiScale(coarse, fine, site.hole, site.image_size)

    def single_scale(self, site: Site) -> Decoder:
        blank = tuple(site.hole[2:]) == (site.image_size, site.image_size) and not site.finer
        tower = self.tower(site)
        if self.inner.stack is None:
            widths = (self.options.head_width or tower.head_width,) * self.options.head_layers
            activation = self.activation(tower.head_activation)
            shape = tower.out_channels, widths, self.likelihood, self.maps
            head = Head(*shape, activation, caption_channels=self.caption_channels)
            return ContourDecoder(tower, None, head, self.likelihood, blank)
        canvas = Canvas(site.hole, site.image_size)
        stack = self.stack(self.inner.stack, canvas, tower.out_channels)
        predictors = self.predictors(canvas, site.finer)
        head = self.head(tower.out_channels, stack.channels, stack.grouped)
        energy = None
        if self.options.error_energy:
            count, params = self.likelihood.prediction_count, self.likelihood.params_per_pixel
            energy = ErrorEnergy(canvas, count, head, params)
        return CausalDecoder(tower, stack, head, predictors, self.likelihood, blank, energy)

    def upscaler(self, site: Site) -> Decoder:
        tower = self.tower(site)
        head = self.head(tower.out_channels, 0, False)
        return ParallelUpscaler(tower, head, self.likelihood, site.hole, site.image_size, self.options.predictors)

    def tower(self, site: Site) -> BorderTower:
        options = self.options
        kind = TOWERS[options.tower]
        return kind.build(site.hole, site.image_size, options.size, site.channels, options.dropout, options.relu_clip)

    def stack(self, kind: type[Stack], canvas: Canvas, tower_channels: int) -> Stack:
        """A causal stack with the options of its size, or those given instead."""
        given = {**self.options.network(), "color_conditioning": self.by_color}
        theirs = kind.SIZES[self.options.size]
        names = {key.name for key in dataclasses.fields(theirs)}
        chosen = {name: value for name, value in given.items() if name in names and value is not None}
        context = ContextChannels(tower_channels, self.caption_channels)
        stack = kind(canvas, context, dataclasses.replace(theirs, **chosen))  # type: ignore[call-arg]
        if self.options.xavier:
            xavier_all_(stack)
        return stack

    def predictors(self, canvas: Canvas, finer: bool) -> LinearPredictors | CopyCandidates | None:
        count = self.likelihood.prediction_count
        if not count or not self.options.predictors:
            return None
        any_mask = self.options.masks == MASKS[1]
        if self.likelihood.weighs_candidates:
            return (KnownCandidates if any_mask else CopyCandidates)(canvas)
        if any_mask:
            return SurroundedPredictors(canvas, count)
        return (TwoSidedPredictors if finer else LinearPredictors)(canvas, count)

    @property
    def maps(self) -> int:
        """How many layers of a head the caption map enters."""
        return self.options.use_captions * (1 + (self.options.map_layers == MAP_LAYERS[1]))

    @property
    def caption_channels(self) -> int:
        """Of the captions' summary, if it enters more than the map's layers; else 0."""
        options = self.options
        if options.caption_injection != "all":
            return 0
        return CaptionEncoder.summary_size(options.image_size, options.word_vectors)

    def activation(self, default: Activation) -> Activation:
        """After the 1x1 layers."""
        if self.options.head_activation is not None:
            return ACTIVATIONS[self.options.head_activation]
        clip = self.options.relu_clip
        return default if clip is None else partial(nn.Hardtanh, 0.0, clip)

    def head(self, tower_channels: int, stack_channels: int, grouped: bool) -> Head:
        """The head of a decoder whose params are relative to predictions, unless the option says no."""
        options, by_color = self.options, self.by_color
        width = options.head_width or (3 if by_color else 2) * max(64, stack_channels)
        shape = tower_channels, (width,) * options.head_layers, self.likelihood, self.maps
        rest = self.activation(nn.SiLU), stack_channels, options.predictors
        head = ColorHead(*shape, *rest, grouped) if by_color else Head(*shape, *rest)
        if options.xavier and head.stack is not None:
            xavier_(head.stack.weight, None)
        return head
