"""Every kind of model there is, small: what a test of all of them is parametrised by."""

import itertools

import torch
from checkpoint_makers import fresh_model

from models import DECODERS, LIKELIHOODS, TOWERS

KINDS = [
    {"decoder": decoder, "tower": tower, "likelihood": likelihood}
    for decoder, tower, likelihood in itertools.product(DECODERS, TOWERS, LIKELIHOODS)
]


def name_of(kind):
    return "-".join(kind.values())


def shaken_model(kind, **options):
    """A fresh model whose every weight counts: noise takes the place of the zeros that layers begin with.

    Its last layer is tamed, so that its nats are such as a model's are, not a hundred bits a sub-pixel.
    """
    model = fresh_model(**kind, **options)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            scale = 0.1 / max(parameter[0].numel(), 1) ** 0.5 if parameter.dim() > 1 else 0.1
            parameter.add_(scale * torch.randn(parameter.shape, generator=generator))
        model.head.out.weight.mul_(0.2)
    return model
