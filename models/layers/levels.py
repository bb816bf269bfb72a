"""Maps of several resolutions within one stack."""

from collections.abc import Iterable, Sequence
from typing import cast

from torch import Tensor, nn

from models.layers.maps import Conv1x1
from models.layers.modules import Module


class Levels(nn.ModuleList):
    """Modules of which the k-th reads maps that were halved k times. So its twin knows which of their rows are due."""


def levels(modules: Iterable[Module]) -> Sequence[Module]:
    """`Levels`, typed by what they hold."""
    return cast(Sequence[Module], Levels(modules))


class Upsample(Conv1x1):
    """To twice the resolution, each pixel giving four: (B, C_in, h, w) -> (B, C_out, H, W)."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__(inputs, 4 * outputs)

    def forward(self, x: Tensor, like: Tensor) -> Tensor:  # type: ignore[override]
        """`like` is a map of the output's height and width."""
        y = super().forward(x).unflatten(1, (2, 2, -1))  # (B, 2, 2, C_out, h, w): row and column within four pixels
        y = y.permute(0, 4, 1, 5, 2, 3).flatten(3, 4).flatten(1, 2)  # (B, 2 h, 2 w, C_out), channels last in memory
        return y[:, : like.shape[2], : like.shape[3]].permute(0, 3, 1, 2)
