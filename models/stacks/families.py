"""Every decoder by name, and what it is made of. A causal stack registers itself with `decoder`."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TypeVar

from models.departures import POSITION, Departure
from models.stacks.base import Stack

StackClass = TypeVar("StackClass", bound=type[Stack])


@dataclass(frozen=True)
class Family:
    """What a decoder is made of.

    Attributes:
      stack: its causal stack; None for `contour`, and for decoders that draw coarse to fine.
      inner: of a decoder that draws coarse to fine: the decoder of its coarsest pixels, and unless `parallel` of the
        finer ones too.
      takes_inner: whether the option `inner` overrides that.
      halvings: how many times the resolution is halved.
      parallel: whether `ParallelUpscaler` draws the finer pixels, and not another decoder like `inner`.
      paper: of a decoder that is no stack: what a recipe after it names; a stack has its own.
      departs: of a decoder that is no stack: where it departs from that.
    """

    stack: type[Stack] | None = None
    inner: str | None = None
    takes_inner: bool = False
    halvings: int = 0
    parallel: bool = False
    paper: str = ""
    departs: tuple[Departure, ...] = ()

    @property
    def one_pass(self) -> bool:
        """Whether pixels are independent given border and caption."""
        return self.stack is None and self.inner is None

    def source(self) -> tuple[str, tuple[Departure, ...]]:
        """Its paper ("" for none) and where it departs from it."""
        return (self.stack.PAPER, self.stack.DEPARTS) if self.stack else (self.paper, self.departs)

    def options(self) -> set[str]:
        """The names of the stack's options."""
        return {field.name for field in fields(self.stack.SIZES["s"])} if self.stack else set()


CONTOUR = Family(
    paper="the 2017 project, last net",
    departs=(
        Departure("a U-Net is the border tower", {"tower": "ift6266"}),
        Departure("ReLUs are clipped at 6, and not in the 1x1 layers; there at 10", {"relu_clip": 10.0}),
        Departure("the caption map is the sigmoid of v v^T", {"map_sigmoid": False}, "captions"),
        Departure("the caption map enters the first 1x1 layer alone", {"map_layers": "both"}, "captions"),
    ),
)
COARSE_TO_FINE = {
    "multiscale": Family(inner="gated", takes_inner=True, halvings=1),
    "parallel": Family(
        inner="gated",
        halvings=3,
        parallel=True,
        paper="1703.03664",
        departs=(
            POSITION,
            Departure("the coarser pixels are part of a U-Net's input, not upsampled by a network of their own"),
            Departure("the three turns of a doubling share one network"),
        ),
    ),
}
DECODERS: dict[str, Family] = {"contour": CONTOUR, **COARSE_TO_FINE}


def decoder(name: str) -> Callable[[StackClass], StackClass]:
    """Register a causal stack under the name of its decoder."""

    def register(stack: StackClass) -> StackClass:
        DECODERS[name] = Family(stack)
        for last in COARSE_TO_FINE:  # to the end
            DECODERS[last] = DECODERS.pop(last)
        return stack

    return register


def single_scale() -> list[str]:
    """The names of decoders of one scale."""
    return [name for name, family in DECODERS.items() if not family.halvings]


def decoders_with(option: str) -> list[str]:
    """The names of decoders whose stack has the option."""
    return [name for name, family in DECODERS.items() if option in family.options()]
