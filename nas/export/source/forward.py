"""Forward: what a class of the written file computes, as lines of code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


class NotExpressible(Exception):
    """Says why a piece of code cannot stand in a file of its own."""


@dataclass(frozen=True, slots=True)
class Forward:
    """The methods of a class; `attributes` are those of the module that they read.

    `is_wired` says that single parts of a list of modules are named in it, so that it holds for modules of one structure
    only. `imports` are lines, `helpers` functions and constants beside the class by name.
    """

    lines: tuple[str, ...]
    attributes: tuple[str, ...]
    is_wired: bool = False
    imports: frozenset[str] = frozenset()
    helpers: Mapping[str, str] = field(default_factory=dict, compare=False)


def method(arguments: Iterable[str], body: Iterable[str]) -> tuple[str, ...]:
    """Return the lines of a `forward` that takes tensors."""
    taken = ", ".join(["self", *(f"{name}: Tensor" for name in arguments)])
    return (f"    def forward({taken}) -> Tensor:", *body)
