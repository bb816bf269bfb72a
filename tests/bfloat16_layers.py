"""How far each layer's output and gradients in bfloat16 are from those in float32, one line a layer unlike the others:

    python tests/bfloat16_layers.py DECODER SIZE [--width N] ...     relative error, decoder, size, layer

A program of its own, so that a layer that ends the process fails a test and no more, and so that a test can choose
oneDNN's instructions (ONEDNN_MAX_CPU_ISA).
"""

import argparse

import torch
from every_model import kind
from torch import nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from models import TOWERS, build
from models.border_tower import SelfAttention
from models.layers.attention import CausalAttention
from models.layers.gru import BidirectionalGRU
from models.layers.lstm import DiagonalBiLSTM, RowLSTM
from models.layers.norm import PixelNorm

WITH_PRODUCTS = (
    *(nn.Conv2d, nn.Conv1d, nn.Linear, PixelNorm),
    *(RowLSTM, DiagonalBiLSTM, CausalAttention, SelfAttention, BidirectionalGRU),
)


class Calls:
    """Calls of a model's layers in a pass under autocast, each that differs from the others once.

    Attributes:
      seen: {what tells it from others: (name, module, arguments, whether autocast was on)}.
    """

    def __init__(self):
        self.seen, self.hooks = {}, []

    def watch(self, model):
        for name, module in model.named_modules():
            if isinstance(module, WITH_PRODUCTS):
                hook = module.register_forward_hook(lambda *called, name=name: self._add(name, *called[:2]))
                self.hooks.append(hook)

    def _add(self, name, module, arguments):
        tensors = [x for x in tree_flatten(arguments)[0] if isinstance(x, torch.Tensor)]
        on = torch.is_autocast_enabled("cpu")
        weights = [(own, tuple(x.shape)) for own, x in module.named_parameters()]
        shape = [getattr(module, option, None) for option in ("stride", "dilation", "groups", "padding")]
        key = str((type(module), weights, shape, on, [(x.shape, x.stride(), x.dtype) for x in tensors]))
        self.seen.setdefault(key, (name, module, arguments, on))


def results(module, arguments, on):
    """A layer's outputs, and the gradients of a random sum of them to its weights and its inputs, by name."""
    leaves, form = tree_flatten(arguments)
    leaves = [x.detach().clone().requires_grad_() if isinstance(x, torch.Tensor) else x for x in leaves]
    with torch.autocast("cpu", torch.bfloat16, enabled=on):
        out = module(*tree_unflatten(leaves, form))
    generator = torch.Generator().manual_seed(2)
    outputs = tree_flatten(out)[0]
    loss = sum((y.float() * torch.randn(y.shape, generator=generator)).sum() for y in outputs)
    inputs = [x for x in leaves if isinstance(x, torch.Tensor)]
    names = [*(name for name, _ in module.named_parameters()), *(f"input {k}" for k in range(len(inputs)))]
    found = torch.autograd.grad(loss, [*module.parameters(), *inputs], allow_unused=True)
    results = {name: x.float() for name, x in zip(names, found, strict=True) if x is not None}
    return results | {f"output {k}": y.detach().float() for k, y in enumerate(outputs)}


def worst(module, arguments, on):
    """(relative error, of what) of the result that is furthest from float32's; infinite if it is not finite."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in module.parameters():
            fan_in = max(weight[0].numel(), 1) if weight.dim() > 1 else 16
            weight.copy_(torch.randn(weight.shape, generator=generator) / fan_in**0.5)
    leaves, form = tree_flatten(arguments)
    random = [x.detach().clone().copy_(torch.randn(x.shape, generator=generator)) for x in leaves]
    in_float32 = tree_unflatten([x.float() for x in random], form)
    expected, found = results(module, in_float32, False), results(module, tree_unflatten(random, form), on)
    errors = [(float("inf"), name) for name, x in found.items() if not x.isfinite().all()]
    errors += [((found[name] - x).norm().item() / x.norm().item(), name) for name, x in expected.items() if x.any()]
    return max(errors)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("decoder")
    parser.add_argument("size")
    parser.add_argument("--width", type=int)
    given = parser.parse_args()
    torch.set_num_threads(1)
    calls = Calls()
    for likelihood in ("logistic-mixture", "categorical"):  # colors coupled by the likelihood, and by the network
        towers = [name for name, tower in TOWERS.items() if not tower.empty]
        for tower in towers if given.decoder == "contour" else ["unet"]:
            options = kind(given.decoder, likelihood, tower, size=given.size, width=given.width)
            model = build(**options, caption_injection="last" if given.decoder == "contour" else "all")
            calls.watch(model)
            photos = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
                model.log_prob(photos, photos[:, :, :32, :32], ["a dog", "a red bus"])
    for hook in calls.hooks:
        hook.remove()
    for name, module, arguments, on in calls.seen.values():
        error, of = worst(module, arguments, on)
        print(f"{error:.5f}\t{given.decoder} {given.size}\t{name} {of}", flush=True)


if __name__ == "__main__":
    main()
