"""Causal layers that run over whole rows, or over one row column by column, and give the same numbers.

A causal stack is written once, as calls `layer(x, cache)`. Without a cache x is a whole map: training and scoring. With
a `Cache` x is what has just become known: some whole rows, the next columns of the row at hand, or its next pixel,
(B, C). Each layer keeps what its kernel will still read, so that a pixel costs one column of each layer however large
the map is [1, 2]. Zeros stand for all that lies outside the map, either way.

A kernel is cut to what it may see when it is made; what a rectangle cannot express (columns to the right in the current
row, colour groups of the current pixel) is masked here and nowhere else, by a constant that is part of the layer's
structure and never of its weights.

[1] Le Paine et al. 2016, arXiv:1611.09482   [2] Ramachandran et al. 2017, arXiv:1704.06001
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Cache:
    """What the layers of one stack keep while one batch is drawn, rows from top to bottom, each from left to right.

    Args:
      width: of the map, in pixels.

    Attributes:
      rows: (first, end) of the rows now given; with columns, of the one row that they lie in.
      columns: (first, end) of the columns now given; None while whole rows are.
      keep: whether the columns now given are final; while False layers compute on them and forget them, as when a
        pixel's green is drawn after its red.
    """

    def __init__(self, width: int):
        self.width = width
        self.rows = (0, 0)
        self.columns: tuple[int, int] | None = None
        self.keep = True
        self._of: dict[nn.Module, dict] = {}
        self._half: Cache | None = None

    @property
    def half(self) -> "Cache":
        """That of the map of half the resolution, whose pixel (i, j) is due with this one's (2i, 2j)."""
        if self._half is None:
            self._half = Cache((self.width + 1) // 2)
            self._half.start_rows(*_halved(self.rows))
        return self._half

    def of(self, layer: nn.Module) -> dict:
        """What a layer keeps, its own to fill."""
        state = self._of.get(layer)
        if state is None:
            state = self._of[layer] = {}
        return state

    def start_rows(self, first: int, end: int) -> None:
        """What follows is given in whole rows, first to end (excluded)."""
        self.rows, self.columns = (first, end), None
        if self._half is not None:
            self._half.start_rows(*_halved(self.rows))

    def start_columns(self, first: int, end: int) -> None:
        """What follows is given as columns first to end (excluded) of the row begun last."""
        self.columns = (first, end)
        if self._half is not None:
            self._half.start_columns(*_halved(self.columns))

    def end_row(self) -> None:
        """All columns of the row were given: it lies above the next."""
        for layer, state in self._of.items():
            if "row" in state and state["row"].columns:
                layer.end_row(state)
        if self._half is not None:
            self._half.end_row()


def _halved(span: tuple[int, int]) -> tuple[int, int]:
    return (span[0] + 1) // 2, (span[1] + 1) // 2


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
    """Layer normalisation over the channels of each pixel, or over each of `groups` of them: (B, C, H, W) -> same."""

    def __init__(self, channels: int, groups: int = 1):
        super().__init__(channels)
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        return self._last(x) if x.dim() == 2 else self._last(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

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
    """A 1x1 convolution: (B, C_in, H, W) -> (B, C_out, H, W), of a pixel (B, C_in) -> (B, C_out).

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
        if x.dim() == 2:
            return F.linear(x, *(self.frozen or (self.kernel().flatten(1), self.bias)))
        return conv2d(x, self.kernel(), self.bias)


class RowsAbove(Masked):
    """`rows` rows that end with the current one, `side` columns to either side: (B, C_in, n, W) -> (B, C_out, n, W).

    Whole rows only. Given rows shifted down, it sees what lies above. With `stride` 2 the map that comes out has half
    the resolution, and None comes out where none of its rows is due. With `dilation` d rows and columns are d apart.
    """

    def __init__(
        self, inputs: int, outputs: int, rows: int, side: int, bias: bool = True, stride: int = 1, dilation: int = 1
    ):
        super().__init__(inputs, outputs, (rows, 2 * side + 1), bias, None, stride=stride, dilation=dilation)
        self.above, self.side = (rows - 1) * dilation, side * dilation  # pixels

    def forward(self, x: Tensor, cache: Cache | None = None) -> Tensor | None:
        x, skipped = _with_rows_above(self, x, self.above, cache)
        if x.shape[2] - skipped <= self.above:
            return None
        x = x[:, :, skipped:]
        return conv2d(x, self.weight, self.bias, self.stride, (0, self.side), self.dilation)


class CausalConv(Masked):
    """The current pixel and `left` columns before it, and in `above` rows above these and `right` columns after it.

    Whole rows: (B, C_in, n, W) -> (B, C_out, n, W). Columns of one row: (B, C_in, 1, n) -> (B, C_out, 1, n), a pixel:
    (B, C_in) -> (B, C_out). With `stride` 2 the map that comes out has half the resolution, and None comes out where
    none of its pixels is due. With `dilation` d rows and columns are d apart.

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
        kernel = (above + 1, left + 1 + right)
        super().__init__(inputs, outputs, kernel, bias, mask, stride=stride, dilation=dilation)
        self.above, self.left, self.right = above * dilation, left * dilation, right * dilation  # pixels

    def forward(self, x: Tensor, cache: Cache | None = None, plus: Tensor | None = None) -> Tensor | None:
        """`plus` is added to what comes out: a map of its shape, or, where columns are given, the whole row of it."""
        if cache is not None and cache.columns is not None:
            return self._columns(x, cache, plus)
        x, skipped = _with_rows_above(self, x, self.above, cache)
        if x.shape[2] - skipped <= self.above:
            return None
        x = F.pad(x[:, :, skipped:], (self.left, self.right))
        y = conv2d(x, self.kernel(), self.bias, self.stride, dilation=self.dilation)
        return y if plus is None else y + plus

    def _columns(self, x: Tensor, cache: Cache, plus: Tensor | None) -> Tensor | None:
        row = cache.of(self).get("row")
        if row is None or row.at != cache.rows:
            row = self._start_row(x, cache, plus)
        if x.dim() == 2:
            return self._pixel(x, row, cache.columns[0], cache.keep)
        return self._chunk(x, row, cache.columns[0], cache.keep)

    def _pixel(self, x: Tensor, row: "_Row", column: int, keep: bool) -> Tensor | None:
        """(B, C_in) -> (B, C_out), None where a stride makes none due."""
        window, stride = row.left, self.stride[0]
        window.append(x)
        y = None
        if row.due and column % stride == 0:
            seen = x if self.left == 0 else torch.cat(window[:: self.dilation[1]], dim=1)  # (B, taps C_in)
            y = torch.addmm(row.given[column // stride], seen, row.weight)
        if keep:
            del window[0]
            if self.above:
                row.columns.append(x)
        else:
            window.pop()
        return y

    def _chunk(self, x: Tensor, row: "_Row", first: int, keep: bool) -> Tensor | None:
        """(B, C_in, 1, n) -> (B, C_out, 1, n or fewer), None where a stride makes none due."""
        columns, stride = list(x[:, :, 0].unbind(2)), self.stride[0]
        window = torch.stack(row.left + columns, dim=2).unsqueeze(2)  # (B, C_in, 1, left + n)
        y = None
        if row.due and (start := -first % stride) < len(columns):
            kernel = self.kernel()[:, :, -1:, : self.left // self.dilation[1] + 1]
            y = conv2d(window[..., start:], kernel, None, (1, stride), dilation=self.dilation)
            out = (first + start) // stride
            y = y + torch.stack(row.given[out : out + y.shape[3]], dim=2).unsqueeze(2)
        if keep:
            row.left = (row.left + columns)[len(columns) :]
            if self.above:
                row.columns.extend(columns)
        return y

    def _start_row(self, x: Tensor, cache: Cache, plus: Tensor | None) -> "_Row":
        """Zeros to the left; and what the rows above, the bias and `plus` give each of the row's pixels."""
        state = cache.of(self)
        batch, inputs = x.shape[:2]
        (stride, _), (dilation, _) = self.stride, self.dilation
        row = state["row"] = _Row(cache.rows, [x.new_zeros(batch, inputs)] * self.left)
        row.due = cache.rows[0] % stride == 0
        if not row.due:
            return row
        if "weight" not in state:
            own = self.kernel()[:, :, -1, : self.left // dilation + 1]  # (C_out, C_in, taps)
            state["weight"] = own.permute(2, 1, 0).flatten(0, 1).contiguous()  # (taps C_in, C_out)
        row.weight = state["weight"]
        if self.above:
            rows = state.get("rows")
            if rows is None:
                rows = x.new_zeros(batch, inputs, self.above, cache.width)
            rows = F.pad(rows[:, :, : self.above - dilation + 1], (self.left, self.right))
            kernel = self.kernel()[:, :, :-1]
            given = conv2d(rows, kernel, self.bias, (1, stride), dilation=self.dilation)  # (B, C_out, 1, W)
        else:
            bias = x.new_zeros(self.out_channels) if self.bias is None else self.bias
            given = bias.reshape(1, -1, 1, 1).expand(batch, -1, -1, -(-cache.width // stride))
        if plus is not None:
            given = given + plus
        row.given = given[:, :, 0].unbind(2)  # W of (B, C_out)
        return row

    def end_row(self, state: dict) -> None:
        """Put the row's columns below the rows kept, and forget the uppermost of these."""
        row = torch.stack(state["row"].columns, dim=2).unsqueeze(2)  # (B, C_in, 1, W)
        before = state.get("rows")
        if before is None:
            before = row.new_zeros(*row.shape[:2], self.above, row.shape[3])
        state["rows"] = torch.cat([before, row], dim=2)[:, :, 1:]  # (B, C_in, above, W)
        state["row"].columns = []


class _Row:
    """What a `CausalConv` has of the row at hand: where it is; the columns that its kernel will still read and all so
    far, (B, C_in) each; what is given to each of its pixels, (B, C_out); and the kernel's own part, (taps C_in, C_out).
    """

    __slots__ = ("at", "columns", "due", "given", "left", "weight")

    def __init__(self, at: tuple[int, int], left: list[Tensor]):
        self.at, self.left, self.columns = at, left, []


class Upsample(Pointwise):
    """To twice the resolution, each pixel giving four: (B, C_in, H, W) -> (B, C_out, height, width).

    As a cache's map is due before its half's next pixel, what the half gave last is kept.
    """

    def __init__(self, inputs: int, outputs: int):
        super().__init__(inputs, 4 * outputs)

    def forward(self, x: Tensor | None, like: Tensor, cache: Cache | None = None) -> Tensor:
        """`like` is a map of the shape that is due, or the columns; x is None where nothing of it is due."""
        y = None if x is None else super().forward(x)  # (B, 4 C_out, H, W)
        state = {} if cache is None else cache.of(self)
        if cache is not None and cache.columns is not None:
            return self._columns(y, like, cache, state)
        odd = 0 if cache is None else cache.rows[0] % 2
        if odd:
            y = state["last"] if y is None else torch.cat([state["last"], y], dim=2)
        state["last"], state["columns"] = y[:, :, -1:], None
        b, c, h, w = y.shape
        y = y.reshape(b, 2, 2, c // 4, h, w).permute(0, 3, 4, 1, 5, 2).reshape(b, c // 4, 2 * h, 2 * w)
        return y[:, :, odd : odd + like.shape[2], : like.shape[3]]

    def _columns(self, y: Tensor | None, like: Tensor, cache: Cache, state: dict) -> Tensor:
        row, (first, end) = cache.rows[0], cache.columns
        if first == 0 and row % 2 == 0:
            state["columns"] = []
        elif state["columns"] is None:  # the row before this one was given whole
            state["columns"] = list(state["last"][:, :, 0].unbind(2))
        if y is not None:
            state["columns"].extend([y] if y.dim() == 2 else y[:, :, 0].unbind(2))
        quarters = [state["columns"][j // 2].chunk(4, dim=1)[row % 2 * 2 + j % 2] for j in range(first, end)]
        return quarters[0] if like.dim() == 2 else torch.stack(quarters, dim=2).unsqueeze(2)


def dilation_of(layer: int) -> int:
    """1, 2, 4, 8 and again: four layers of 3x3 see 15 pixels far, eight 30."""
    return 2 ** (layer % 4)


def _with_rows_above(layer: nn.Module, x: Tensor, above: int, cache: Cache | None) -> tuple[Tensor, int]:
    """Rows with `above` more before them, kept or zero, and how many of these a stride makes superfluous."""
    state = {} if cache is None else cache.of(layer)
    before = state.get("rows")
    x = F.pad(x, (0, 0, above, 0)) if before is None else torch.cat([before, x], dim=2)  # (B, C, above + n, W)
    if above:
        state["rows"] = x[:, :, x.shape[2] - above :]
    first = 0 if cache is None else cache.rows[0]
    return x, -first % layer.stride[0]
