"""PixelRNN [1]: the rows of a map, or its diagonals, read by LSTMs whose gates are convolutions.

`rowlstm` goes from row to row: a pixel's gates are made of its row so far (input-to-state) and of the states of the
three nearest pixels in the row above (state-to-state), so that it sees a triangle that widens upwards. `diagbilstm`
goes along both diagonals: from the left a pixel follows its left neighbour and the one above, from the right its right
neighbour and the one above, and what comes from the right is taken a row further down, so that nothing leaks, though
there each pixel's own intensities are read too: everything before a pixel reaches it. Over a whole map all
input-to-state gates are one convolution, and one scan over rows, or over diagonals of both directions at once, does the
rest.
Departs from [1]: colours are conditioned in the head, not by channel groups throughout; input-to-state kernels of
successive row LSTM layers are dilated (`dilation`); every layer's gates are conditioned on the border tower's map and,
with captions in all layers, on the caption's summary.

[1] van den Oord, Kalchbrenner, Kavukcuoglu 2016, arXiv:1601.06759
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.causal import Cache, CausalConv, Pointwise, RowsAbove, dilation_of, shift_down
from models.stack import Canvas, Condition, Context, Position, Stack

SIZES = {
    "xs": {"channels": 16, "layers": 2},
    "s": {"channels": 64, "layers": 5},
    "m": {"channels": 128, "layers": 7},
    "l": {"channels": 256, "layers": 12},
}


def lstm(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """(..., 4C) and the cell before (..., C) -> the state and the cell (..., C), in the cell's precision."""
    into, keep, out, new = gates.to(cell.dtype).chunk(4, dim=-1)
    cell = torch.addcmul(torch.sigmoid(keep) * cell, torch.sigmoid(into), torch.tanh(new))
    return torch.sigmoid(out) * torch.tanh(cell), cell


class RowLSTM(nn.Module):
    """One layer: 2C channels -> C.

    Args:
      channels: C.
      dilation: how far apart the two pixels are that the input-to-state kernel reads, the pixel itself and one before.
    """

    GATES = 4  # times C: of what `forward` is given

    def __init__(self, channels: int, dilation: int):
        super().__init__()
        self.channels = channels
        self.input = CausalConv(2 * channels, 4 * channels, above=0, left=1, dilation=dilation)
        self.state = RowsAbove(channels, 4 * channels, rows=1, side=1, bias=False)

    def forward(self, x: Tensor, own: Tensor, given: Tensor, cache: Cache | None) -> Tensor:
        """(B, 2C, H, W) and a part of the gates (B, 4C, H, W) -> (B, C, H, W); with a cache as any layer of `right`.

        `own`, the pixels themselves, is not for this layer.
        """
        if cache is None:
            return self._scan(self.input(x, None, given))
        kept = cache.of(self)
        if kept.get("row") != cache.row:
            self._start_row(kept, given, cache)
        gates = self.input(x, cache, kept["given"])
        here = cache.first if x.dim() == 2 else slice(cache.first, cache.end)
        state, cell = lstm(gates, kept["above"][here])
        kept["states"][here], kept["cells"][here] = state, cell
        return state

    def _start_row(self, kept: dict, given: Tensor, cache: Cache) -> None:
        blank = given.new_zeros(cache.width, given.shape[1], self.channels)
        if "row" in kept:
            given = self.state(kept["states"], cache, given)
        kept.update(row=cache.row, given=given, above=kept.get("cells", blank))
        kept.update(states=blank.clone(), cells=blank.clone())

    def _scan(self, gates: Tensor) -> Tensor:
        """Row by row from the top: (B, 4C, H, W) -> (B, C, H, W)."""
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
    """One layer: 2C channels -> C.

    Args:
      channels: C.
    """

    GATES = 8  # times C: of what `forward` is given, for the direction from the left and for that from the right

    def __init__(self, channels: int, dilation: int):
        super().__init__()
        self.channels = channels
        self.input = Pointwise(2 * channels, 8 * channels)
        self.own = Pointwise(3, 4 * channels, bias=False)
        self.beside, self.above = (
            nn.ModuleList(nn.Linear(channels, 4 * channels, bias=False) for _ in range(2)) for _ in range(2)
        )

    def forward(self, x: Tensor, own: Tensor, given: Tensor, cache: Cache | None) -> Tensor:
        """(B, 2C, H, W), the pixels themselves (B, 3, H, W) and a part of the gates (B, 8C, H, W) -> (B, C, H, W); with
        a cache as any layer of `right`."""
        gates = self.input(x)
        if cache is None:
            left, right = (gates + given).chunk(2, dim=1)
            return self._scan(left, right + self.own(own))
        kept = cache.of(self)
        if kept.get("row") != cache.row:
            self._start_row(kept, given, cache)
        if x.dim() == 2:
            return self._pixel(kept, cache.first, gates, own)
        columns = range(cache.first, cache.end)
        return torch.stack([self._pixel(kept, *of) for of in zip(columns, gates, own, strict=True)])

    def _pixel(self, kept: dict, column: int, gates: Tensor, own: Tensor) -> Tensor:
        """(B, 8C) -> (B, C): the state from the left, and that from the right a row above."""
        kept["gates"][column] = gates[:, 4 * self.channels :]
        kept["own"][column] = own  # a view: by the next row it will have been drawn
        gates = gates[:, : 4 * self.channels] + kept["given"][column]
        cell = kept["blank"]
        if column:
            gates, cell = gates + self.beside[0](kept["left"][column - 1]), kept["cells"][column - 1]
        state, cell = lstm(gates, cell)
        kept["left"][column], kept["cells"][column] = state, cell
        return state + kept["right"][column]

    def _start_row(self, kept: dict, given: Tensor, cache: Cache) -> None:
        """The row above from the right, now that all of it is known, and what it gives this one."""
        from_left, from_right = given.chunk(2, dim=-1)  # (W, B, 4C)
        blank = given.new_zeros(cache.width, given.shape[1], self.channels)
        right = blank
        if "row" in kept:
            gates = kept["gates"] + kept["from_right"] + self.above[1](kept["right"])
            gates += self.own(torch.stack(kept["own"]))
            right = self._from_right(gates, blank[0])
            from_left = from_left + self.above[0](kept["left"])
        kept.update(row=cache.row, given=from_left, from_right=from_right, right=right, blank=blank[0])
        kept.update(gates=torch.empty_like(from_right), own=[None] * cache.width)
        kept.update(left=blank.clone(), cells=blank.clone())

    def _from_right(self, gates: Tensor, blank: Tensor) -> Tensor:
        """One row, (W, B, 4C) -> (W, B, C), from its right end."""
        state = cell = blank
        states = []
        for g in gates.flip(0):
            state, cell = lstm(g + self.beside[1](state), cell)
            states.append(state)
        return torch.stack(states).flip(0)

    def _scan(self, left: Tensor, right: Tensor) -> Tensor:
        """Diagonal by diagonal, both directions at once: gates (B, 4C, H, W) of each -> (B, C, H, W)."""
        both = skewed(torch.stack([left, right.flip(3)]).permute(0, 1, 3, 4, 2))  # (2, B, H, W + H - 1, 4C)
        diagonals = both.permute(3, 0, 1, 2, 4).flatten(2, 3).unbind(0)  # (2, B H, 4C) each
        pairs = self.beside, self.above
        kernels = torch.stack(  # (2, 2C, 4C): of the pixel beside in the same row, and of that above
            [torch.cat([beside.weight, above.weight], dim=1).T for beside, above in zip(*pairs, strict=True)]
        ).to(both.dtype)
        shape = (*both.shape[:3], self.channels)
        cell = both.new_zeros(2, shape[1] * shape[2], self.channels, dtype=self.beside[0].weight.dtype)
        state, states = None, []
        for diagonal in diagonals:
            if state is not None:
                before = state.to(diagonal.dtype).view(shape)  # whose rows are those of the map
                near = torch.cat([before, F.pad(before[:, :, :-1], (0, 0, 1, 0))], dim=3)
                diagonal = torch.baddbmm(diagonal, near.flatten(1, 2), kernels)
            state, cell = lstm(diagonal, cell)
            states.append(state)
        whole = torch.stack(states).view(-1, *shape).permute(1, 2, 3, 0, 4)  # (2, B, H, W + H - 1, C)
        left, right = straightened(whole).permute(0, 1, 4, 2, 3)  # (B, C, H, W)
        return left + shift_down(right.flip(3))


def skewed(x: Tensor) -> Tensor:
    """(..., H, W, C) -> (..., H, W + H - 1, C): each row a pixel further to the right than the one above, zeros around.
    So diagonals are columns, and what is to the left of a pixel and what is above it are in the column before."""
    height, width = x.shape[-3:-1]
    x = F.pad(x, (0, 0, 0, height)).flatten(-3, -2)[..., : height * (width + height - 1), :]
    return x.unflatten(-2, (height, width + height - 1))


def straightened(x: Tensor) -> Tensor:
    """What was `skewed`: (..., H, W + H - 1, C) -> (..., H, W, C)."""
    height, diagonals = x.shape[-3:-1]
    x = F.pad(x.flatten(-3, -2), (0, 0, 0, height)).unflatten(-2, (height, diagonals + 1))
    return x[..., : diagonals + 1 - height, :]


class PixelRNNStack(Stack):
    """See the module.

    Args:
      width: channels between layers, 2C; None for the size's.
      blocks: how many layers; None for the size's.
      residual_connections: whether a layer's output is added to its input.
      skip_connections: whether every layer, not the last alone, gives to the output.
    """

    Layer: type[nn.Module]

    def __init__(
        self,
        canvas: Canvas,
        size: str,
        tower_channels: int,
        caption_channels: int,
        width: int | None = None,
        blocks: int | None = None,
        residual_connections: bool = True,
        skip_connections: bool = True,
        dilation: bool = True,
        **_,
    ):
        super().__init__(canvas)
        self.channels = channels = width or SIZES[size]["channels"]
        self.residual = residual_connections
        self.above = RowsAbove(4, channels, rows=3, side=3)
        self.left = CausalConv(4, channels, above=0, left=2, bias=False)
        self.position = Position(canvas, channels)
        count, half = blocks or SIZES[size]["layers"], channels // 2
        self.layers = nn.ModuleList(self.Layer(half, dilation_of(i) if dilation else 1) for i in range(count))
        self.conditions = nn.ModuleList(
            Condition(tower_channels, caption_channels, layer.GATES * half) for layer in self.layers
        )
        self.widen = nn.ModuleList(Pointwise(half, channels) for _ in self.layers)
        self.skips = nn.ModuleList(Pointwise(channels, channels) for _ in self.layers if skip_connections)

    def down(self, x: Tensor, context: Context, cache: Cache | None = None) -> list[Tensor]:
        return [self.above(x, cache) + self.position(cache), *(condition(context) for condition in self.conditions)]

    def right(self, x: Tensor, own: Tensor, given: list[Tensor], cache: Cache | None = None) -> Tensor:
        y = self.left(x, cache, given[0])  # 2C channels
        out = None
        for i, (layer, extra) in enumerate(zip(self.layers, given[1:], strict=True)):
            part = self.widen[i](layer(y, own, extra, cache))
            y = y + part if self.residual else part
            if self.skips:
                part = self.skips[i](y)
                out = part if out is None else out + part
        return F.relu(y if out is None else out)


class RowLSTMStack(PixelRNNStack):
    Layer = RowLSTM


class DiagonalBiLSTMStack(PixelRNNStack):
    Layer = DiagonalBiLSTM
