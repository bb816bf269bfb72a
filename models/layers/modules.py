"""Lists of modules that keep their members' type, and initial weights."""

from collections.abc import Iterable, Sequence
from typing import TypeVar, cast

from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)


def module_list(modules: Iterable[Module]) -> Sequence[Module]:
    """An nn.ModuleList, typed by what it holds."""
    return cast(Sequence[Module], nn.ModuleList(modules))


def module_lists(rows: Iterable[Iterable[Module]]) -> Sequence[Sequence[Module]]:
    """An nn.ModuleList of them, typed by what they hold."""
    return cast(Sequence[Sequence[Module]], nn.ModuleList(nn.ModuleList(row) for row in rows))


def xavier_(weight: Tensor, bias: Tensor | None) -> None:
    """Xavier's uniform weights, and zero biases."""
    nn.init.xavier_uniform_(weight)
    if bias is not None:
        nn.init.zeros_(bias)


def xavier_all_(module: nn.Module) -> None:
    """`xavier_` of every convolution and linear layer inside; norms keep their weights."""
    for name, parameter in module.named_parameters():
        kind = name.rpartition(".")[2]
        if kind == "weight" and parameter.ndim > 1:
            nn.init.xavier_uniform_(parameter)
        elif kind == "bias":
            nn.init.zeros_(parameter)


def zero_(layer: nn.Conv2d | nn.Linear) -> None:
    """Weights and biases of zero."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
