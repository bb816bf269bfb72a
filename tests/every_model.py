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


CONTOURS = [kind("contour", likelihood, tower) for tower, likelihood in itertools.product(TOWERS, LIKELIHOODS)]
CAUSAL = [kind(decoder, likelihood) for decoder, likelihood in itertools.product(STACKS, LIKELIHOODS)]
KINDS = CONTOURS + CAUSAL


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
