"""Running a stack step by step while a center is drawn: a cursor, and twins that replace its layers.

A twin keeps what its layer's kernel will still read, so the cost of a pixel does not depend on the size of the map
[1, 2]. Its tensors have columns first and channels last: a row or some of its columns are (n, B, C), one pixel is (B,
C). So what a kernel reads at one of its taps is one matrix, and no copy is needed to multiply it. Outside the map are
zeros.

[1] Le Paine et al. 2016, arXiv:1611.09482   [2] Ramachandran et al. 2017, arXiv:1704.06001
"""

import copy
from collections.abc import Callable
from typing import Any, TypeVar

from torch import Tensor, nn

from models.layers.levels import Levels
from models.layers.maps import Context

Twin = TypeVar("Twin", bound=Callable[..., Any])
Twins = dict[type[nn.Module], Callable[[Any, Any], Any]]
TWINS: Twins = {}


class Cursor:
    """Where in a map the twins are: rows from top to bottom, each from left to right.

    Attributes:
      width: of the map, in pixels.
      row: index of the current row.
      first, end: the current columns, end excluded.
      at_pixel: whether the current columns are a single pixel, without a dimension for columns.
      twins: those that it moves.
    """

    twins = TWINS

    def __init__(self, width: int):
        self.width = width
        self.row, self.first, self.end = 0, 0, width
        self.at_pixel = False
        self._half: Cursor | None = None

    @property
    def half(self) -> "Cursor":
        """The cursor of the half-resolution map; its (i, j) is computed with (2i, 2j)."""
        if self._half is None:
            self._half = Cursor(_halved(self.width))
        return self._half

    def start_row(self, row: int) -> None:
        """Move to all of a row: for layers that read the rows above."""
        self.row = row
        self._move(0, self.width, at_pixel=False)
        if self._half is not None:
            self._half.start_row(_halved(row))

    def start_columns(self, first: int, end: int) -> None:
        """Move to some columns of the current row."""
        self._move(first, end, at_pixel=False)

    def start_pixel(self, column: int) -> None:
        """Move to a pixel of the current row. It may be passed again, as when its green is drawn after its red."""
        self._move(column, column + 1, at_pixel=True)

    def _move(self, first: int, end: int, at_pixel: bool) -> None:
        self.first, self.end, self.at_pixel = first, end, at_pixel
        if self._half is not None:
            self._half._move(_halved(first), _halved(end), at_pixel)


def _halved(position: int) -> int:
    return (position + 1) // 2


class RowContext(Context):
    """The context of one row: `tower` is (columns, B, C)."""

    def halved(self) -> "RowContext":
        return RowContext(self.tower[::2], self.caption, self.border)


def twin_of(layer: type[nn.Module], twins: Twins = TWINS) -> Callable[[Twin], Twin]:
    """Register what replaces layers of a class: it is called with the layer and a cursor."""

    def register(twin: Twin) -> Twin:
        twins[layer] = twin
        return twin

    return register


def stepwise(module: Any, cursor: Any) -> Any:
    """A module's twin, or if it has none, a copy of it with submodules replaced by their twins.

    Args:
      module: in eval mode. Its weights must not change afterwards.
      cursor: of the map that the module reads, a `Cursor` or a `WaveCursor`; to be moved before each call.
    """
    twin = cursor.twins.get(type(module))
    if twin is not None:
        return twin(module, cursor)
    if type(module) in TWINS:
        raise TypeError(f"{type(module).__name__} has no twin for waves, so its stack is no cone")
    clone = copy.copy(module)
    children, clone._modules = clone._modules, {}
    for name, child in children.items():  # as plain attributes, whose look-up is faster than that of submodules
        clone.__dict__[name] = None if child is None else stepwise(child, cursor)
    return clone


@twin_of(nn.ModuleList)
def _list(modules: nn.ModuleList, cursor: Cursor) -> list[Any]:
    return [stepwise(module, cursor) for module in modules]


@twin_of(Levels)
def _levels(modules: Levels, cursor: Cursor) -> list[Any]:
    twins = []
    for module in modules:
        twins.append(stepwise(module, cursor))
        cursor = cursor.half
    return twins


@twin_of(nn.Dropout)
@twin_of(nn.Identity)
def _same(module: nn.Module, cursor: Cursor) -> Callable[[Tensor], Tensor]:
    return lambda x: x
