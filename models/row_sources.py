"""Where params come from while rows are drawn of which some are replaced when they are complete (directions.py).

Features of a row are computed pixel by pixel as it is drawn, and once more, all at once, when it is settled. That takes
twins that can go back: those of waves, which keep their maps whole (layers/waves.py).
"""

from collections.abc import Callable

from torch import Tensor

from models.sources import PlainParams, Precomputed, RasterParts, WaveParams


class CachedRows(WaveParams):
    """Computes one pixel of the hole at a time, in a stack that can go in waves. Args: those of PlainParams."""

    def __init__(
        self, parts: RasterParts, canvas: Tensor, border: Tensor, precompute: Callable[[], Precomputed]
    ) -> None:
        super().__init__(parts, canvas, border, precompute, slope=1)
        self.width = parts.stack.canvas.width
        self.visit.start()

    def start_row(self, i: int) -> None:
        """Begin the hole's row i."""
        self.visit.row(i)  # for the margins' features; those of pixels to come are not read

    def move(self, i: int, j: int) -> None:
        """Move to the hole's pixel (i, j), each of a row in turn."""
        self.visit.pixel(i, j)
        index = i * self.width + j
        self.here = slice(index, index + 1)

    def settle_row(self, i: int, values: Tensor) -> None:
        """Replace what was drawn in row i by (B, 3, w) in -1..1."""
        self.visit.put_row(i, values)
        self.visit.row(i)


class PlainRows(PlainParams):
    """Runs the whole model on the canvas so far: the reference for `CachedRows`, whose methods it has."""

    def start_row(self, i: int) -> None:
        pass

    def move(self, i: int, j: int) -> None:
        self.place = i, j

    def settle_row(self, i: int, values: Tensor) -> None:
        self.parts.stack.canvas.hole_of(self.canvas)[:, :3, i] = values


def rows_of(
    parts: RasterParts, canvas: Tensor, border: Tensor, precompute: Callable[[], Precomputed], cached: bool
) -> CachedRows | PlainRows:
    """The source for a decoder. Args: those of PlainParams. Raises: ValueError if its stack cannot go back."""
    if not cached:
        return PlainRows(parts, canvas, border, precompute)
    if not parts.stack.cone:
        raise ValueError("only decoders that are drawn in waves can draw in two directions without `cached=False`")
    return CachedRows(parts, canvas, border, precompute)
