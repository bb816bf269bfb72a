"""Causal layers that run over whole maps, or over one row column by column, and give the same numbers.

A causal stack is written once, as calls `layer(x, cache)`. Without a cache x is a whole map (B, C, H, W): training and
scoring. With a `Cache` x is what has just become known, columns first: a row or some of its columns (n, B, C), or its
next pixel (B, C). So all that a kernel reads at one of its taps is one matrix, and nothing is copied to multiply it.
Each layer keeps what its kernel will still read, so that a pixel costs one column of each layer however large the map
is [1, 2]. Zeros stand for all that lies outside the map, either way.

A kernel is cut to what it may see when it is made; what a rectangle cannot express (columns to the right in the current
row, colour groups of the current pixel) is masked here and nowhere else, by a constant that is part of the layer's
structure and never of its weights.

[1] Le Paine et al. 2016, arXiv:1611.09482   [2] Ramachandran et al. 2017, arXiv:1704.06001
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FEW = 16  # channels


class Cache:
    """What the layers of one stack keep while one batch is drawn, rows from top to bottom, each from left to right.

    Layers that run with a cache must be frozen (`freeze`).

    Args:
      width: of the map, in pixels.

    Attributes:
      row: that at hand.
      first, end: of its columns now given, end excluded.
    """

    def __init__(self, width: int):
        self.width = width
        self.row, self.first, self.end = 0, 0, width
        self._of: dict[nn.Module, dict] = {}
        self._half: Cache | None = None

    @property
    def half(self) -> "Cache":
        """That of the map of half the resolution, whose pixel (i, j) is due with this one's (2i, 2j)."""
        if self._half is None:
            self._half = Cache(_halved(self.width))
            self._half.start_row(_halved(self.row))
            self._half.start_columns(_halved(self.first), _halved(self.end))
        return self._half

    def of(self, layer: nn.Module) -> dict:
        """What a layer keeps, its own to fill."""
        state = self._of.get(layer)
        if state is None:
            state = self._of[layer] = {}
        return state

    def start_row(self, row: int) -> None:
        """What follows is of this row: first it as a whole, for what looks at rows above, then its columns."""
        self.row, self.first, self.end = row, 0, self.width
        if self._half is not None:
            self._half.start_row(_halved(row))

    def start_columns(self, first: int, end: int) -> None:
        """What follows is given as columns first to end (excluded) of the row begun last."""
        self.first, self.end = first, end
        if self._half is not None:
            self._half.start_columns(_halved(first), _halved(end))


def _halved(position: int) -> int:
    return (position + 1) // 2


def channel_dim(x: Tensor) -> int:
    """Which dimension the channels are: of a map (B, C, H, W), or with a cache the last."""
    return 1 if x.dim() == 4 else -1


def shift_down(x: Tensor) -> Tensor:
    """A map whose every row holds the row above: (B, C, H, W) -> the same shape."""
    return F.pad(x[:, :, :-1], (0, 0, 1, 0))


def shift_right(x: Tensor) -> Tensor:
    """A map whose every column holds the column to the left: (B, C, H, W) -> the same shape."""
    return F.pad(x[..., :-1], (1, 0))


def colour_mask(outputs: int, inputs: int, mask_type: str) -> Tensor:
    """Which channels of a pixel may see which, in three groups R, G, B of equal size: float32 (outputs, inputs).

    Type A: G sees R, B sees R and G. Type B: each also sees itself.
    """
    reader = torch.arange(outputs).unsqueeze(1) * 3 // outputs
    read = torch.arange(inputs).unsqueeze(0) * 3 // inputs
    return (read < reader if mask_type == "A" else read <= reader).float()


def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    dilation: tuple[int, int] = (1, 1),
) -> Tensor:
    """F.conv2d; in float64, for which torch has slow loops alone, as one matrix product."""
    if x.dtype != torch.float64:
        return F.conv2d(x, weight, bias, stride, padding, dilation)
    _, _, rows, columns = weight.shape
    x = F.pad(x, (padding[1], padding[1], padding[0], padding[0])).permute(0, 2, 3, 1)  # (B, H, W, C_in)
    height, width = (x.shape[1 + d] - dilation[d] * (weight.shape[2 + d] - 1) for d in (0, 1))
    taps = [
        x[:, i * dilation[0] :][:, : height : stride[0], j * dilation[1] :][:, :, : width : stride[1]]
        for i in range(rows)
        for j in range(columns)
    ]
    x = taps[0] if len(taps) == 1 else torch.cat(taps, dim=3)  # (B, h, w, rows columns C_in)
    return F.linear(x, weight.permute(0, 2, 3, 1).flatten(1), bias).permute(0, 3, 1, 2)


class PixelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of each pixel, or over each of `groups` of them: the shape stays."""

    def __init__(self, channels: int, groups: int = 1):
        super().__init__(channels)
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        return self._last(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2) if x.dim() == 4 else self._last(x)

    def _last(self, x: Tensor) -> Tensor:
        if self.groups == 1:
            return super().forward(x)
        parts = x.unflatten(-1, (self.groups, -1))  # (..., groups, C / groups)
        return F.layer_norm(parts, parts.shape[-1:], eps=self.eps).flatten(-2) * self.weight + self.bias


class Masked(nn.Conv2d):
    """A convolution with a constant mask over its kernel, or none."""

    def __init__(self, inputs: int, outputs: int, kernel: tuple[int, int], bias: bool, mask: Tensor | None, **options):
        super().__init__(inputs, outputs, kernel, bias=bias, **options)
        self.register_buffer("mask", mask, persistent=False)
        if mask is not None:  # fewer inputs are seen than the initialisation took for granted
            with torch.no_grad():
                self.weight.mul_(mask.mean().clamp(min=0.1) ** -0.5)

    def kernel(self) -> Tensor:
        """(C_out, C_in, height, width), what is not to be seen zero."""
        return self.weight if self.mask is None else self.weight * self.mask

    def freeze(self) -> None:
        """For a copy that will not learn: the mask applied once and for all."""
        with torch.no_grad():
            self.weight.copy_(self.kernel())
        self.mask = None


class Pointwise(Masked):
    """A 1x1 convolution: (B, C_in, H, W) -> (B, C_out, H, W), with a cache (..., C_in) -> (..., C_out).

    Args:
      mask_type: None; or A or B, for channels in colour groups.
    """

    def __init__(self, inputs: int, outputs: int, bias: bool = True, mask_type: str | None = None):
        mask = None if mask_type is None else colour_mask(outputs, inputs, mask_type)[:, :, None, None]
        super().__init__(inputs, outputs, (1, 1), bias, mask)
        self.frozen: tuple[Tensor, Tensor | None] | None = None

    def freeze(self) -> None:
        super().freeze()
        self.frozen = self.weight.flatten(1), self.bias  # looked up for every pixel

    def forward(self, x: Tensor) -> Tensor:
        return conv2d(x, self.kernel(), self.bias) if x.dim() == 4 else F.linear(x, *self.frozen)


class RowTaps(Masked):
    """A convolution whose kernel ends with the current row, and how it works on rows that lie columns first.

    Args:
      above, left, right: rows and columns that its kernel reaches over the pixel itself, before dilation.

    Attributes:
      above, left, right: the same in pixels.
      taps: of a frozen layer, the matrices (C_in, C_out) of each kernel row, from the top and the left.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        above: int,
        left: int,
        right: int,
        bias: bool = True,
        mask: Tensor | None = None,
        stride: int = 1,
        dilation: int = 1,
    ):
        kernel = (above + 1, left + 1 + right)
        super().__init__(inputs, outputs, kernel, bias, mask, stride=stride, dilation=dilation)
        self.above, self.left, self.right = above * dilation, left * dilation, right * dilation
        self.every, self.apart = stride, dilation  # of nn.Conv2d's own they are pairs
        self.taps: list[list[Tensor]] = []

    def freeze(self) -> None:
        super().freeze()
        self.taps = [[tap.contiguous() for tap in row] for row in self.weight.permute(2, 3, 1, 0)]

    def over_map(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) -> (B, C_out, H, W). Few inputs are intensities: bfloat16 would blur them by a level, so
        these are read in the precision of the weights."""
        x = F.pad(x, (self.left, self.right, self.above, 0))
        if self.in_channels >= FEW:
            return conv2d(x, self.kernel(), self.bias, self.stride, dilation=self.dilation)
        with torch.autocast(x.device.type, enabled=False):
            return conv2d(x.to(self.weight.dtype), self.kernel(), self.bias, self.stride, dilation=self.dilation)

    def rows_above(self, cache: Cache) -> list[Tensor | None]:
        """The `above` rows kept, each (left + width + right, B, C_in), None for what lies above the map."""
        state = cache.of(self)
        rows = state.get("rows")
        if rows is None:
            rows = state["rows"] = [None] * self.above
        return rows

    def empty_row(self, cache: Cache, like: Tensor) -> Tensor:
        """Zeros, with margins: (left + width + right, B, C_in)."""
        return like.new_zeros(self.left + cache.width + self.right, *like.shape[-2:])

    def given_by(self, rows: list[Tensor | None], like: Tensor, width: int, plus: Tensor | None) -> Tensor:
        """What the bias and the kernel's upper rows, one for each of `rows`, add to `plus`, which is changed:
        (ceil(width / stride), B, C_out)."""
        if plus is None:
            plus = like.new_zeros(-(-width // self.every), like.shape[-2], self.out_channels)
        if self.bias is not None:
            plus += self.bias
        y = plus.view(-1, self.out_channels)
        for taps, row in zip(self.taps, rows, strict=False):
            if row is not None:
                self.add(y, taps, row, 0, width)
        return plus

    def add(self, y: Tensor, taps: list[Tensor], row: Tensor, first: int, count: int) -> None:
        """Add what a kernel row's taps give those of `count` columns from `first` on that a stride leaves: y (n B,
        C_out)."""
        starts = range(first, first + len(taps) * self.apart, self.apart)
        seen = [row[start : start + count : self.every] for start in starts]  # (n, B, C_in) each
        if self.in_channels < FEW:  # matrices too thin to be worth a product each
            seen, taps = [torch.cat(seen, dim=-1)], [torch.cat(taps)]
        for part, tap in zip(seen, taps, strict=True):
            y.addmm_(part.flatten(0, 1), tap)


class RowsAbove(RowTaps):
    """`rows` rows that end with the current one, `side` columns to either side: (B, C_in, H, W) -> (B, C_out, H, W).

    With a cache: one whole row, (W, B, C_in) -> (W, B, C_out). Given rows shifted down, it sees what lies above. With
    `stride` 2 the map that comes out has half the resolution, and None comes out where a row of it is not due. With
    `dilation` d rows and columns are d apart.
    """

    def __init__(
        self, inputs: int, outputs: int, rows: int, side: int, bias: bool = True, stride: int = 1, dilation: int = 1
    ):
        super().__init__(inputs, outputs, rows - 1, side, side, bias, None, stride, dilation)

    def forward(self, x: Tensor, cache: Cache | None = None, plus: Tensor | None = None) -> Tensor | None:
        """`plus` is added to what comes out; with a cache it may be changed."""
        if cache is None:
            y = self.over_map(x)
            return y if plus is None else y + plus
        rows = self.rows_above(cache)
        row = self.empty_row(cache, x)
        row[self.left : self.left + cache.width] = x
        rows.append(row)
        y = None
        if cache.row % self.every == 0:
            y = self.given_by(rows[:: self.apart], x, cache.width, plus)
        del rows[0]
        return y


class CausalConv(RowTaps):
    """The current pixel and `left` columns before it, and in `above` rows above these and `right` columns after it.

    (B, C_in, H, W) -> (B, C_out, H, W); with a cache columns of the row at hand, (n, B, C_in) -> (n, B, C_out), or its
    next pixel, (B, C_in) -> (B, C_out). A pixel may be given again, as when a pixel's green is drawn after its red.
    With `stride` 2 the map that comes out has half the resolution, and None comes out where none of its pixels is due.
    With `dilation` d rows and columns are d apart.

    Args:
      mask_type: None; or B, for channels in colour groups, of which a pixel's own see one another only so.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        above: int,
        left: int,
        right: int = 0,
        mask_type: str | None = None,
        bias: bool = True,
        stride: int = 1,
        dilation: int = 1,
    ):
        mask = None
        if right or mask_type:
            mask = torch.ones(outputs, inputs, above + 1, left + 1 + right)
            mask[:, :, above, left + 1 :] = 0
            if mask_type:
                mask[:, :, above, left] = colour_mask(outputs, inputs, mask_type)
        super().__init__(inputs, outputs, above, left, right, bias, mask, stride, dilation)
        self.own: Tensor | None = None

    def freeze(self) -> None:
        super().freeze()
        self.taps[-1] = self.taps[-1][: self.left // self.apart + 1]  # none to the right
        self.own = torch.cat(self.taps[-1])  # (taps C_in, C_out)

    def forward(self, x: Tensor, cache: Cache | None = None, plus: Tensor | None = None) -> Tensor | None:
        """`plus` is added to what comes out: a map of its shape, or with a cache the whole row of it, which may be
        changed."""
        if cache is None:
            y = self.over_map(x)
            return y if plus is None else y + plus
        state = cache.of(self)
        if state.get("at") != cache.row:
            self._start_row(state, x, cache, plus)
        row, given, first = state["row"], state["given"], cache.first
        if x.dim() == 2:
            row[self.left + first] = x
            if given is None or first % self.every:
                return None
            if self.left == self.apart:
                x = torch.cat((row[first], x), dim=1)  # (B, taps C_in)
            elif self.left:
                x = row[first : first + self.left + 1 : self.apart].transpose(0, 1).flatten(1)
            return torch.addmm(given[first // self.every], x, self.own)
        row[self.left + first : self.left + cache.end] = x
        first += -first % self.every
        if given is None or first >= cache.end:
            return None
        y = given[first // self.every : -(-cache.end // self.every)].clone()
        self.add(y.flatten(0, 1), self.taps[-1], row, first, cache.end - first)
        return y

    def _start_row(self, state: dict, x: Tensor, cache: Cache, plus: Tensor | None) -> None:
        """Zeros where pixels will come, and what the rows above, the bias and `plus` give each of them."""
        rows = self.rows_above(cache)
        if self.above and "row" in state:
            rows.append(state["row"])
            del rows[0]
        state["at"], state["row"] = cache.row, self.empty_row(cache, x)
        state["given"] = None
        if cache.row % self.every == 0:
            state["given"] = self.given_by(rows[:: self.apart], x, cache.width, plus)


class Upsample(Pointwise):
    """To twice the resolution, each pixel giving four: (B, C_in, H, W) -> (B, C_out, height, width).

    With a cache its own row or columns, or a pixel. As a cache's map is due before its half's next pixel, what the half
    gave last is kept.
    """

    def __init__(self, inputs: int, outputs: int):
        super().__init__(inputs, 4 * outputs)

    def forward(self, x: Tensor | None, like: Tensor, cache: Cache | None = None) -> Tensor:
        """`like` is a map of the shape that is due, or the columns; x is None where nothing of it is due."""
        y = None if x is None else super().forward(x)  # (..., 4 C_out), of a map (B, 4 C_out, h, w)
        if cache is None:
            y = F.pixel_shuffle(y.unflatten(1, (4, -1)).transpose(1, 2).flatten(1, 2), 2)
            return y[:, :, : like.shape[2], : like.shape[3]]
        state = cache.of(self)
        if y is not None:
            if "row" not in state:
                state["row"] = y.new_zeros(cache.half.width, *y.shape[-2:])
            state["row"][cache.half.first : cache.half.end] = y
        quarters, own = state["row"].unflatten(-1, (4, -1)), cache.row % 2 * 2  # (w, B, 4, C_out)
        if like.dim() == 2:
            return quarters[cache.first // 2, :, own + cache.first % 2]
        both = quarters[:, :, own : own + 2].transpose(1, 2).flatten(0, 1)  # (2 w, B, C_out)
        return both[cache.first : cache.end]


def dilation_of(layer: int) -> int:
    """1, 2, 4, 8 and again: four layers of 3x3 see 15 pixels far, eight 30."""
    return 2 ** (layer % 4)
