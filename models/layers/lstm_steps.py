"""Twins of the layers in lstm.py. twins.py says how they run."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from models.layers.lstm import DiagonalBiLSTM, RowLSTM, lstm
from models.layers.steps import CausalConvStep, Conv1x1Step, VerticalConvStep
from models.layers.twins import Cursor, twin_of


@twin_of(RowLSTM)
class RowLSTMStep:
    """Columns (n, B, 2C) or a pixel (B, 2C) of the current row -> (n, B, C) or (B, C).

    Attributes:
      index: of the current row.
      states, cells: of the current row so far, (W, B, C).
      cells_above: of the row above, (W, B, C).
      gates: the part of the current row's gates that comes from the condition and the row above, (W, B, 4C).
    """

    def __init__(self, layer: RowLSTM, cursor: Cursor):
        self.cursor, self.channels = cursor, layer.channels
        self.input, self.state = CausalConvStep(layer.input, cursor), VerticalConvStep(layer.state, cursor)
        self.index = -1
        self.states: Any = None
        self.cells: Any = None
        self.cells_above: Any = None
        self.gates: Any = None

    def __call__(self, x: Tensor, pixel: Tensor, condition: Tensor) -> Tensor:
        cursor = self.cursor
        if self.index != cursor.row:
            self._start_row(condition)
        gates: Any = self.input(x, self.gates)
        here = cursor.first if cursor.at_pixel else slice(cursor.first, cursor.end)
        state, cell = lstm(gates, self.cells_above[here])
        self.states[here], self.cells[here] = state, cell
        return state

    def _start_row(self, condition: Tensor) -> None:
        empty = condition.new_zeros(self.cursor.width, condition.shape[1], self.channels)
        self.gates, self.cells_above = condition, empty
        if self.states is not None:
            self.gates, self.cells_above = self.state(self.states, condition), self.cells
        self.index, self.states, self.cells = self.cursor.row, empty.clone(), empty.clone()


@twin_of(DiagonalBiLSTM)
class DiagonalBiLSTMStep:
    """Columns (n, B, 2C) or a pixel (B, 2C) of the current row -> (n, B, C) or (B, C): the state of the direction from
    the left, and that of the direction from the right in the row above.

    Attributes:
      index: of the current row.
      left, cells: the direction from the left: states and cells of the current row so far, (W, B, C).
      left_gates: the part of its gates that comes from the condition and the row above, (W, B, 4C).
      right: the direction from the right: states of the row above, (W, B, C).
      right_gates, right_condition: two parts of its gates in the current row, (W, B, 4C).
      pixels: views of the current row's pixels, (B, 3) each, which are drawn by the time the next row starts.
      empty: the cell before a row's first pixel, zeros (B, C).
    """

    def __init__(self, layer: DiagonalBiLSTM, cursor: Cursor):
        self.cursor, self.channels = cursor, layer.channels
        self.input, self.own = Conv1x1Step(layer.input, cursor), Conv1x1Step(layer.own, cursor)
        self.beside = [beside.weight for beside in layer.beside]
        self.above = [above.weight for above in layer.above]
        self.index = -1
        self.left: Any = None
        self.cells: Any = None
        self.right: Any = None
        self.left_gates: Any = None
        self.right_gates: Any = None
        self.right_condition: Any = None
        self.pixels: list[Any] = []
        self.empty: Any = None

    def __call__(self, x: Tensor, pixel: Tensor, condition: Tensor) -> Tensor:
        cursor = self.cursor
        gates = self.input(x)
        if self.index != cursor.row:
            self._start_row(condition)
        if cursor.at_pixel:
            return self._pixel(cursor.first, gates, pixel)
        columns = range(cursor.first, cursor.end)
        return torch.stack([self._pixel(*of) for of in zip(columns, gates, pixel, strict=True)])

    def _pixel(self, column: int, gates: Tensor, pixel: Tensor) -> Tensor:
        """(B, 8C) -> (B, C)."""
        self.right_gates[column] = gates[:, 4 * self.channels :]
        self.pixels[column] = pixel
        gates = gates[:, : 4 * self.channels] + self.left_gates[column]
        cell = self.empty
        if column:
            gates, cell = gates + F.linear(self.left[column - 1], self.beside[0]), self.cells[column - 1]
        state, cell = lstm(gates, cell)
        self.left[column], self.cells[column] = state, cell
        above: Tensor = self.right[column]
        return state + above

    def _start_row(self, condition: Tensor) -> None:
        """Finish the row above, whose pixels are all known by now, from the right."""
        left, right = condition.chunk(2, dim=-1)  # (W, B, 4C)
        empty = condition.new_zeros(self.cursor.width, condition.shape[1], self.channels)
        self.empty = empty[0]
        if self.left is None:
            self.right = empty
        else:
            gates = self.right_gates + self.right_condition + F.linear(self.right, self.above[1])
            gates += self.own(torch.stack(self.pixels))
            self.right = self._from_right(gates)
            left = left + F.linear(self.left, self.above[0])
        self.index, self.left_gates, self.right_condition = self.cursor.row, left, right
        self.right_gates, self.pixels = torch.empty_like(right), [None] * self.cursor.width
        self.left, self.cells = empty.clone(), empty.clone()

    def _from_right(self, gates: Tensor) -> Tensor:
        """The states of one row from its right end: gates (W, B, 4C) -> (W, B, C)."""
        state = cell = self.empty
        states = []
        for here in gates.flip(0):
            state, cell = lstm(here + F.linear(state, self.beside[1]), cell)
            states.append(state)
        return torch.stack(states).flip(0)
