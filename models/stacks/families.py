"""Every decoder by name, and what it is made of. A stack's file adds its own with `decoder`."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TypeVar

from models.stacks.base import Stack

StackClass = TypeVar("StackClass", bound=type[Stack])


@dataclass(frozen=True)
class Family:
    """What a decoder is made of.

    Attributes:
      stack: its causal stack; None for pixels that are independent given border and caption, or where `inner` has it.
      inner: the decoder of its coarsest pixels, where it draws coarse to fine.
      takes_inner: whether the option `inner` replaces that decoder.
      halvings: how many times it halves the resolution; 0 for a decoder of one scale.
      parallel: whether its finer pixels come all at once, turn by turn, and not from a stack.
    """

    stack: type[Stack] | None = None
    inner: str | None = None
    takes_inner: bool = False
    halvings: int = 0
    parallel: bool = False

    @property
    def one_pass(self) -> bool:
        """Whether its pixels are independent given border and caption."""
        return self.stack is None and self.inner is None

    def options(self) -> set[str]:
        """The names of its stack's options."""
        return {field.name for field in fields(self.stack.SIZES["s"])} if self.stack else set()


DECODERS: dict[str, Family] = {
    "contour": Family(),
    "multiscale": Family(inner="gated", takes_inner=True, halvings=1),
    "parallel": Family(inner="gated", halvings=3, parallel=True),
}


def decoder(name: str) -> Callable[[StackClass], StackClass]:
    """Register a causal stack as the decoder of that name."""

    def register(stack: StackClass) -> StackClass:
        DECODERS[name] = Family(stack)
        return stack

    return register


def single_scale() -> list[str]:
    """The decoders of one scale, which may be inside one that draws coarse to fine."""
    return [name for name, family in DECODERS.items() if not family.halvings]


def decoders_with(option: str) -> list[str]:
    """The decoders whose stack has an option of that name."""
    return [name for name, family in DECODERS.items() if option in family.options()]
