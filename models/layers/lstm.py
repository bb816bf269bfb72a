"""PixelRNN's [1] LSTM layers over whole maps: from row to row, and along both diagonals.

One convolution computes the input-to-state gates of all pixels; one scan, over rows or over the diagonals of both
directions at once, does the rest. lstm_steps.py has the twins.

[1] van den Oord, Kalchbrenner, Kavukcuoglu 2016, arXiv:1601.06759
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers.maps import CausalConv, Conv1x1, VerticalConv
from models.layers.masked import Reach, shift_down
from models.layers.modules import module_list


def lstm(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """One LSTM step, in the cell's precision: gates (..., 4C) and the last cell (..., C) -> state and cell (..., C)."""
    into, keep, out, new = gates.to(cell.dtype).chunk(4, dim=-1)
    cell = torch.addcmul(torch.sigmoid(keep) * cell, torch.sigmoid(into), torch.tanh(new))
    return torch.sigmoid(out) * torch.tanh(cell), cell


class RowLSTM(nn.Module):
    """A pixel's gates depend on its row so far (input to state) and on the states of the three nearest pixels in the
    row above (state to state): 2C channels -> C.

    Args:
      channels: C.
      dilation: of the input-to-state kernel, which reads the pixel itself and one before it.
    """

    def __init__(self, channels: int, dilation: int):
        super().__init__()
        self.channels = channels
        self.input = CausalConv(2 * channels, 4 * channels, Reach(above=0, left=1), dilation=dilation)
        self.state = VerticalConv(channels, 4 * channels, rows=1, side=1, bias=False)

    def forward(self, x: Tensor, pixel: Tensor, condition: Tensor | None) -> Tensor:
        """(B, 2C, H, W) and the condition (B, 4C, H, W) -> (B, C, H, W). `pixel` is read by DiagonalBiLSTM only."""
        gates = self.input(x, condition)
        rows = gates.permute(2, 0, 3, 1).unbind(0)  # (B, W, 4C) each
        kernel = self.state.kernel().to(gates.dtype)[:, :, 0].permute(2, 1, 0).flatten(0, 1)  # (3C, 4C)
        cell = gates.new_zeros(*rows[0].shape[:2], self.channels, dtype=self.state.weight.dtype)
        state, states = None, []
        for row in rows:
            if state is not None:
                near = F.pad(state.to(row.dtype), (0, 0, 1, 1))
                row = row + torch.cat([near[:, :-2], near[:, 1:-1], near[:, 2:]], dim=2) @ kernel
            state, cell = lstm(row, cell)
            states.append(state)
        return torch.stack(states).permute(1, 3, 0, 2)


class DiagonalBiLSTM(nn.Module):
    """One direction's state at a pixel depends on the left neighbour and the one above, the other's on the right
    neighbour and the one above. The latter is shifted down by a row, so that nothing leaks, and so it may also read the
    pixel itself, which the paper's does not: 2C channels -> C.

    Args:
      channels: C.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.channels = channels
        self.input = Conv1x1(2 * channels, 8 * channels)
        self.own = Conv1x1(3, 4 * channels, bias=False)
        self.beside, self.above = (
            module_list(nn.Linear(channels, 4 * channels, bias=False) for _ in range(2)) for _ in range(2)
        )

    def forward(self, x: Tensor, pixel: Tensor, condition: Tensor | None) -> Tensor:
        """(B, 2C, H, W), the pixels themselves (B, 3, H, W) and the condition (B, 8C, H, W) -> (B, C, H, W)."""
        gates = self.input(x) if condition is None else self.input(x) + condition
        left, right = gates.chunk(2, dim=1)
        return self._scan(left, right + self.own(pixel))

    def _scan(self, left: Tensor, right: Tensor) -> Tensor:
        """Scan the diagonals of both directions at once: gates (B, 4C, H, W) of each -> (B, C, H, W)."""
        both = skewed(torch.stack([left, right.flip(3)]).permute(0, 1, 3, 4, 2))  # (2, B, H, W + H - 1, 4C)
        diagonals = both.permute(3, 0, 1, 2, 4).flatten(2, 3).unbind(0)  # (2, B H, 4C) each
        pairs = zip(self.beside, self.above, strict=True)
        kernels = torch.stack(  # (2, 2C, 4C): of the pixel beside in the same row, and of that above
            [torch.cat([beside.weight, above.weight], dim=1).T for beside, above in pairs]
        ).to(both.dtype)
        shape = (*both.shape[:3], self.channels)
        cell = both.new_zeros(2, shape[1] * shape[2], self.channels, dtype=self.own.weight.dtype)
        state, states = None, []
        for diagonal in diagonals:
            if state is not None:
                before = state.to(diagonal.dtype).view(shape)  # whose rows are those of the map
                near = torch.cat([before, F.pad(before[:, :, :-1], (0, 0, 1, 0))], dim=3)
                diagonal = torch.baddbmm(diagonal, near.flatten(1, 2), kernels)
            state, cell = lstm(diagonal, cell)
            states.append(state)
        whole = torch.stack(states).view(len(states), *shape).permute(1, 2, 3, 0, 4)  # (2, B, H, W + H - 1, C)
        left, right = straightened(whole).permute(0, 1, 4, 2, 3)  # (B, C, H, W)
        return left + shift_down(right.flip(3))


def skewed(x: Tensor) -> Tensor:
    """Shift each row a pixel further right than the one above: (..., H, W, C) -> (..., H, W + H - 1, C). Diagonals
    become columns, and the pixels to the left of a pixel and above it are in the column before."""
    height, width = x.shape[-3:-1]
    x = F.pad(x, (0, 0, 0, height)).flatten(-3, -2)[..., : height * (width + height - 1), :]
    return x.unflatten(-2, (height, width + height - 1))


def straightened(x: Tensor) -> Tensor:
    """The inverse of `skewed`: (..., H, W + H - 1, C) -> (..., H, W, C)."""
    height, diagonals = x.shape[-3:-1]
    x = F.pad(x.flatten(-3, -2), (0, 0, 0, height)).unflatten(-2, (height, diagonals + 1))
    return x[..., : diagonals + 1 - height, :]
