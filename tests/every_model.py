"""Every kind of model there is, small: what a test of all of them is parametrised by."""

import itertools

import torch
from checkpoint_makers import fresh_model

from models import DECODERS, LIKELIHOODS, TOWERS
from models.head import Head

STACKS = [decoder for decoder in DECODERS if decoder != "contour"]


def kind(decoder, likelihood, tower="unet", **options):
    if decoder != "contour" and likelihood == "bernoulli":
        options = {"levels": 2, **options}
    return {"decoder": decoder, "tower": tower, "likelihood": likelihood, **options}


BESIDE_NOTHING = [name for name, tower in TOWERS.items() if not tower.empty]  # towers that need no stack
CONTOURS = [kind("contour", likelihood, tower) for tower, likelihood in itertools.product(BESIDE_NOTHING, LIKELIHOODS)]
CONTOURS.append(
    kind(
        "contour", "bernoulli", "ift6266", map_layers="both", map_sigmoid=False, relu_clip=10.0, head_activation="relu"
    )
)
CONTOURS.append(kind("contour", "categorical", caption_injection="all"))
CAUSAL = [kind(decoder, likelihood) for decoder, likelihood in itertools.product(STACKS, LIKELIHOODS)]
BARE = {"tower": "none", "position": False}
OF_PAPERS = [  # options that undo where a decoder departs from its paper, in all combinations that matter to a layer
    kind("pixelcnn", "categorical", **BARE, predictors=False, kernel_size=7, bottleneck=False, head_layers=0, blocks=4),
    kind("pixelcnn", "bernoulli", kernel_size=5, residual_connections=False, head_layers=1, xavier=True, width=48),
    kind("rowlstm", "bernoulli", **BARE, head_activation="relu", head_layers=1, color_conditioning=False),
    kind("diagbilstm", "categorical", **BARE, predictors=False, caption_injection="all", head_layers=0),
    kind("gated", "logistic-mixture", **BARE, predictors=False, kernel_size=5, head_layers=1, map_sigmoid=False),
    kind("gated", "gaussian", tower="none", head_layers=0, caption_injection="all"),
    kind("pixelcnnpp", "logistic-mixture", **BARE, predictors=False, input_shortcuts=True, head_layers=0),
    kind("pixelsnail", "gaussian", **BARE, predictors=False, attention="gated", kernel_size=2, concat_elu=False),
    kind("pixelsnail", "categorical", attention="gated", head_layers=0, width=12, blocks=2, convolutions=2),
    kind("parallel", "categorical", predictors=False, position=False, head_layers=1),
    kind("multiscale", "gaussian", inner="gated", predictors=False, head_layers=0, kernel_size=5, xavier=True),
]
OF_ERRORS = [
    kind("pixelcnn", "logistic-mixture", error_energy=True, masks="mixed"),
    kind("gated", "logistic-mixture", error_energy=True, head_layers=0, components=12),
]
KINDS = CONTOURS + CAUSAL + OF_PAPERS + OF_ERRORS


def name_of(kind):
    return "-".join(value if isinstance(value, str) else f"{name}={value}" for name, value in kind.items())


def heads_of(model):
    return [module for module in model.modules() if isinstance(module, Head)]


def shaken_model(kind, **options):
    """A fresh model whose every weight counts: noise takes the place of the zeros that layers begin with.

    Its last layer is tamed, so that its nats are such as a model's are, not a hundred bits a sub-pixel.
    """
    model = fresh_model(**{**kind, **options})
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            scale = 0.1 / max(parameter[0].numel(), 1) ** 0.5 if parameter.dim() > 1 else 0.1
            parameter.add_(scale * torch.randn(parameter.shape, generator=generator))
        for head in heads_of(model):
            for last in [head.out] if len(head.layers) else [head.out, head.stack]:
                if last is not None:
                    for weight in last.parameters():
                        weight.mul_(0.2 if weight.dim() > 1 else 1)
            if model.likelihood_name == "gaussian":  # a fresh one calls edges all but impossible
                head.out.bias[1::2] = 0.0
    return model
